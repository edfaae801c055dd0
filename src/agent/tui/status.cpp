#include "agent/tui/status.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "agent/tui/blocks.h"
#include "base/file.h"

namespace atelier::agent::tui {
namespace {

std::optional<uint64_t> read_microjoules() {
  const Result<std::string> text = read_file("/sys/class/powercap/intel-rapl:0/energy_uj", 64);
  uint64_t value = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), value).ec != std::errc())
    return std::nullopt;
  return value;
}

std::string per_cent(double share) { return fmt::format("{:.0f} %", std::floor(100 * share)); }

// What tells a model from others: of a path or an owner's repository the last name.
std::string short_name(std::string_view model) {
  const size_t slash = model.find_last_of('/', model.size() < 2 ? 0 : model.size() - 2);
  return std::string(slash == std::string_view::npos ? model : model.substr(slash + 1));
}

double per_second(size_t n, double seconds) { return seconds > 0 ? static_cast<double>(n) / seconds : 0; }

}  // namespace

EnergyMeter::EnergyMeter() : begin_(read_microjoules()) {}

std::optional<double> EnergyMeter::joules() const {
  const auto now = read_microjoules();
  // A counter that began anew says nothing.
  if (!begin_ || !now || *now < *begin_) return std::nullopt;
  return static_cast<double>(*now - *begin_) * 1e-6;
}

void Totals::add(const AgentUsage& task) {
  ++tasks;
  usage.steps += task.steps;
  usage.prompt_tokens += task.prompt_tokens;
  usage.cached_tokens += task.cached_tokens;
  usage.output_tokens += task.output_tokens;
  usage.prefill_seconds += task.prefill_seconds;
  usage.decode_seconds += task.decode_seconds;
  usage.engine_seconds += task.engine_seconds;
  usage.forced_tokens += task.forced_tokens;
  usage.tool_seconds += task.tool_seconds;
}

Lines cost_lines(const Totals& totals, const EnergyMeter& energy) {
  const AgentUsage& usage = totals.usage;
  const size_t computed = usage.prompt_tokens - usage.cached_tokens;
  Lines lines = {
      Line(fmt::format("{} tasks, {} turns of the model", totals.tasks, usage.steps)),
      Line(fmt::format("prompts   {:>10} tokens, {} reused, {} computed in {} ({:.0f} tok/s)",
                       usage.prompt_tokens, usage.cached_tokens, computed,
                       duration_text(usage.prefill_seconds), per_second(computed, usage.prefill_seconds))),
      Line(fmt::format("answers   {:>10} tokens, {} without a choice, in {} ({:.1f} tok/s)",
                       usage.output_tokens, usage.forced_tokens, duration_text(usage.decode_seconds),
                       per_second(usage.output_tokens, usage.decode_seconds))),
      Line(fmt::format("tools     {:>10}", duration_text(usage.tool_seconds)))};
  if (const auto joules = energy.joules())
    lines.push_back(
        Line(fmt::format("energy    {:>10.0f} J of the whole processor since the start", *joules)));
  return lines;
}

Line status_line(const StatusFacts& facts, size_t width, bool unicode) {
  const AgentUsage& usage = facts.usage;
  struct Part {
    std::string text;
    int weight;  // the lightest goes first where there is no room
  };
  std::vector<Part> parts = {{facts.model.empty() ? "loading …" : short_name(facts.model), 9}};
  if (facts.context_limit > 0)
    parts.push_back({"context " + per_cent(static_cast<double>(facts.context_tokens) /
                                           static_cast<double>(facts.context_limit)),
                     5});
  if (usage.decode_seconds > 0)
    parts.push_back({fmt::format("{:.0f} tok/s", per_second(usage.output_tokens, usage.decode_seconds)), 2});
  if (usage.prompt_tokens > 0)
    parts.push_back(
        {per_cent(static_cast<double>(usage.cached_tokens) / static_cast<double>(usage.prompt_tokens)) +
             " reused",
         1});
  if (!facts.sandbox.empty()) parts.push_back({facts.sandbox, 6});
  if (facts.approve == "auto") parts.push_back({"approves all", 8});
  if (facts.n_changed > 0)
    parts.push_back({fmt::format("{} file{} changed", facts.n_changed, facts.n_changed == 1 ? "" : "s"), 7});
  for (;;) {
    std::string line;
    for (const Part& part : parts) line += (line.empty() ? "" : unicode ? " · " : " | ") + part.text;
    if (width_of(line) <= width || parts.size() == 1)
      return clipped(Line(printable(line), kDim), width, unicode);
    parts.erase(std::ranges::min_element(parts, {}, &Part::weight));
  }
}

Line prefill_line(const Prefill& prefill, double seconds, bool unicode) {
  constexpr size_t kCells = 20;
  const double share =
      prefill.total == 0 ? 1 : static_cast<double>(prefill.done) / static_cast<double>(prefill.total);
  const auto full = static_cast<size_t>(share * kCells);
  std::string bar;
  for (size_t i = 0; i < kCells; ++i) bar += i < full ? (unicode ? "█" : "#") : (unicode ? "░" : ".");
  Line line("  Reading " + count_text(prefill.done) + " of " + count_text(prefill.total) + " tokens ");
  line.add(bar, coloured(Colour::kBlue));
  if (prefill.done > 0 && seconds > 0.5)
    line.add(" " + duration_text(seconds * (1 / std::max(share, 1e-6) - 1)) + " left", kDim);
  return line;
}

Line working_line(double seconds, bool interrupting, bool unicode) {
  constexpr std::array<std::string_view, 10> kDots = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"};
  constexpr std::array<std::string_view, 4> kStrokes = {"|", "/", "-", "\\"};
  const auto tick = static_cast<size_t>(seconds * 10);
  Line line(std::string(unicode ? kDots[tick % kDots.size()] : kStrokes[tick % kStrokes.size()]) + " ",
            coloured(Colour::kBlue));
  line.add(interrupting ? "Interrupting" : "Working", kBold);
  // Whole seconds: a number that races is hard to look away from.
  line.add(
      " " + duration_text(std::floor(std::max(10.0, seconds)) == 10.0 && seconds < 10 ? std::floor(seconds)
                                                                                      : seconds),
      kDim);
  return line.add(unicode ? " · Esc interrupts" : ", Esc interrupts", kDim);
}

}  // namespace atelier::agent::tui
