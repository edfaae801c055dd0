// What the scheduler evaluates: steps that give running streams a token each, and passes over prompts.
#include <algorithm>

#include "engine/scheduler_worker.h"

namespace atelier {
namespace {

// Every so many passes the oldest prompt goes first; otherwise the one that is done soonest does. So short
// prompts overtake long ones and long ones still get on.
constexpr uint64_t kOldestFirstEvery = 4;
// So many tokens more in common with a neighbour are worth waiting until it has computed them.
constexpr size_t kWorthWaiting = 16;
// Streams are to have their tokens after this share of `max_stall`. The rest is for what nobody can foresee:
// other programs on the processors, the HTTP side of a request that comes in.
constexpr double kAimedAt = 0.75;
// Where decode steps alone take long, prompts have this share of `max_stall` between two of them all the
// same, or they would never be done.
constexpr double kLeastWork = 0.5;
// What is left, from one decode step to the next, of how long one took.
constexpr double kLongestKept = 0.9;
// Logits of a whole vocabulary are kept for this many rows at a time where all of a prompt's are wanted.
constexpr size_t kMaxLogitRows = 32;

size_t common_length(std::span<const TokenId> a, std::span<const TokenId> b) {
  const auto end = a.begin() + static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
  return static_cast<size_t>(std::mismatch(a.begin(), end, b.begin()).first - a.begin());
}

// The lengths inside a prompt that are worth a checkpoint: the first (the system prompt), the last, and such
// in between as leave passes long.
std::vector<size_t> spaced(std::span<const size_t> boundaries, size_t from, size_t end, size_t spacing) {
  std::vector<size_t> wanted;
  for (const size_t at : boundaries)
    if (at > from && at < end) wanted.push_back(at);
  std::vector<size_t> kept;
  for (size_t i = 0; i < wanted.size(); ++i)
    if (kept.empty() || i + 1 == wanted.size() || wanted[i] >= kept.back() + spacing)
      kept.push_back(wanted[i]);
  return kept;
}

void add_sorted(std::vector<size_t>& values, size_t value) {
  const auto at = std::ranges::lower_bound(values, value);
  if (at == values.end() || *at != value) values.insert(at, value);
}

}  // namespace

// One token for every running stream. False if there is none.
bool Scheduler::Worker::decode_step() {
  reap();
  std::vector<Sequence*> ready;
  for (const auto& sequence : running_)
    if (sequence->decoding() && !sequence->in_pass && !sequence->request->stream->resting())
      ready.push_back(sequence.get());
  last_decode_ = Clock::now();
  if (ready.empty()) return false;
  // Oldest first: whoever has to give way is younger, and looked at later.
  std::ranges::sort(ready, {}, &Sequence::age);
  for (Sequence* sequence : ready)
    if (is_running(sequence)) make_room(*sequence, 1);
  std::vector<Planned> plan;
  for (Sequence* sequence : ready)
    if (is_running(sequence)) plan.push_back({sequence, 1, Engine::Logits::kLast});
  if (!plan.empty()) {
    add_drafts(plan);
    evaluate(plan, {});
    count([](SchedulerMetrics& metrics) { ++metrics.decode_steps; });
  }
  const Clock::time_point end = Clock::now();
  size_t n_rows = 0;
  for (const Planned& planned : plan) n_rows += planned.n_tokens;
  if (n_rows > 0) {
    const double took = seconds(last_decode_, end);
    decode_cost_.passed(n_rows, took);
    // Guesses and neighbours make one step longer than the next: the longest of late counts.
    decode_seconds_ = std::max(took, kLongestKept * decode_seconds_);
  }
  last_decode_ = end;
  return true;
}

// Guesses to be evaluated along with the tokens of a decode step, where that is expected to pay.
void Scheduler::Worker::add_drafts(std::vector<Planned>& plan) {
  const DraftOptions& options = engine_->options().drafts;
  if (!options.enabled) return;
  std::vector<const Drafter*> drafters;
  std::vector<size_t> limits;
  for (const Planned& planned : plan) {
    Sequence& sequence = *planned.sequence;
    if (sequence.drafter == nullptr) {
      sequence.drafter = std::make_unique<Drafter>(sequence.request->asked.prediction);
      sequence.drafter->read(sequence.tokens);
    }
    drafters.push_back(sequence.drafter.get());
    // One token comes out in any case.
    const size_t wanted = sequence.request->asked.max_tokens - sequence.n_sampled() - 1;
    limits.push_back(std::min(wanted, engine_->context_length() - sequence.tokens.size()));
  }
  const std::vector<size_t> lengths = plan_drafts(drafters, limits, decode_cost_, options);
  for (size_t i = 0; i < plan.size(); ++i) {
    Sequence& sequence = *plan[i].sequence;
    // Only memory that nobody else needs is taken for guesses.
    if (lengths[i] == 0 || !sequence.kv.reserve(1 + lengths[i])) continue;
    const std::span<const TokenId> guess = sequence.drafter->guess(lengths[i]);
    sequence.draft.assign(1, sequence.tokens.back());
    sequence.draft.insert(sequence.draft.end(), guess.begin(), guess.end());
    plan[i].n_tokens = sequence.draft.size();
    plan[i].logits = Engine::Logits::kAll;
  }
}

// How long prompts may be worked on between two tokens of running streams.
double Scheduler::Worker::work_limit() const {
  const double stall = std::chrono::duration<double>(options_.max_stall).count();
  return std::max(kAimedAt * stall - decode_seconds_, kLeastWork * stall);
}

// One pass over prompts, with decode steps in between where it takes long. False if there are none.
bool Scheduler::Worker::prefill_pass() {
  const std::vector<Planned> plan = plan_prefill();
  if (plan.empty()) return false;
  ++n_passes_;
  PassParts parts;
  for (const Planned& planned : plan) parts.add(planned.n_tokens, planned.sequence->kv.length());
  const Clock::time_point begin = Clock::now();
  begin_parts(parts);
  evaluate(plan, [this](PassPart next) { interlude(next); });
  end_parts();
  const double rate = static_cast<double>(parts.n_tokens) /
                      std::max(seconds(begin, Clock::now()) - parts_.interlude_seconds, 1e-9);
  count([&](SchedulerMetrics& metrics) {
    metrics.prefill_tokens += parts.n_tokens;
    metrics.prefill_tokens_per_second = rate;
  });
  return true;
}

// A pass that can be interrupted begins: how long its parts are expected to take.
void Scheduler::Worker::begin_parts(const PassParts& parts) {
  parts_ = parts;
  parts_.product_expected = pace_.product_seconds(parts.n_tokens);
  parts_.attention_expected = pace_.pair_seconds() * parts.n_pairs;
  parts_.begin = Clock::now();
}

// One of its parts is over.
void Scheduler::Worker::end_part(Clock::time_point now) {
  double& longest =
      parts_.under_way == PassPart::kAttention ? parts_.attention_seconds : parts_.product_seconds;
  longest = std::max(longest, seconds(parts_.begin, now));
}

void Scheduler::Worker::end_parts() {
  end_part(Clock::now());
  pace_.passed(parts_.n_tokens, parts_.product_seconds, parts_.n_pairs, parts_.attention_seconds);
}

// In the middle of a pass: running streams get their tokens before they have waited too long.
void Scheduler::Worker::interlude(PassPart next) {
  const Clock::time_point now = Clock::now();
  end_part(now);
  parts_.under_way = next;
  parts_.begin = now;
  const double coming = next == PassPart::kAttention
                            ? std::max(parts_.attention_expected, parts_.attention_seconds)
                            : std::max(parts_.product_expected, parts_.product_seconds);
  // The next chance comes when that part is done.
  if (seconds(last_decode_, now) + coming < work_limit()) return;
  decode_step();
  parts_.begin = Clock::now();
  parts_.interlude_seconds += seconds(now, parts_.begin);
}

std::vector<Scheduler::Worker::Planned> Scheduler::Worker::plan_prefill() {
  std::vector<Sequence*> prompts;
  bool somebody_decodes = false;
  for (const auto& sequence : running_) {
    if (sequence->decoding()) {
      somebody_decodes |= !sequence->request->stream->resting();
    } else {
      prompts.push_back(sequence.get());
    }
  }
  const auto rank = [](const Sequence* sequence) { return std::pair(sequence->pending(), sequence->age()); };
  std::ranges::sort(prompts, {}, rank);
  if (n_passes_ % kOldestFirstEvery == kOldestFirstEvery - 1) {
    const auto oldest = std::ranges::min_element(prompts, {}, &Sequence::age);
    if (oldest != prompts.end()) std::rotate(prompts.begin(), oldest, oldest + 1);
  }
  // All begin before any gets its share: a later one may want a checkpoint from an earlier one.
  for (Sequence* sequence : prompts)
    if (!sequence->started && !waits_for_neighbour(*sequence)) start(*sequence);
  std::erase_if(prompts, [](const Sequence* sequence) { return !sequence->started; });
  return share_out(prompts, somebody_decodes);
}

// A pass over `prompts`, the first ones first: as much as fits, or as streams may wait for.
std::vector<Scheduler::Worker::Planned> Scheduler::Worker::share_out(std::span<Sequence* const> prompts,
                                                                     bool somebody_waits) {
  std::vector<Planned> plan;
  size_t budget = somebody_waits ? pace_.tokens(work_limit()) : pace_.max_tokens();
  double attention_left = work_limit();
  for (Sequence* sequence : prompts) {
    if (budget == 0 || (somebody_waits && !plan.empty() && attention_left <= 0)) break;
    if (!is_running(sequence)) continue;  // gave way to one before it
    const size_t depth = sequence->kv.length();
    size_t n = plan_tokens(*sequence, budget);
    if (somebody_waits) n = pace_.tokens_at(depth, n, std::max(attention_left, 0.0));
    if (!make_room(*sequence, n)) continue;
    sequence->in_pass = true;
    const bool all = sequence->request->asked.prompt_logprobs && !sequence->request->prompt_done;
    const bool last = n == sequence->pending();
    plan.push_back({sequence, n,
                    all    ? Engine::Logits::kAll
                    : last ? Engine::Logits::kLast
                           : Engine::Logits::kNone});
    budget -= n;
    attention_left -= pace_.attention_seconds(n, depth);
  }
  return plan;
}

// Of a prompt, up to the next checkpoint.
size_t Scheduler::Worker::plan_tokens(const Sequence& sequence, size_t budget) const {
  size_t n = std::min(sequence.pending(), budget);
  if (sequence.request->asked.prompt_logprobs) n = std::min(n, kMaxLogitRows);
  const auto next = std::ranges::upper_bound(sequence.checkpoints, sequence.kv.length());
  if (next != sequence.checkpoints.end()) n = std::min(n, *next - sequence.kv.length());
  return n;
}

// The neighbour that holds most of what the prompt begins with, and how much it can share.
std::pair<const ScheduledSequence*, size_t> Scheduler::Worker::best_neighbour(
    const Sequence& sequence) const {
  std::pair<const Sequence*, size_t> best = {nullptr, 0};
  for (const auto& other : running_) {
    if (other.get() == &sequence || !other->started) continue;
    const size_t common = std::min(common_length(other->tokens, sequence.tokens), sequence.tokens.size() - 1);
    const size_t length = std::min(common, other->kv.length());
    if (length > best.second && other->kv.can_truncate(length)) best = {other.get(), length};
  }
  return best;
}

// Whether a neighbour is about to compute what this prompt begins with too. One with windows then leaves a
// checkpoint where they part.
bool Scheduler::Worker::waits_for_neighbour(const Sequence& sequence) {
  if (sequence.request->asked.prompt_logprobs || options_.prefix_cache_bytes == 0) return false;
  const size_t limit = sequence.tokens.size() - 1;
  const size_t known = std::max(cache_.usable(sequence.tokens, limit), best_neighbour(sequence).second);
  for (const auto& other : running_) {
    if (other.get() == &sequence || !other->started || other->decoding() || other->cancelled()) continue;
    const size_t common = std::min(common_length(other->tokens, sequence.tokens), limit);
    if (common < known + kWorthWaiting || other->kv.length() >= common) continue;
    if (engine_->kv_pool().windowed()) add_sorted(other->checkpoints, common);
    return true;
  }
  return false;
}

// The beginning of a prompt: what the prefix cache has of it, and where to leave checkpoints in the rest.
void Scheduler::Worker::start(Sequence& sequence) {
  Request& request = *sequence.request;
  sequence.started = true;
  const bool first = !request.started;
  if (first) {
    request.started = Clock::now();
    count([&](SchedulerMetrics& metrics) {
      metrics.queue_seconds.add(seconds(request.submitted, *request.started));
    });
  }
  if ((request.asked.prompt_logprobs && !request.prompt_done) || options_.prefix_cache_bytes == 0) return;
  PrefixCache::Hit hit = cache_.find(sequence.tokens, sequence.tokens.size() - 1);
  if (hit.sequence) sequence.kv = std::move(*hit.sequence);
  if (const auto [neighbour, length] = best_neighbour(sequence); length > sequence.kv.length()) {
    sequence.kv = neighbour->kv.fork();
    sequence.kv.truncate(length);
  }
  if (first) request.usage.cached_tokens = sequence.kv.length();
  if (!engine_->kv_pool().windowed()) return;
  const size_t from = sequence.kv.length(), end = sequence.tokens.size();
  sequence.checkpoints = spaced(request.asked.boundaries, from, end, options_.checkpoint_spacing);
  // Others have come this way before and parted here.
  if (hit.matched > from) add_sorted(sequence.checkpoints, hit.matched);
}

// Evaluates the plan and what comes of it. An error of a whole pass may be that of one sequence in it: they
// are tried one by one, so that it fails alone.
void Scheduler::Worker::evaluate(std::span<const Planned> plan, const Interlude& interlude) {
  std::vector<Engine::Item> items;
  for (const Planned& planned : plan) {
    Sequence& sequence = *planned.sequence;
    const auto tokens =
        sequence.draft.empty()
            ? std::span<const TokenId>(sequence.tokens).subspan(sequence.kv.length(), planned.n_tokens)
            : std::span<const TokenId>(sequence.draft);
    items.push_back({&sequence.kv, tokens, planned.logits});
  }
  Result<MatView<const float>> logits = engine_->evaluate(items, interlude);
  count([](SchedulerMetrics& metrics) { ++metrics.steps; });
  if (logits) {
    absorb(plan, *logits);
    return;
  }
  // Files that went bad are nobody's in particular.
  if (plan.size() > 1 && logits.error().code != ErrorCode::kIo) {
    for (const Planned& planned : plan)
      if (is_running(planned.sequence)) evaluate({&planned, 1}, interlude);
    return;
  }
  for (const Planned& planned : plan) {
    planned.sequence->in_pass = false;
    planned.sequence->draft.clear();
  }
  for (const Planned& planned : plan)
    if (is_running(planned.sequence)) fail_request(*planned.sequence->request, logits.error());
}

}  // namespace atelier
