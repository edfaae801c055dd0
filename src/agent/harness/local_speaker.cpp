#include "agent/harness/local_speaker.h"

#include <algorithm>

#include "agent/harness/clock.h"
#include "engine/token_filter.h"
#include "io/sha256.h"

namespace atelier::agent {
namespace {

// Of text that is read as one batch; the next batch takes what is left.
constexpr size_t kMaxForcedBytes = 1024;
constexpr size_t kForcedContext = 16;  // tokens in front of it

using chat::Conversation;

bool is_instruction(const chat::Message& message) {
  return message.role == chat::Role::kSystem || message.role == chat::Role::kDeveloper;
}

// Every turn draws from a stream of its own: a turn replayed after an undo says the same again.
uint64_t turn_seed(uint64_t seed, uint64_t turn) {
  uint64_t x = seed + 0x9e3779b97f4a7c15u * (turn + 1);  // splitmix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

// One turn while it is sampled.
struct LocalSpeaker::Sampling {
  std::unique_ptr<chat::Parser> parser;
  std::unique_ptr<chat::TurnConstraint> constraint;  // may be null
  std::vector<TokenId> prompt;
  std::vector<TokenId> tokens;
  std::vector<chat::Delta> deltas;
  std::vector<uint64_t> mask;
  std::string call;             // begun last
  std::vector<TokenId> forced;  // what must come next
  StopReason reason = StopReason::kMaxTokens;
  bool closed = false;
  size_t cached_tokens = 0;  // of the prompt
  size_t forced_tokens = 0;
  double prefill_seconds = 0, decode_seconds = 0, engine_seconds = 0;

  void show(const Options& options) {
    for (const chat::Delta& delta : deltas) {
      if (delta.kind == chat::Delta::Kind::kToolCallBegin) call = delta.name;
      if (options.on_delta) options.on_delta(delta);
    }
    deltas.clear();
  }

  // Takes one more token, sampled or forced. False: the turn is over.
  bool take(TokenId token, std::span<const TokenId> stops, const Options& options) {
    tokens.push_back(token);
    parser->push(token, deltas);
    show(options);
    if (std::ranges::find(stops, token) != stops.end() || parser->done()) {
      reason = StopReason::kStopToken;
      return false;
    }
    if (constraint) constraint->push(token, *parser, call);
    if (constraint && constraint->complete()) {
      reason = StopReason::kStopString;
      return false;
    }
    return true;
  }

  // Text that can only go on in one way is not sampled: its tokens are read as one batch.
  void force(constraint::ConstraintCache& constraints) {
    forced.clear();
    if (!constraint || !constraint->inside()) return;
    const std::string text = constraint->forced(kMaxForcedBytes);
    if (text.size() <= 1) return;
    force_text(text, constraints.tokenizer(), [&](std::string_view all) {
      return constraint::forced_tokens(all, constraints.tokenizer(), *constraints.vocabulary());
    });
  }

  // The shortest text that ends the call, or the answer in a form, which the turn is inside of; it may be
  // longer than what was set aside for it. False where there is none.
  bool close(const Tokenizer& tokenizer) {
    forced.clear();
    const std::string text = constraint->completion();
    if (text.empty()) return false;
    force_text(text, tokenizer, [&](std::string_view all) { return tokenizer.encode(all); });
    if (forced.empty()) forced = tokenizer.encode(text);  // what stands before was cut in another way
    return closed = true;
  }

  // Cut as the model would have, which depends on what stands before.
  template <class Cut>
  void force_text(const std::string& text, const Tokenizer& tokenizer, Cut&& cut_tokens) {
    size_t first = tokens.size();
    std::string all;
    while (first > 0 && tokens.size() - first < kForcedContext && !tokenizer.is_special(tokens[first - 1]))
      --first;
    for (size_t i = first; i < tokens.size(); ++i) all += tokenizer.token_bytes(tokens[i]);
    const auto before = std::span(tokens).subspan(first);
    const std::vector<TokenId> cut = cut_tokens(all + text);
    if (cut.size() > before.size() && std::equal(before.begin(), before.end(), cut.begin()))
      forced.assign(cut.begin() + static_cast<std::ptrdiff_t>(before.size()), cut.end());
  }
};

std::string LocalSpeaker::vocabulary() const {
  const Tokenizer& tokenizer = dialect_->tokenizer();
  std::string all(dialect_->name());
  for (size_t id = 0; id < tokenizer.vocab_size(); ++id) {
    all += tokenizer.token_bytes(static_cast<TokenId>(id));
    all += '\n';
  }
  return hex(sha256(all));
}

Result<std::vector<TokenId>> LocalSpeaker::next_prompt() const {
  return prompt_for(transcript_.conversation);
}

Result<std::vector<TokenId>> LocalSpeaker::prompt_for(const Conversation& conversation) const {
  if (transcript_.rendered == 0) {
    ATELIER_TRY(const chat::Prompt prompt, dialect_->render(conversation));
    return prompt.encode(dialect_->tokenizer());
  }
  ATELIER_TRY(chat::Continuation next,
              dialect_->render_continuation(transcript_.ids, conversation, transcript_.rendered));
  std::vector<TokenId> prompt(transcript_.ids.begin(),
                              transcript_.ids.begin() + static_cast<std::ptrdiff_t>(next.keep));
  prompt.insert(prompt.end(), next.append.begin(), next.append.end());
  return prompt;
}

// The next prompt goes on from what was said before the answer, whatever the answer is and whatever of it is
// dropped: a place that ends before the answer's header. Nothing is read where a template does not take two
// messages of the user in turn.
Result<bool> LocalSpeaker::read_said(const Sampling& turn, const PrefillOptions& reading) {
  const auto said = common_prompt(transcript_.conversation);
  if (!said) return false;
  const auto common = std::ranges::mismatch(*said, turn.prompt).in2 - turn.prompt.begin();
  if (common == 0 || common == std::ssize(turn.prompt)) return false;
  ATELIER_CHECK_OK(cache_.compute(std::span(turn.prompt).first(static_cast<size_t>(common)), reading));
  cache_.keep();
  return true;
}

// The instructions of a new conversation are a place of their own: other conversations begin there too.
Result<std::span<const float>> LocalSpeaker::read_prompt(Sampling& turn, const Options& options) {
  PrefillOptions reading{.cancel = options.cancel, .on_progress = options.on_prefill};
  const bool is_new = transcript_.rendered == 0;
  size_t before = 0;
  if (is_new) {
    if (options.on_prefill)
      reading.on_progress = [&](size_t done, size_t) {
        const size_t cached = before == 0 ? cache_.reused() : turn.cached_tokens;
        options.on_prefill(before + done, turn.prompt.size() - cached);
      };
    ATELIER_CHECK_OK(warm_up(reading));
    turn.cached_tokens = cache_.reused();
    before = cache_.computed();
    if (before > 0) cache_.save();
  }
  bool said = false;
  if (options.keep_place) {
    ATELIER_TRY(said, read_said(turn, reading));
    if (said && !is_new) turn.cached_tokens = cache_.reused();
    if (said) reading.on_progress = {};  // the few tokens that are left
  }
  auto logits = cache_.prefill(turn.prompt, reading);
  if (!said && !is_new) turn.cached_tokens = cache_.reused();
  if (!said && logits && options.keep_place) cache_.keep();
  return logits;
}

Status LocalSpeaker::sample(Sampling& turn, const Options& options) {
  const size_t room = cache_.engine().context_length() - turn.prompt.size();
  const size_t max_tokens = std::min(options.max_tokens, room);
  if (max_tokens == 0) {
    turn.reason = StopReason::kContextFull;
    return {};
  }
  SamplerOptions sampling = options.sampler;
  sampling.seed = turn_seed(options.sampler.seed, transcript_.turns);
  Sampler sampler(sampling, &dialect_->tokenizer());
  // The dialect's ends of a turn, and whatever else the model's file calls an end: unconstrained, a model may
  // say that one.
  std::vector<TokenId> stops = dialect_->stop_tokens();
  const std::vector<TokenId>& more_stops = cache_.engine().info().stop_tokens;
  stops.insert(stops.end(), more_stops.begin(), more_stops.end());
  Clock::time_point start = Clock::now();
  Result<std::span<const float>> logits = read_prompt(turn, options);
  turn.prefill_seconds = seconds_since(start);
  const double engine_before = cache_.engine_seconds();
  start = Clock::now();
  turn.mask.resize(token_mask_words(dialect_->tokenizer().vocab_size()));
  while (logits) {
    if (options.cancel != nullptr && options.cancel->load()) {
      turn.reason = StopReason::kInterrupted;
      break;
    }
    bool masked = false;
    if (turn.constraint) {
      ATELIER_TRY(masked, turn.constraint->allowed(turn.mask));
      if (masked && std::ranges::all_of(turn.mask, [](uint64_t word) { return word == 0; }))
        return fail(ErrorCode::kUnsupported, "nothing that this model could say next is allowed");
    }
    const uint64_t step = turn.tokens.size();
    const bool closes = masked && !turn.closed && step + options.closing_tokens >= max_tokens &&
                        turn.constraint->inside() && turn.close(dialect_->tokenizer());
    if (!closes) {
      const TokenId token = masked ? sampler.sample_masked(*logits, cache_.tokens(), step, turn.mask)
                                   : sampler.sample(*logits, cache_.tokens(), step);
      if (!turn.take(token, stops, options)) break;
      turn.force(*cache_.engine().constraints());
    }
    bool over = false;
    for (const TokenId forced : turn.forced) {
      if (turn.tokens.size() == (closes ? room : max_tokens)) break;
      ++turn.forced_tokens;
      over = !turn.take(forced, stops, options);
      if (over) break;
    }
    if (over) break;
    const size_t limit = turn.closed && turn.constraint->inside() ? room : max_tokens;
    if (turn.tokens.size() >= limit) {
      turn.reason = limit == room ? StopReason::kContextFull : StopReason::kMaxTokens;
      break;
    }
    logits = cache_.append(std::span(turn.tokens).subspan(step));
  }
  turn.decode_seconds = seconds_since(start);
  turn.engine_seconds = cache_.engine_seconds() - engine_before;
  if (!logits && logits.error().code != ErrorCode::kInterrupted)
    return tl::unexpected<Error>(std::move(logits).error());
  if (!logits) turn.reason = StopReason::kInterrupted;
  return {};
}

Result<LocalSpeaker::Turn> LocalSpeaker::speak(const Options& options) {
  ATELIER_CHECK_OK(check_sampler_options(options.sampler));
  Sampling turn;
  ATELIER_TRY(turn.prompt, next_prompt());
  const size_t context = cache_.engine().context_length();
  if (turn.prompt.size() >= context)
    return fail(ErrorCode::kLimit, "the conversation has {} tokens, the context {}", turn.prompt.size(),
                context);
  turn.parser = dialect_->new_parser(chat::parser_options(transcript_.conversation));
  ATELIER_TRY(turn.constraint, rules_->begin(transcript_.conversation));
  ATELIER_CHECK_OK(sample(turn, options));
  Turn out;
  out.reason = turn.reason;
  out.message = turn.parser->finish(turn.deltas);
  turn.show(options);
  out.finish = turn.parser->finish_reason();
  if (turn.reason == StopReason::kStopString && !out.message.tool_calls.empty())
    out.finish = chat::FinishReason::kToolCalls;
  out.prompt_tokens = turn.prompt.size();
  out.cached_tokens = turn.cached_tokens;
  out.output_tokens = turn.tokens.size();
  out.forced_tokens = turn.forced_tokens;
  out.closed = turn.closed;
  out.prefill_seconds = turn.prefill_seconds;
  out.decode_seconds = turn.decode_seconds;
  out.engine_seconds = turn.engine_seconds;
  transcript_.ids = std::move(turn.prompt);
  transcript_.ids.insert(transcript_.ids.end(), turn.tokens.begin(), turn.tokens.end());
  append(out.message);
  return out;
}

Result<std::vector<TokenId>> LocalSpeaker::common_prompt(const Conversation& so_far) const {
  std::vector<std::vector<TokenId>> prompts;
  for (const char* text : {"a", "b"}) {
    Conversation with_user = so_far;
    with_user.messages.push_back({.role = chat::Role::kUser, .content = text});
    ATELIER_TRY(prompts.emplace_back(), prompt_for(with_user));
  }
  const auto common = std::ranges::mismatch(prompts[0], prompts[1]).in1 - prompts[0].begin();
  prompts[0].resize(static_cast<size_t>(common));
  return std::move(prompts[0]);
}

Result<std::vector<TokenId>> LocalSpeaker::known_prompt() const {
  Conversation so_far = transcript_.conversation;
  if (transcript_.rendered == 0) {
    const auto said = std::ranges::find_if_not(so_far.messages, is_instruction);
    so_far.messages.erase(said, so_far.messages.end());
  }
  return common_prompt(so_far);
}

Status LocalSpeaker::warm_up(const PrefillOptions& options) {
  // With something unanswered the next prompt is known as a whole, and is not idle work.
  if (transcript_.rendered > 0 && transcript_.rendered != transcript_.conversation.messages.size()) return {};
  ATELIER_TRY(const std::vector<TokenId> known, known_prompt());
  if (known.empty() || known.size() >= cache_.engine().context_length()) return {};
  ATELIER_CHECK_OK(cache_.compute(known, options));
  cache_.keep();
  return {};
}

}  // namespace atelier::agent
