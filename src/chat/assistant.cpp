#include "chat/assistant.h"

#include <algorithm>
#include <map>

namespace atelier::chat {
namespace {

// Applies stop strings to the text of the answer; reasoning and tool calls pass as they are.
class DeltaStream {
 public:
  DeltaStream(const std::function<bool(const Delta&)>& sink, std::vector<std::string> stops)
      : sink_(sink), filter_(std::move(stops)) {}

  // False once the turn has to end.
  bool push(std::vector<Delta>& deltas) {
    for (Delta& delta : deltas) {
      if (delta.kind == Delta::Kind::kFinal) {
        delta.text = filter_.push(delta.text);
        answer_ += delta.text;
        if (delta.text.empty() && !filter_.stopped()) continue;
      }
      if (sink_ && !sink_(delta)) return false;
      if (filter_.stopped()) return false;
    }
    deltas.clear();
    return true;
  }
  void finish() {
    const Delta rest{.kind = Delta::Kind::kFinal, .text = filter_.finish(), .id = {}, .name = {}};
    answer_ += rest.text;
    if (!rest.text.empty() && sink_) sink_(rest);
  }
  const std::string& answer() const { return answer_; }
  bool stopped() const { return filter_.stopped(); }

 private:
  const std::function<bool(const Delta&)>& sink_;
  StopStringFilter filter_;
  std::string answer_;
};

}  // namespace

Result<std::vector<TokenId>> Assistant::next_prompt() const {
  if (rendered_ == 0) {
    ATELIER_TRY(const Prompt prompt, dialect_->render(conversation_));
    return prompt.encode(dialect_->tokenizer());
  }
  ATELIER_TRY(Continuation next, dialect_->render_continuation(history_, conversation_, rendered_));
  std::vector<TokenId> prompt(history_.begin(), history_.begin() + static_cast<std::ptrdiff_t>(next.keep));
  prompt.insert(prompt.end(), next.append.begin(), next.append.end());
  return prompt;
}

Result<Assistant::Turn> Assistant::respond(const Options& options) {
  ATELIER_TRY(std::vector<TokenId> prompt, next_prompt());
  const std::unique_ptr<Parser> parser = dialect_->new_parser(parser_options(conversation_));
  const std::unique_ptr<HeaderMask> mask = dialect_->new_header_mask(conversation_);
  DeltaStream stream(options.on_delta, options.stop);
  std::vector<Delta> deltas;

  GenerateOptions generation{.sampler = options.sampler,
                             .max_tokens = options.max_tokens,
                             .stop_tokens = dialect_->stop_tokens(),
                             .cancel = options.cancel,
                             .on_prefill = options.on_prefill};
  if (mask) generation.allowed = [&] { return mask->allowed(); };
  generation.on_token = [&](TokenId id) {
    if (mask) mask->push(id);
    parser->push(id, deltas);
    return stream.push(deltas) && !parser->done();
  };
  ATELIER_TRY(Generated generated, generate(session_, prompt, generation));
  if (generated.reason == StopReason::kStopToken) parser->push(generated.tokens.back(), deltas);
  Turn turn{.message = {}, .finish = FinishReason::kStop, .generated = {}};
  stream.push(deltas);
  turn.message = parser->finish(deltas);
  stream.push(deltas);
  stream.finish();
  if (stream.stopped()) turn.message.content = stream.answer();
  turn.finish = parser->finish_reason();
  history_ = std::move(prompt);
  history_.insert(history_.end(), generated.tokens.begin(), generated.tokens.end());
  conversation_.messages.push_back(turn.message);
  rendered_ = conversation_.messages.size();
  turn.generated = std::move(generated);
  return turn;
}

}  // namespace atelier::chat
