// atelier tokenize, detokenize: text ⇄ ids, for scripts.
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/model_flags.h"
#include "cli/token_ids.h"
#include "text/tokenizer.h"

namespace atelier::cli {
namespace {

constexpr size_t kMaxInputBytes = size_t{1} << 30;

// -m may also be a tokenizer.json or a folder that holds one.
Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::string& model, const Globals& globals) {
  std::error_code ignored;
  const std::filesystem::path path(model);
  if (path.extension() == ".json" || std::filesystem::exists(path / "tokenizer.json", ignored))
    return Tokenizer::load(path);
  ATELIER_TRY(const std::filesystem::path located, locate(model, globals));
  return Tokenizer::load(located);
}

Status run_tokenize(const std::string& model, bool special, const Globals& globals) {
  ATELIER_TRY(const auto tokenizer, load_tokenizer(model, globals));
  ATELIER_TRY(const std::string text, read_stdin(kMaxInputBytes));
  return print_json(tokenizer->encode(text, special ? Specials::kRecognised : Specials::kAsText));
}

Status run_detokenize(const std::string& model, const Globals& globals) {
  ATELIER_TRY(const auto tokenizer, load_tokenizer(model, globals));
  ATELIER_TRY(const std::string text, read_stdin(kMaxInputBytes));
  ATELIER_TRY(const std::vector<TokenId> ids, parse_token_ids("standard input", text));
  std::string bytes;  // as they are: text that is not UTF-8 comes back unchanged
  for (const TokenId id : ids) {
    if (id < 0 || static_cast<size_t>(id) >= tokenizer->vocab_size())
      return fail(ErrorCode::kInvalidArgument, "token id: expected 0 to {}, found {}",
                  tokenizer->vocab_size() - 1, id);
    bytes += tokenizer->token_bytes(id);
  }
  return print(bytes);
}

}  // namespace

void register_tokenizer_commands(Registration r) {
  auto model = std::make_shared<std::string>();
  auto special = std::make_shared<bool>(false);
  const char* help = "A model, a tokenizer.json, or a folder that holds one";
  CLI::App* tokenize = r.app.add_subcommand("tokenize", "Bytes on stdin to a JSON array of token ids");
  tokenize->add_option("-m,--model", *model, help);
  tokenize->add_flag("--special", *special, "Recognise special tokens written out in the text");
  tokenize->callback([=] { r.selected = [=] { return run_tokenize(*model, *special, r.globals); }; });
  CLI::App* detokenize = r.app.add_subcommand("detokenize", "A JSON array of token ids on stdin to bytes");
  detokenize->add_option("-m,--model", *model, help);
  detokenize->callback([=] { r.selected = [=] { return run_detokenize(*model, r.globals); }; });
}

}  // namespace atelier::cli
