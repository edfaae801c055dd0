// What an agent costs beside its model, and whether what a model calls can be run: `bench_agent_calls MODEL
// [CALLS]`. The model has to call a tool in every turn and may say what it likes; commands run in the sandbox
// of a folder made for it.
//
// Prints one JSON object: calls made, of these with arguments that parse and that the tool takes; seconds of
// decoding and, for the same tokens, of the engine alone.
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "agent/harness/workbench.h"

namespace atelier::agent {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

struct Counter final : AgentObserver {
  explicit Counter(const Toolbox& toolbox) : toolbox(toolbox) {}
  void on_item(Phase phase, const Item& item, std::string_view) override {
    if (phase != Phase::kCompleted || item.tool.empty()) return;
    ++calls;
    const Tool* tool = toolbox.find(item.tool);
    const bool parses = tool != nullptr && parse_arguments(*tool, item.arguments);
    parsed += parses ? 1 : 0;
    // Tools say "expected …" where arguments make no sense to them.
    const bool runs =
        parses && !item.output.starts_with("expected") && !item.output.starts_with("The call was cut off");
    executable += runs ? 1 : 0;
    if (!runs) fmt::print(stderr, "not executable: {} {}\n{}\n", item.tool, item.arguments, item.output);
  }
  const Toolbox& toolbox;
  size_t calls = 0, parsed = 0, executable = 0;
};

// The same tokens through the engine alone: everything else is the agent's.
Result<double> engine_seconds(Engine& engine, std::span<const TokenId> prompt,
                              std::span<const TokenId> sampled) {
  Session session(engine);
  ATELIER_CHECK_OK(session.prefill(prompt).map([](const auto&) {}));
  const Clock::time_point begin = Clock::now();
  for (const TokenId id : sampled.first(sampled.size() - 1))
    ATELIER_CHECK_OK(session.append(id).map([](const auto&) {}));
  return seconds_since(begin);
}

Status run(const std::string& model, size_t wanted, const std::filesystem::path& scratch) {
  ATELIER_TRY(const std::unique_ptr<Engine> engine, Engine::load(model, {.context = 8192}));
  const std::filesystem::path work = scratch / "work";
  std::filesystem::create_directories(work / "src");
  std::ofstream(work / "README.md") << "# A calculator\n";
  std::ofstream(work / "src/sum.py") << "def add(a, b):\n    return a - b\n";
  WorkbenchOptions options{
      .folder = work, .session_folder = scratch / "session", .journal_folder = scratch / "edits"};
  options.agent.sampler.temperature = 1;
  options.agent.budget.step_tokens = 200;
  options.agent.budget.steps = 1;
  double decode = 0, alone = 0;
  size_t tokens = 0, calls = 0, parsed = 0, executable = 0;
  for (uint64_t seed = 0; calls < wanted; ++seed) {
    options.agent.sampler.seed = seed;
    ATELIER_TRY(const std::unique_ptr<Workbench> bench, Workbench::open(*engine, options));
    Counter counter(bench->toolbox());
    bench->speaker().choose_tools({.kind = chat::ToolChoice::Kind::kRequired});
    ATELIER_TRY(const TaskEnd end, bench->agent().run("Find out why add(2, 2) is 0 and mend it.", counter));
    calls += std::max<size_t>(1, counter.calls);  // a turn without a call counts against it
    parsed += counter.parsed;
    executable += counter.executable;
    const std::vector<TokenId>& ids = bench->speaker().transcript().ids;
    const size_t n = end.usage.output_tokens;
    if (n < 2) continue;
    ATELIER_TRY(const double engine_alone,
                engine_seconds(*engine, std::span(ids).first(ids.size() - n), std::span(ids).last(n)));
    decode += end.usage.decode_seconds;
    alone += engine_alone;
    tokens += n;
  }
  fmt::print(
      "{{\"calls\":{},\"parsed\":{},\"executable\":{},\"tokens\":{},\"decode_s\":{:.3f},\"engine_s\":{:.3f},"
      "\"overhead\":{:.4f}}}\n",
      calls, parsed, executable, tokens, decode, alone, alone > 0 ? decode / alone - 1 : 0);
  return {};
}

}  // namespace
}  // namespace atelier::agent

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: {} MODEL [CALLS]\n", argv[0]);
    return 2;
  }
  std::string scratch = (std::filesystem::temp_directory_path() / "atelier-calls-XXXXXX").string();
  if (::mkdtemp(scratch.data()) == nullptr) return 1;
  const auto done =
      atelier::agent::run(argv[1], argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 100, scratch);
  std::error_code none;
  std::filesystem::remove_all(scratch, none);
  if (!done) fmt::print(stderr, "{}\n", done.error().message);
  return done ? 0 : 1;
}
