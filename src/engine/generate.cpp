#include "engine/generate.h"

#include <algorithm>
#include <chrono>

namespace atelier {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool cancelled(const GenerateOptions& options) { return options.cancel != nullptr && options.cancel->load(); }

}  // namespace

std::string_view stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::kStopToken:
      return "stop token";
    case StopReason::kStopString:
      return "stop string";
    case StopReason::kMaxTokens:
      return "token limit";
    case StopReason::kContextFull:
      return "context full";
    case StopReason::kInterrupted:
      return "interrupted";
  }
  return "unknown";
}

Result<Generated> generate(Session& session, std::span<const TokenId> prompt,
                           const GenerateOptions& options) {
  ATELIER_CHECK_OK(check_sampler_options(options.sampler));
  Generated out;
  Sampler sampler(options.sampler, session.engine().shared_tokenizer().get());
  const Clock::time_point start = Clock::now();
  Result<std::span<const float>> logits =
      session.prefill(prompt, {.cancel = options.cancel, .on_progress = options.on_prefill});
  if (!logits && logits.error().code == ErrorCode::kInterrupted) {
    out.reason = StopReason::kInterrupted;
    return out;
  }
  if (!logits) return tl::unexpected<Error>(std::move(logits).error());
  out.prefill_seconds = seconds_since(start);
  const Clock::time_point decode_start = Clock::now();
  const LookaheadCounts before = session.lookahead();
  while (out.tokens.size() < options.max_tokens) {
    if (cancelled(options)) {
      out.reason = StopReason::kInterrupted;
      break;
    }
    const auto allowed = options.allowed ? options.allowed() : std::nullopt;
    const TokenId token = sampler.sample(*logits, session.tokens(), out.tokens.size(), allowed);
    out.tokens.push_back(token);
    if (std::ranges::find(options.stop_tokens, token) != options.stop_tokens.end()) {
      out.reason = StopReason::kStopToken;
      break;
    }
    if (options.on_token && !options.on_token(token)) {
      out.reason = StopReason::kStopString;
      break;
    }
    if (out.tokens.size() == options.max_tokens) break;
    if (session.tokens().size() == session.engine().context_length()) {
      out.reason = StopReason::kContextFull;
      break;
    }
    logits = session.append(token);
    if (!logits) return tl::unexpected<Error>(std::move(logits).error());
  }
  out.decode_seconds = seconds_since(decode_start);
  out.lookahead = session.lookahead().since(before);
  return out;
}

StopStringFilter::StopStringFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase(stops_, std::string());
}

std::string StopStringFilter::push(std::string_view text) {
  if (stopped_) return {};
  held_ += text;
  size_t first = std::string::npos;
  for (const std::string& stop : stops_) first = std::min(first, held_.find(stop));
  if (first != std::string::npos) {
    stopped_ = true;
    held_.resize(first);
    return std::exchange(held_, {});
  }
  // The longest end of the text that begins some stop string has to wait.
  size_t wait = 0;
  for (const std::string& stop : stops_)
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > wait; --n)
      if (std::string_view(held_).substr(held_.size() - n) == std::string_view(stop).substr(0, n)) wait = n;
  std::string ready = held_.substr(0, held_.size() - wait);
  held_.erase(0, held_.size() - wait);
  return ready;
}

std::string StopStringFilter::finish() { return stopped_ ? std::string() : std::exchange(held_, {}); }

}  // namespace atelier
