// The common part of parsers for dialects whose turn is one run of text with a stop token at its end.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/json_text.h"
#include "chat/turn_builder.h"

namespace atelier::chat {

class TextParser : public Parser {
 public:
  // `stops`: ids that end the turn. `tokenizer` must outlive the parser.
  TextParser(const Tokenizer& tokenizer, std::vector<TokenId> stops, const ParserOptions& options)
      : turn_(options), tokenizer_(tokenizer), stops_(std::move(stops)), decoder_(tokenizer) {}

  void push(TokenId id, std::vector<Delta>& out) final;
  bool done() const final { return ended_; }
  Message finish(std::vector<Delta>& out) final;
  FinishReason finish_reason() const final { return reason_; }
  std::span<const RawMessage> raw_messages() const final { return raw_; }

 protected:
  virtual void on_text(std::string_view text, std::vector<Delta>& out) = 0;
  virtual void on_special(TokenId, std::vector<Delta>&) {}  // other than the stops; dropped by default
  virtual void on_end(std::vector<Delta>& out) = 0;         // nothing follows: let go of what was held back
  void end_turn() { ended_ = true; }                        // for a stop that is spelled as text
  // At the end, of what stands behind a call's tag: if a limit cut a call off there, tells what there is of
  // it (an incomplete call, or nothing if not even its name is there) and returns true.
  bool tell_cut_call(std::string_view body, std::vector<Delta>& out);

  TurnBuilder turn_;

 private:
  const Tokenizer& tokenizer_;
  std::vector<TokenId> stops_;
  StreamDecoder decoder_;
  std::string text_;
  std::vector<RawMessage> raw_;
  bool ended_ = false;
  FinishReason reason_ = FinishReason::kLength;
};

// How many bytes at the end of `text` may be the beginning of `tag` (fewer than all of it).
size_t partial_tag_bytes(std::string_view text, std::string_view tag);

struct CalledFunction {
  std::string name;
  std::string arguments;  // JSON text
};

// Reads {"name": …, "arguments" or "parameters": …}, an array of them, or several one after the other
// (separated by whitespace or semicolons). Empty if any part of `text` is something else.
std::vector<CalledFunction> read_calls(std::string_view text);

// The beginning of a text that read_calls() would read: the name of the call that is cut off and what there
// is of its arguments; both empty as long as the name is not whole. Nothing if the text is something else.
std::optional<CalledFunction> read_cut_call(std::string_view text);

}  // namespace atelier::chat
