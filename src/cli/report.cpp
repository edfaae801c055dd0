#include "cli/report.h"

namespace atelier::cli {
namespace {

double rate(size_t tokens, double seconds) { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }

}  // namespace

void report_generation(const Globals& globals, const Session& session, const Generated& generated) {
  // Decoding evaluates every sampled token but the last.
  const size_t decoded = generated.tokens.empty() ? 0 : generated.tokens.size() - 1;
  const LookaheadCounts& ahead = generated.lookahead;
  const std::string speculation =
      ahead.drafted == 0 ? std::string()
                         : fmt::format("; {:.2f} tokens a pass, {} of {} guesses right",
                                       static_cast<double>(ahead.tokens) / static_cast<double>(ahead.passes),
                                       ahead.accepted, ahead.drafted);
  note(
      globals,
      fmt::format("prompt: {} reused + {} computed in {:.3f} s ({:.1f} tok/s); answer: {} tokens in {:.3f} s "
                  "({:.1f} tok/s){}; stopped: {}",
                  session.reused(), session.computed(), generated.prefill_seconds,
                  rate(session.computed(), generated.prefill_seconds), generated.tokens.size(),
                  generated.decode_seconds, rate(decoded, generated.decode_seconds), speculation,
                  stop_reason_name(generated.reason)));
}

}  // namespace atelier::cli
