// A dialect is the language one family of models was trained to converse in: how a conversation becomes
// tokens, and how sampled tokens become an assistant's message. One file each; see docs/models/chat.md.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "chat/conversation.h"
#include "chat/prompt.h"
#include "text/tokenizer.h"

namespace atelier::chat {

struct RenderOptions {
  bool generation_prompt = true;  // end with the header of the assistant's next message
};

// What a streaming front end shows as tokens arrive.
struct Delta {
  enum class Kind : uint8_t {
    kReasoning,      // text
    kPreamble,       // text, for the user, before tool calls
    kFinal,          // text of the answer
    kToolCallBegin,  // call, id, name
    kArguments,      // call, text: more of the arguments
    kToolCallEnd,    // call
    kMessageEnd,     // one message of the turn is complete
  };
  Kind kind = Kind::kFinal;
  std::string text{};
  size_t call = 0;  // index into Message::tool_calls
  std::string id{};
  std::string name{};
};

// One message of a turn as the model wrote it, for dialects whose turns have several.
struct RawMessage {
  std::string role{};
  std::string channel{};       // empty: none
  std::string recipient{};     // empty: none
  std::string content_type{};  // empty: none
  std::string content{};
};

// Where in the turn the next token falls; a grammar applies to kFinal or kArguments only.
enum class Section : uint8_t { kHeader, kReasoning, kPreamble, kFinal, kArguments, kOutside };

enum class FinishReason : uint8_t {
  kLength,     // the tokens ran out in the middle of the turn
  kStop,       // the model ended its turn
  kToolCalls,  // the model waits for tool results
};

struct ParserOptions {
  bool tools = true;            // text that looks like a tool call is one
  size_t n_previous_calls = 0;  // ids continue from here: call_<n+1>, …
  std::string
      template_arguments{};  // of the conversation: they may decide whether the prompt opens the reasoning
};
ParserOptions parser_options(const Conversation& conversation);

// Reads one assistant turn token by token. Accepts any ids in any order, also such as are outside the
// vocabulary; never fails: what makes no sense ends up as text of the answer or is dropped, never as a crash.
class Parser {
 public:
  virtual ~Parser() = default;
  // `id`: the next sampled token, stop tokens included. Appends to `out`; text is always whole UTF-8.
  virtual void push(TokenId id, std::vector<Delta>& out) = 0;
  // The model has ended its turn: sampling on is pointless, even where it used no stop token.
  virtual bool done() const = 0;
  virtual Section section() const = 0;
  // Flushes what was held back and returns the turn. Call once.
  virtual Message finish(std::vector<Delta>& out) = 0;
  // After finish().
  virtual FinishReason finish_reason() const = 0;
  virtual std::span<const RawMessage> raw_messages() const = 0;
};

// Says which tokens may legally come next where the format fixes them, so that a malformed header cannot be
// sampled. Follows the sampled tokens, also when they were sampled without it.
class HeaderMask {
 public:
  virtual ~HeaderMask() = default;
  // Sorted ids; nullopt: anything may follow (the body of a message). Valid until the next push.
  virtual std::optional<std::span<const TokenId>> allowed() const = 0;
  virtual void push(TokenId id) = 0;
};

// How a dialect without headers writes calls and reasoning into the text of a turn; for grammars.
struct TurnSyntax {
  // In front of each call, behind it, and between two. Without a tag in front, a turn that begins as JSON is
  // a call.
  std::string call_open{}, call_close{}, between_calls{};
  bool tags_enclose_all = false;  // one pair of tags around all of the calls
  std::string arguments_key{};    // the member of {"name": …, …} that holds a call's arguments; empty: calls
                                  // are unknown
  std::string reasoning_open{}, reasoning_close{};  // empty: there is no reasoning
  bool prompt_opens_reasoning = false;              // the prompt ends with reasoning_open
  // Control tokens that are tags: as good as their text.
  std::vector<TokenId> call_tokens{}, reasoning_tokens{};
};

// How to go on with a sequence whose ids are kept: drop the ids from `keep` on, then append `append`.
struct Continuation {
  size_t keep = 0;
  std::vector<TokenId> append;
};

class Dialect {
 public:
  explicit Dialect(std::shared_ptr<const Tokenizer> tokenizer) : tokenizer_(std::move(tokenizer)) {}
  virtual ~Dialect() = default;

  virtual std::string_view name() const = 0;
  // Fails on what the dialect cannot say (built-in tools outside harmony) and on tool schemas that are no
  // JSON.
  virtual Result<Prompt> render(const Conversation& conversation,
                                const RenderOptions& options = {}) const = 0;

  // The next turn on top of kept ids. `history`: everything in the sequence so far, the prompt and what was
  // sampled, with or without the stop token. `conversation.messages[first_new…]`: the messages to add (user
  // or tool results); those before stand in `history`. Nothing before `keep` is rendered again.
  virtual Result<Continuation> render_continuation(std::span<const TokenId> history,
                                                   const Conversation& conversation,
                                                   size_t first_new) const = 0;

  // Generation stops after any of these.
  virtual std::vector<TokenId> stop_tokens() const = 0;
  virtual std::unique_ptr<Parser> new_parser(const ParserOptions& options = {}) const = 0;
  // Of the turn that a parser with `options` reads. Nothing where that is not known, and in harmony, whose
  // calls stand in headers.
  virtual std::optional<TurnSyntax> turn_syntax(const ParserOptions&) const { return std::nullopt; }
  // Null where the dialect has no headers to sample.
  virtual std::unique_ptr<HeaderMask> new_header_mask(const Conversation&) const { return nullptr; }

  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
};

// Chooses the dialect. `architecture`: as the model file names it ("llama", "gpt-oss", "GptOssForCausalLM");
// `chat_template`: the Jinja text of the model files, empty if they have none. Families we know are
// recognised by its control tokens, and only a few texts are read out of it (the default system message); all
// others converse through the template itself (chat/template_dialect.h), whose errors these are.
Result<std::unique_ptr<Dialect>> dialect_for(std::string_view architecture,
                                             std::shared_ptr<const Tokenizer> tokenizer,
                                             std::string_view chat_template);

// A sampled turn without the stop tokens at its end.
std::span<const TokenId> without_stops(std::span<const TokenId> sampled, std::span<const TokenId> stops);

// The id of a control token that a dialect cannot do without.
Result<TokenId> control_token(const Tokenizer& tokenizer, std::string_view text);

}  // namespace atelier::chat
