#include "server/turn_memory.h"

#include <algorithm>
#include <functional>

#include "chat/json_text.h"

namespace atelier::server {
namespace {

bool same_arguments(const std::string& a, const std::string& b) {
  if (a == b) return true;
  const auto left = chat::parse_json(a, "arguments"), right = chat::parse_json(b, "arguments");
  // chat::Json keeps the order of members, which says nothing here.
  return left && right && nlohmann::json(*left) == nlohmann::json(*right);
}

// The message is the turn: whatever is not there was dropped, not changed.
bool says_the_same(const chat::Message& message, const chat::Message& turn) {
  const auto dropped_or_same = [](const std::string& now, const std::string& then) {
    return now.empty() || now == then;
  };
  // Text beside calls comes back as content or as a preamble.
  const std::string text = message.preamble + message.content, said = turn.preamble + turn.content;
  return dropped_or_same(message.reasoning, turn.reasoning) &&
         (turn.tool_calls.empty() ? text == said : dropped_or_same(text, said)) &&
         std::ranges::equal(
             message.tool_calls, turn.tool_calls, [](const chat::ToolCall& a, const chat::ToolCall& b) {
               return a.id == b.id && a.name == b.name && same_arguments(a.arguments, b.arguments);
             });
}

}  // namespace

size_t TurnMemory::Entry::bytes() const {
  size_t n =
      2 * key.size() + sizeof(Entry) + turn.content.size() + turn.reasoning.size() + turn.preamble.size();
  for (const chat::ToolCall& call : turn.tool_calls)
    n += call.id.size() + call.name.size() + call.arguments.size();
  return n + (turn.sampled ? turn.sampled->size() * sizeof(int32_t) : 0);
}

std::string TurnMemory::key_of(std::string_view model, const chat::Message& turn) {
  if (!turn.tool_calls.empty()) return fmt::format("{} call {}", model, turn.tool_calls[0].id);
  // Two texts with one hash push each other out; neither is taken for the other.
  return fmt::format("{} text {:x}", model, std::hash<std::string>()(turn.preamble + turn.content));
}

void TurnMemory::remember(std::string_view model, const chat::Message& turn) {
  if (!turn.sampled && turn.reasoning.empty()) return;
  Entry entry{key_of(model, turn), turn};
  const size_t bytes = entry.bytes();
  if (bytes > kMaxBytes / 4) return;
  const std::lock_guard lock(mutex_);
  if (const auto known = by_key_.find(entry.key); known != by_key_.end()) {
    bytes_ -= known->second->bytes();
    entries_.erase(known->second);
    by_key_.erase(known);
  }
  entries_.push_front(std::move(entry));
  by_key_[entries_.front().key] = entries_.begin();
  bytes_ += bytes;
  while (bytes_ > kMaxBytes) {
    bytes_ -= entries_.back().bytes();
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

void TurnMemory::restore(std::string_view model, chat::Conversation& conversation) {
  const std::lock_guard lock(mutex_);
  for (chat::Message& message : conversation.messages) {
    if (message.role != chat::Role::kAssistant || message.sampled) continue;
    const auto known = by_key_.find(key_of(model, message));
    if (known == by_key_.end()) continue;
    entries_.splice(entries_.begin(), entries_, known->second);
    const chat::Message& turn = known->second->turn;
    if (says_the_same(message, turn)) message.sampled = turn.sampled;
    if (!message.tool_calls.empty() && message.reasoning.empty()) message.reasoning = turn.reasoning;
  }
}

size_t TurnMemory::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace atelier::server
