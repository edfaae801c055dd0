#include "cli/report.h"

namespace atelier::cli {
namespace {

double rate(size_t tokens, double seconds) { return seconds > 0 ? static_cast<double>(tokens) / seconds : 0; }

}  // namespace

void report_generation(const Globals& globals, const Session& session, const Generated& generated) {
  // Decoding evaluates every sampled token but the last.
  const size_t decoded = generated.tokens.empty() ? 0 : generated.tokens.size() - 1;
  note(
      globals,
      fmt::format("prompt: {} reused + {} computed in {:.3f} s ({:.1f} tok/s); answer: {} tokens in {:.3f} s "
                  "({:.1f} tok/s); stopped: {}",
                  session.reused(), session.computed(), generated.prefill_seconds,
                  rate(session.computed(), generated.prefill_seconds), generated.tokens.size(),
                  generated.decode_seconds, rate(decoded, generated.decode_seconds),
                  stop_reason_name(generated.reason)));
}

}  // namespace atelier::cli
