// parse_tokenizer_json on any bytes: a tokenizer that encodes and decodes any text, or a typed error. Behind
// a byte 0xFF, which no JSON contains, may follow a tokenizer_config.json, and behind another one a text.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "text/tokenizer_files.h"

namespace {

using namespace atelier;

std::string_view take_part(std::string_view& rest) {
  const size_t end = std::min(rest.find('\xFF'), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

bool is_expected(const Error& error) {
  return error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kUnsupported ||
         error.code == ErrorCode::kLimit;
}

void use(const Tokenizer& tokenizer, std::string_view text, Specials specials) {
  std::vector<TokenId> ids = {7};
  const Status encoded = tokenizer.try_encode(text, specials, ids);
  ATELIER_CHECK(ids[0] == 7 && (encoded || (is_expected(encoded.error()) && ids.size() == 1)));
  std::vector<TokenId> again;
  tokenizer.encode(text, specials, again);
  ATELIER_CHECK(!encoded || std::equal(again.begin(), again.end(), ids.begin() + 1, ids.end()));
  for (const TokenId id : again) ATELIER_CHECK(id >= 0 && static_cast<size_t>(id) < tokenizer.vocab_size());
  StreamDecoder decoder(tokenizer, StreamDecoder::Begin::kText);
  std::string streamed;
  for (const TokenId id : again) streamed += decoder.push(id);
  ATELIER_CHECK(streamed + decoder.finish() == tokenizer.decode(again));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  const std::string_view json = take_part(rest);
  const std::string_view config = take_part(rest);
  const auto tokenizer = parse_tokenizer_json(json, config);
  if (!tokenizer) {
    ATELIER_CHECK(is_expected(tokenizer.error()) && !tokenizer.error().message.empty());
    return 0;
  }
  for (const std::string_view text : {std::string_view(" ab  b\xC3\xA9\xE4\xB8\xAD \xFF<s>12\n"), rest}) {
    use(**tokenizer, text, Specials::kAsText);
    use(**tokenizer, text, Specials::kRecognised);
  }
  for (const auto& end : {(*tokenizer)->bos(), (*tokenizer)->eos()})
    ATELIER_CHECK(!end || static_cast<size_t>(*end) < (*tokenizer)->vocab_size());
  (void)(*tokenizer)->find_token("ab");
  return 0;
}
