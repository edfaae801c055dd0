#include "chat/turn_builder.h"

namespace atelier::chat {

void TurnBuilder::add(Delta::Kind kind, std::string Message::* field, std::string_view text,
                      std::vector<Delta>& out) {
  if (text.empty()) return;
  message_.*field += text;
  out.push_back({kind, std::string(text), 0, {}, {}});
}

void TurnBuilder::reasoning(std::string_view text, std::vector<Delta>& out) {
  add(Delta::Kind::kReasoning, &Message::reasoning, text, out);
}

void TurnBuilder::preamble(std::string_view text, std::vector<Delta>& out) {
  add(Delta::Kind::kPreamble, &Message::preamble, text, out);
}

void TurnBuilder::final_text(std::string_view text, std::vector<Delta>& out) {
  add(Delta::Kind::kFinal, &Message::content, text, out);
}

void TurnBuilder::separate_reasoning(std::vector<Delta>& out) {
  if (!message_.reasoning.empty()) reasoning("\n\n", out);
}

void TurnBuilder::separate_preamble(std::vector<Delta>& out) {
  if (!message_.preamble.empty()) preamble("\n\n", out);
}

void TurnBuilder::separate_final(std::vector<Delta>& out) {
  if (!message_.content.empty()) final_text("\n\n", out);
}

void TurnBuilder::begin_call(std::string_view name, std::vector<Delta>& out) {
  ToolCall call;
  call.id = fmt::format("call_{}", next_call_++);
  call.name = name;
  call.complete = false;
  out.push_back({Delta::Kind::kToolCallBegin, {}, message_.tool_calls.size(), call.id, call.name});
  message_.tool_calls.push_back(std::move(call));
}

void TurnBuilder::arguments(std::string_view text, std::vector<Delta>& out) {
  if (text.empty()) return;
  message_.tool_calls.back().arguments += text;
  out.push_back({Delta::Kind::kArguments, std::string(text), message_.tool_calls.size() - 1, {}, {}});
}

void TurnBuilder::end_call(bool complete, std::vector<Delta>& out) {
  message_.tool_calls.back().complete = complete;
  out.push_back({Delta::Kind::kToolCallEnd, {}, message_.tool_calls.size() - 1, {}, {}});
}

void TurnBuilder::message_end(std::vector<Delta>& out) {
  out.push_back({Delta::Kind::kMessageEnd, {}, 0, {}, {}});
}

}  // namespace atelier::chat
