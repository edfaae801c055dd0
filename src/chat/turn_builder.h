// What all parsers share: collects an assistant's turn and emits the deltas for it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/dialect.h"

namespace atelier::chat {

class TurnBuilder {
 public:
  explicit TurnBuilder(const ParserOptions& options) : next_call_(options.n_previous_calls + 1) {
    message_.role = Role::kAssistant;
  }

  void reasoning(std::string_view text, std::vector<Delta>& out);
  void preamble(std::string_view text, std::vector<Delta>& out);
  void final_text(std::string_view text, std::vector<Delta>& out);
  // A later message of the same kind is set apart from the earlier one by an empty line.
  void separate_reasoning(std::vector<Delta>& out);
  void separate_preamble(std::vector<Delta>& out);
  void separate_final(std::vector<Delta>& out);

  void begin_call(std::string_view name, std::vector<Delta>& out);
  void arguments(std::string_view text, std::vector<Delta>& out);  // of the call begun last
  void end_call(bool complete, std::vector<Delta>& out);
  void message_end(std::vector<Delta>& out);

  bool has_calls() const { return !message_.tool_calls.empty(); }
  const Message& message() const { return message_; }
  Message take() { return std::move(message_); }

 private:
  void add(Delta::Kind kind, std::string Message::* field, std::string_view text, std::vector<Delta>& out);

  Message message_;
  size_t next_call_;
};

}  // namespace atelier::chat
