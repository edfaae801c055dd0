#include "server/turn_reader.h"

#include <algorithm>
#include <array>
#include <random>

namespace atelier::server {
namespace {

using chat::Delta;
using chat::Section;

class RawParser final : public chat::Parser {
 public:
  explicit RawParser(const Tokenizer& tokenizer) : tokenizer_(tokenizer), decoder_(tokenizer) {}

  void push(TokenId id, std::vector<Delta>& out) override {
    if (!tokenizer_.is_special(id)) add(decoder_.push(id), out);
  }
  bool done() const override { return false; }
  Section section() const override { return Section::kFinal; }
  chat::Message finish(std::vector<Delta>& out) override {
    add(decoder_.finish(), out);
    chat::Message message{.role = chat::Role::kAssistant};
    message.content = std::move(text_);
    return message;
  }
  chat::FinishReason finish_reason() const override { return chat::FinishReason::kStop; }
  std::span<const chat::RawMessage> raw_messages() const override { return {}; }

 private:
  void add(std::string text, std::vector<Delta>& out) {
    if (text.empty()) return;
    text_ += text;
    out.push_back({.kind = Delta::Kind::kFinal, .text = std::move(text)});
  }
  const Tokenizer& tokenizer_;
  StreamDecoder decoder_;
  std::string text_;
};

Finish finish_of(EndReason reason, chat::FinishReason turn) {
  if (reason != EndReason::kStop) return Finish::kLength;
  return turn == chat::FinishReason::kToolCalls ? Finish::kToolCalls : Finish::kStop;
}

}  // namespace

std::string new_id(std::string_view prefix) {
  constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
  thread_local std::mt19937_64 generator{std::random_device{}()};
  std::uniform_int_distribution<size_t> pick(0, kAlphabet.size() - 1);
  std::string id(prefix);
  for (int i = 0; i < 24; ++i) id += kAlphabet[pick(generator)];
  return id;
}

std::unique_ptr<chat::Parser> make_raw_parser(const Tokenizer& tokenizer) {
  return std::make_unique<RawParser>(tokenizer);
}

TurnReader::TurnReader(Options options)
    : parser_(std::move(options.parser)),
      stop_list_(options.stops),
      stops_(std::move(options.stops)),
      logprobs_(options.logprobs),
      call_prefix_(std::move(options.call_prefix)) {}

TurnReader::Step TurnReader::push(const TokenEvent& event) {
  Step step;
  const Section before = parser_->section();
  std::vector<Delta> deltas;
  parser_->push(event.token, deltas);
  if (before == Section::kReasoning) ++result_.reasoning_tokens;
  const bool of_answer = before == Section::kFinal && parser_->section() == Section::kFinal && !event.is_stop;
  if (logprobs_ && of_answer) {
    step.tokens.push_back({event.token, event.logprob, event.top});
    result_.tokens.push_back(step.tokens.back());
  }
  pass_on(std::move(deltas), step);
  return step;
}

void TurnReader::pass_on(std::vector<Delta> deltas, Step& step) {
  for (Delta& delta : deltas) {
    if (delta.kind == Delta::Kind::kFinal) {
      answer_ += delta.text;
      delta.text = stops_.push(delta.text);
      if (delta.text.empty()) continue;
    } else if (stops_.stopped()) {
      continue;
    } else if (delta.kind == Delta::Kind::kToolCallBegin) {
      delta.id = new_call_id();
    }
    step.deltas.push_back(std::move(delta));
  }
}

std::string TurnReader::new_call_id() { return call_ids_.emplace_back(new_id(call_prefix_)); }

TurnReader::Step TurnReader::finish(EndReason reason) {
  Step step;
  std::vector<Delta> deltas;
  chat::Message message = parser_->finish(deltas);
  // What a limit cut off did not end.
  if (reason == EndReason::kLength)
    std::erase_if(deltas, [&](const Delta& delta) {
      return delta.kind == Delta::Kind::kMessageEnd ||
             (delta.kind == Delta::Kind::kToolCallEnd && !message.tool_calls[delta.call].complete);
    });
  pass_on(std::move(deltas), step);
  if (const std::string rest = stops_.finish(); !rest.empty())
    step.deltas.push_back({.kind = Delta::Kind::kFinal, .text = rest});
  for (size_t i = 0; i < message.tool_calls.size() && i < call_ids_.size(); ++i)
    message.tool_calls[i].id = call_ids_[i];
  // Whatever token a family ends its turns with.
  const bool called = !message.tool_calls.empty();
  result_.finish = finish_of(reason, called ? chat::FinishReason::kToolCalls : parser_->finish_reason());
  if (stops_.stopped()) {
    size_t first = std::string::npos;
    for (const std::string& stop : stop_list_)
      if (const size_t at = answer_.find(stop); at < first) {
        first = at;
        result_.stop_sequence = stop;
      }
    message.content = answer_.substr(0, first);
    message.tool_calls.clear();
    result_.finish = Finish::kStopSequence;
  }
  result_.message = std::move(message);
  return step;
}

}  // namespace atelier::server
