#include "agent/tui/conversation_view.h"

#include <algorithm>

namespace atelier::agent::tui {
namespace {

constexpr size_t kMaxRunningBytes = 256 << 10;  // kept of a running command's output
constexpr size_t kHistoryLines = 12;            // shown of a message: files it mentions stand in it
constexpr size_t kHistoryTasks = 3;             // shown of a session taken up again

void append(Lines& to, Lines lines) {
  to.insert(to.end(), std::make_move_iterator(lines.begin()), std::make_move_iterator(lines.end()));
}

double seconds_between(ConversationView::Clock::time_point begin, ConversationView::Clock::time_point end) {
  return std::chrono::duration<double>(end - begin).count();
}

}  // namespace

void ConversationView::set_width(size_t width) {
  options_.width = width;
  answer_.set_width(width);
}

Lines ConversationView::block(Lines lines) {
  if (lines.empty()) return lines;
  if (any_) lines.insert(lines.begin(), Line());
  any_ = true;
  return lines;
}

Lines ConversationView::show(const ItemNews& news, Clock::time_point now) {
  using Phase = AgentObserver::Phase;
  using Kind = Item::Kind;
  call_.clear();
  call_bytes_ = 0;
  if (news.phase == Phase::kCompleted) return finish_item(news, now);
  if (news.phase == Phase::kStarted) {
    begun_ = now;
    reasoning_.clear();
    output_.clear();
    answer_begun_ = false;
    const bool text = news.item.kind == Kind::kReasoning || news.item.kind == Kind::kMessage;
    running_ = text ? std::nullopt : std::optional(news.item);
    return {};
  }
  switch (news.item.kind) {
    case Kind::kReasoning:
      reasoning_ += news.more;
      return {};
    case Kind::kMessage: {
      Lines lines = answer_.push(news.more);
      if (lines.empty()) return lines;
      if (std::exchange(answer_begun_, true)) return lines;
      return block(std::move(lines));
    }
    default:
      output_ += news.more;
      if (output_.size() > kMaxRunningBytes) output_.erase(0, output_.size() - kMaxRunningBytes);
      return {};
  }
}

void ConversationView::show(const CallNews& news) {
  call_ = news.tool;
  call_bytes_ += news.more.size();
}

Lines ConversationView::finish_item(const ItemNews& news, Clock::time_point now) {
  using Kind = Item::Kind;
  const double seconds = seconds_between(begun_, now);
  switch (news.item.kind) {
    case Kind::kReasoning:
      last_reasoning_ = news.item.text;
      last_reasoning_seconds_ = seconds;
      reasoning_.clear();
      return block(reasoning_block(last_reasoning_, seconds, fold_, options_));
    case Kind::kMessage:
      return end();
    default:
      break;
  }
  if (news.item.kind == Kind::kPlan && !news.item.plan.empty()) plan_ = news.item.plan;
  running_.reset();
  output_.clear();
  return block(item_block(news.item, seconds, options_));
}

Lines ConversationView::end() {
  Lines lines = answer_.finish();
  if (!lines.empty() && !answer_begun_) lines = block(std::move(lines));
  answer_begun_ = false;
  reasoning_.clear();
  running_.reset();
  call_.clear();
  return lines;
}

Lines ConversationView::history(const std::vector<chat::Message>& messages) {
  size_t from = messages.size();
  for (size_t n = 0; from > 0 && n < kHistoryTasks;)
    if (messages[--from].role == chat::Role::kUser) ++n;
  Lines out;
  if (from > 1) append(out, block({Line(options_.unicode ? "…" : "...", kDim)}));
  for (size_t i = from; i < messages.size(); ++i) {
    const chat::Message& message = messages[i];
    if (message.role == chat::Role::kUser) {
      Lines said = message_block(message.content, options_);
      if (said.size() > kHistoryLines) {
        said.resize(kHistoryLines);
        said.push_back(Line(options_.unicode ? "  …" : "  ...", kDim));
      }
      append(out, block(std::move(said)));
    }
    if (message.role != chat::Role::kAssistant) continue;
    for (const chat::ToolCall& call : message.tool_calls)
      append(out, block({clipped(Line(options_.unicode ? "● " : "* ", kDim)
                                     .add(printable(call.name) + " ", kDim)
                                     .add(printable(call.arguments.substr(0, options_.width)), kDim),
                                 options_.width, options_.unicode)}));
    if (!message.content.empty())
      append(out, block(markdown(message.content, {.width = options_.width, .unicode = options_.unicode})));
  }
  return out;
}

Lines ConversationView::live(size_t rows) const {
  Lines lines;
  if (!reasoning_.empty()) {
    // The end of a long thought is enough while it goes on.
    constexpr size_t kTailBytes = 8 << 10;
    const std::string_view tail =
        std::string_view(reasoning_).substr(reasoning_.size() - std::min(reasoning_.size(), kTailBytes));
    lines = reasoning_block(tail, 0, /*folded=*/false, options_);
    if (fold_ && lines.size() > 4) lines.erase(lines.begin(), lines.end() - 4);
  } else if (running_) {
    lines = running_block(*running_, output_, options_);
  } else if (!call_.empty()) {
    lines.push_back(Line(options_.unicode ? "● " : "* ", coloured(Colour::kBlue))
                        .add("Writing ", kBold)
                        .add(printable(call_))
                        .add(fmt::format(" ({} bytes)", call_bytes_), kDim));
  } else {
    lines = answer_.pending();
  }
  if (lines.size() > rows) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(rows));
  return lines;
}

Lines ConversationView::toggle_reasoning() {
  fold_ = !fold_;
  if (fold_ || last_reasoning_.empty()) return {};
  return block(reasoning_block(std::exchange(last_reasoning_, {}), last_reasoning_seconds_, false, options_));
}

}  // namespace atelier::agent::tui
