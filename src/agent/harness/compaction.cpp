// A conversation that has grown too long goes on from a summary the model itself writes: the live cache is
// extended by the request, and then taken back to the conversation's beginning.
#include <algorithm>

#include "agent/harness/agent.h"

namespace atelier::agent {
namespace {

constexpr std::string_view kAsk =
    "The conversation is about to be shortened: only what you write now will remain of it. Write for "
    "yourself, "
    "briefly: the task, what is done, what was learned (files, lines, commands, errors), what is left to do.";
constexpr std::string_view kIntroduction =
    "Your own notes on the work so far, written when the conversation was shortened:\n\n";

// The leading instructions, which every conversation keeps.
size_t opening_messages(const chat::Conversation& conversation) {
  const auto is_opening = [](const chat::Message& m) {
    return m.role == chat::Role::kSystem || m.role == chat::Role::kDeveloper;
  };
  return static_cast<size_t>(std::ranges::find_if_not(conversation.messages, is_opening) -
                             conversation.messages.begin());
}

// Where there is no room left to ask: what was asked and said last.
std::string mechanical_summary(const chat::Conversation& conversation) {
  constexpr size_t kEach = 1000;
  std::string asked, said;
  for (const chat::Message& message : conversation.messages) {
    if (message.role == chat::Role::kUser) asked = message.content;
    if (message.role != chat::Role::kAssistant) continue;
    const std::string& text = !message.content.empty()    ? message.content
                              : !message.preamble.empty() ? message.preamble
                                                          : message.reasoning;
    if (!text.empty()) said = text;
  }
  return fmt::format("The user asked: {}\nYou said last: {}", asked.substr(0, kEach), said.substr(0, kEach));
}

}  // namespace

Result<bool> Agent::compact(AgentObserver& observer) {
  const Transcript before = speaker_.transcript();
  const size_t n_opening = opening_messages(before.conversation);
  if (before.conversation.messages.size() <= n_opening + 1) return false;
  const size_t old_size = speaker_.used_tokens();
  const size_t context = speaker_.context_length();
  std::string summary;
  // The request goes to the model as one more message; tools stay declared, so that nothing before it moves.
  speaker_.add({.role = chat::Role::kUser, .content = std::string(kAsk)});
  speaker_.choose_tools({.kind = chat::ToolChoice::Kind::kNone});
  ATELIER_TRY(const size_t prompt_tokens, speaker_.prompt_tokens());
  if (prompt_tokens + 64 < context) {
    Speaker::Options options{.sampler = options_.sampler, .cancel = options_.cancel};
    options.max_tokens = std::max<size_t>(64, context / 8);
    const Result<Speaker::Turn> turn = speaker_.speak(options);
    if (!turn) {
      speaker_.restore(before);
      return tl::unexpected<Error>(turn.error());
    }
    if (turn->reason == StopReason::kInterrupted) {
      speaker_.restore(before);
      return false;
    }
    summary = turn->message.content.empty() ? turn->message.reasoning : turn->message.content;
  }
  if (summary.empty()) summary = mechanical_summary(before.conversation);
  Transcript after;
  after.conversation = before.conversation;
  after.conversation.messages.resize(n_opening);
  after.conversation.messages.push_back(
      {.role = chat::Role::kUser, .content = std::string(kIntroduction) + summary});
  after.turns = speaker_.transcript().turns;
  speaker_.restore(std::move(after));
  ATELIER_TRY(const size_t shorter, speaker_.prompt_tokens());
  observer.on_note(fmt::format("The conversation was compacted from {} to {} tokens.", old_size, shorter));
  return true;
}

}  // namespace atelier::agent
