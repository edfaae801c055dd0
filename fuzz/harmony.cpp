// The harmony parser, header mask and history on any token sequence: no crash, and what was streamed is what
// is returned. Bytes stand for themselves, those from 0xe0 on for control tokens and words of headers.
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "../tests/chat/toy_tokenizer.h"
#include "base/check.h"
#include "chat/harmony_dialect.h"

namespace {

using namespace atelier;
using namespace atelier::chat;

constexpr uint8_t kFirstWord = 0xe0;
constexpr uint8_t kAnyId = 0xff;  // the next four bytes are an id
constexpr const char* kWords[] = {
    "<|start|>",       "<|end|>",    "<|message|>", "<|channel|>",
    "<|constrain|>",   "<|return|>", "<|call|>",    "<|endoftext|>",
    "assistant",       "analysis",   "commentary",  "final",
    " to=functions.f", "json",       "user",        "functions.g",
    "to=python",       " to=",       "assistant",   "<|reserved_200013|>",
    "\xf0\x9f",        "🙂",         " code",       "browser.search",
};

const Tokenizer& tokenizer() {
  static const auto toy = ToyTokenizer::harmony();
  return *toy;
}

const Dialect& dialect() {
  static const auto harmony = make_harmony(ToyTokenizer::harmony()).value();
  return *harmony;
}

std::vector<TokenId> tokens_of(const uint8_t* data, size_t size) {
  std::vector<TokenId> ids;
  for (size_t i = 0; i < size; ++i) {
    const uint8_t byte = data[i];
    if (byte == kAnyId && i + 4 < size) {
      TokenId id;
      std::memcpy(&id, data + i + 1, sizeof id);
      ids.push_back(id);
      i += 4;
    } else if (byte >= kFirstWord && byte < kFirstWord + std::size(kWords)) {
      tokenizer().encode(kWords[byte - kFirstWord], Specials::kRecognised, ids);
    } else {
      ids.push_back(byte);
    }
  }
  return ids;
}

bool is_utf8(const std::string& text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const size_t n = lead < 0x80   ? 1
                     : lead < 0xc2 ? 0
                     : lead < 0xe0 ? 2
                     : lead < 0xf0 ? 3
                     : lead < 0xf5 ? 4
                                   : 0;
    if (n == 0 || i + n > text.size()) return false;
    for (size_t k = 1; k < n; ++k)
      if ((static_cast<uint8_t>(text[i + k]) & 0xc0) != 0x80) return false;
    i += n;
  }
  return true;
}

// What a front end that shows only deltas would have.
struct Shown {
  std::string reasoning, preamble, content;
  std::vector<ToolCall> calls;
  size_t n_ended = 0;

  void add(const Delta& delta) {
    ATELIER_CHECK(is_utf8(delta.text) && is_utf8(delta.name));
    switch (delta.kind) {
      case Delta::Kind::kReasoning:
        reasoning += delta.text;
        break;
      case Delta::Kind::kPreamble:
        preamble += delta.text;
        break;
      case Delta::Kind::kFinal:
        content += delta.text;
        break;
      case Delta::Kind::kToolCallBegin:
        ATELIER_CHECK(delta.call == calls.size() && n_ended == calls.size());
        calls.push_back({delta.id, delta.name, {}, true});
        break;
      case Delta::Kind::kArguments:
        ATELIER_CHECK(delta.call + 1 == calls.size() && n_ended == delta.call);
        calls.back().arguments += delta.text;
        break;
      case Delta::Kind::kToolCallEnd:
        ATELIER_CHECK(delta.call == n_ended++);
        break;
      case Delta::Kind::kMessageEnd:
        break;
    }
  }
};

Conversation opening() {
  Conversation conversation;
  conversation.tools = {{"f", {}, {}}, {"g", {}, {}}};
  conversation.messages.push_back({.role = Role::kUser, .content = "x"});
  return conversation;
}

Message parse(const std::vector<TokenId>& ids) {
  // Building the mask takes longer than all the rest: one mask, led back to the beginning of a turn.
  static const auto mask = dialect().new_header_mask(opening());
  static const auto turn_begin = tokenizer().encode("<|end|><|start|>assistant", Specials::kRecognised);
  for (TokenId id : turn_begin) mask->push(id);
  const auto parser = dialect().new_parser();
  std::vector<Delta> deltas;
  for (TokenId id : ids) {
    if (const auto allowed = mask->allowed()) ATELIER_CHECK(!allowed->empty());
    mask->push(id);
    parser->push(id, deltas);
  }
  Message message = parser->finish(deltas);
  Shown shown;
  for (const Delta& delta : deltas) shown.add(delta);
  ATELIER_CHECK(shown.reasoning == message.reasoning && shown.preamble == message.preamble);
  ATELIER_CHECK(shown.content == message.content && shown.calls.size() == message.tool_calls.size());
  ATELIER_CHECK(shown.n_ended == shown.calls.size());
  for (size_t i = 0; i < shown.calls.size(); ++i)
    ATELIER_CHECK(shown.calls[i].arguments == message.tool_calls[i].arguments &&
                  shown.calls[i].name == message.tool_calls[i].name);
  for (const RawMessage& raw : parser->raw_messages())
    ATELIER_CHECK(is_utf8(raw.content) && is_utf8(raw.recipient) && is_utf8(raw.channel) &&
                  is_utf8(raw.content_type));
  return message;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::vector<TokenId> sampled = tokens_of(data, size);
  static const auto prompt =
      tokenizer().encode("<|start|>user<|message|>x<|end|><|start|>assistant", Specials::kRecognised);
  std::vector<TokenId> history = prompt;
  history.insert(history.end(), sampled.begin(), sampled.end());
  Conversation conversation = opening();
  conversation.messages.push_back(parse(sampled));

  // Whatever was sampled, the sequence goes on from a legal place.
  conversation.messages.push_back({.role = Role::kUser, .content = "y"});
  const Continuation next = dialect().render_continuation(history, conversation, 2).value();
  ATELIER_CHECK(next.keep <= history.size());
  const std::string appended = tokenizer().decode(next.append);
  ATELIER_CHECK(appended.ends_with("<|start|>user<|message|>y<|end|><|start|>assistant"));
  if (size % 16 == 0) ATELIER_CHECK(dialect().render(conversation).has_value());  // slow, and sees text only
  return 0;
}
