#include "chat/turn_filter.h"

#include <algorithm>

#include "chat/turn_constraint.h"
#include "engine/generate.h"

namespace atelier::chat {
namespace {

class TurnFilter final : public TokenFilter {
 public:
  static Result<std::unique_ptr<TokenFilter>> create(std::shared_ptr<const TurnFilterOptions> options) {
    auto filter = std::make_unique<TurnFilter>(options);
    ATELIER_TRY(filter->constraint_,
                make_turn_constraint(*options->dialect, *options->conversation, options->constraints));
    return filter;
  }
  explicit TurnFilter(std::shared_ptr<const TurnFilterOptions> options)
      : options_(std::move(options)),
        parser_(options_->dialect->new_parser(parser_options(*options_->conversation))),
        stops_(options_->stops) {}

  Result<bool> allowed(std::span<uint64_t> mask) override {
    if (!constraint_) return false;
    return constraint_->allowed(mask);
  }

  bool accept(TokenId token) override {
    seen_.push_back(token);
    parser_->push(token, deltas_);
    bool over = parser_->done();
    for (const Delta& delta : deltas_) {
      if (delta.kind == Delta::Kind::kToolCallBegin) call_ = delta.name;
      if (delta.kind == Delta::Kind::kFinal) stops_.push(delta.text);
      if (delta.kind == Delta::Kind::kToolCallEnd) over |= !options_->conversation->parallel_tool_calls;
    }
    deltas_.clear();
    if (constraint_) {
      constraint_->push(token, *parser_, call_);
      over |= constraint_->complete();
    }
    return !over && !stops_.stopped();
  }

  // Parsers cannot be copied; a second one that has read the same is as good.
  std::unique_ptr<TokenFilter> clone() const override {
    auto copy = create(options_).value();
    for (const TokenId token : seen_) copy->accept(token);
    return copy;
  }

 private:
  std::shared_ptr<const TurnFilterOptions> options_;
  std::unique_ptr<Parser> parser_;
  std::unique_ptr<TurnConstraint> constraint_;  // null: nothing is enforced
  StopStringFilter stops_;
  std::string call_;  // begun last
  std::vector<TokenId> seen_;
  std::vector<Delta> deltas_;
};

class TextFilter final : public TokenFilter {
 public:
  TextFilter(TextFilterOptions options, const std::shared_ptr<constraint::Constraint>& format)
      : tokenizer_(options.constraints->shared_tokenizer()),
        decoder_(*tokenizer_),
        stops_(std::move(options.stops)),
        stop_tokens_(std::move(options.stop_tokens)) {
    if (format) matcher_.emplace(format);
  }

  Result<bool> allowed(std::span<uint64_t> mask) override {
    if (!matcher_) return false;
    ATELIER_CHECK_OK(matcher_->allowed(mask));
    if (matcher_->can_end())
      for (const TokenId id : stop_tokens_)
        mask[static_cast<size_t>(id) / 64] |= uint64_t{1} << (static_cast<size_t>(id) % 64);
    return true;
  }
  bool accept(TokenId token) override {
    if (matcher_ && !matcher_->accept(token, *tokenizer_)) return false;
    stops_.push(decoder_.push(token));
    return !stops_.stopped() && !(matcher_ && matcher_->is_complete());
  }
  std::unique_ptr<TokenFilter> clone() const override { return std::make_unique<TextFilter>(*this); }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  StreamDecoder decoder_;
  StopStringFilter stops_;
  std::vector<TokenId> stop_tokens_;
  std::optional<constraint::ConstraintMatcher> matcher_;
};

}  // namespace

Result<std::unique_ptr<TokenFilter>> make_turn_filter(TurnFilterOptions options) {
  return TurnFilter::create(std::make_shared<const TurnFilterOptions>(std::move(options)));
}

Result<std::unique_ptr<TokenFilter>> make_text_filter(TextFilterOptions options) {
  ATELIER_TRY(const auto format, answer_constraint(options.format, *options.constraints));
  if (!format && options.stops.empty()) return nullptr;
  return std::make_unique<TextFilter>(std::move(options), format);
}

}  // namespace atelier::chat
