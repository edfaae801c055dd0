// The lines that tell how things stand: progress of a prompt, what goes on, and what has been used.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "agent/harness/events.h"
#include "agent/tui/styled.h"
#include "agent/tui/worker.h"

namespace atelier::agent::tui {

// Joules the processor has used since this was made, where the kernel tells (powercap); it counts everything
// that runs on the machine.
class EnergyMeter {
 public:
  EnergyMeter();
  std::optional<double> joules() const;

 private:
  std::optional<uint64_t> begin_;
};

// Sums over the tasks of a program's run.
struct Totals {
  size_t tasks = 0;
  AgentUsage usage{};
  void add(const AgentUsage& task);
};
Lines cost_lines(const Totals& totals, const EnergyMeter& energy);

struct StatusFacts {
  std::string model{}, sandbox{}, approve{};
  AgentUsage usage{};  // of the last task
  size_t context_tokens = 0, context_limit = 0;
  size_t n_changed = 0, n_queued = 0;
};
// "model · context 12 % · 34 tok/s · 98 % reused · workspace, no network, tier A · 3 files changed"; what
// matters least is left out where there is no room.
Line status_line(const StatusFacts& facts, size_t width, bool unicode);

// "Reading 1.2k of 8.0k tokens ████░░░░ 12 s left".
Line prefill_line(const Prefill& prefill, double seconds, bool unicode);
// "⠙ Working 12 s · Esc interrupts". `seconds` also chooses the picture.
Line working_line(double seconds, bool interrupting, bool unicode);

}  // namespace atelier::agent::tui
