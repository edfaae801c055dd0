// Whether what a model calls can be run, and what an agent costs beside its model.
//
//   bench_agent_calls MODEL [CALLS]              any tool; the model has to call one in every turn
//   bench_agent_calls --patches MODEL [PATCHES]  apply_patch only, held to the files and then not
//
// The model may say what it likes at temperature 1; commands run in the sandbox of a folder made for it.
// Prints JSON: calls made, of these with arguments that parse and that the tool takes (also those that were
// closed because their tokens ran out, which an agent does not run); the part of decoding that is not the
// engine's; how much of the turn before the next one found in the cache. Of patches: how many apply at the
// first attempt.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "agent/harness/workbench.h"
#include "agent/patch/plan.h"

namespace atelier::agent {
namespace {

constexpr std::string_view kTask =
    "Find out why add(2, 2) is 0 and mend it. The code is in @src/sum.py and @src/table.c, see @README.md.";

// Puts back what an earlier turn changed.
void write_files(const std::filesystem::path& work) {
  std::filesystem::create_directories(work);  // itself it stays: the workspace holds it open
  for (const auto& entry : std::filesystem::directory_iterator(work)) std::filesystem::remove_all(entry);
  std::filesystem::create_directories(work / "src");
  std::ofstream(work / "README.md")
      << "# A calculator\n\nIt adds and multiplies.\n\n    python3 src/sum.py\n";
  std::ofstream(work / "src/sum.py") << "def add(a, b):\n    return a - b\n\n\ndef multiply(a, b):\n"
                                        "    return a * b\n\n\nprint(add(2, 2))\nprint(multiply(2, 2))\n";
  std::ofstream table(work / "src/table.c");
  table << "#include <stdio.h>\n\n";
  for (int i = 0; i < 40; ++i)
    table << "static int row_" << i << "(int x) {\n  return x * " << i << ";\n}\n\n";
}

struct Counter final : AgentObserver {
  explicit Counter(Workbench& bench) : bench(bench) {}
  void on_usage(const AgentUsage& now) override { usage = now; }
  void on_item(Phase phase, const Item& item, std::string_view) override {
    if (phase != Phase::kCompleted || item.tool.empty()) return;
    ++calls;
    const Tool* tool = bench.toolbox().find(item.tool);
    const auto arguments = tool == nullptr ? Result<Json>(fail(ErrorCode::kNotFound, "no such tool"))
                                           : parse_arguments(*tool, item.arguments);
    parsed += arguments ? 1 : 0;
    const bool was_closed = item.output.starts_with("The call was too long");
    const bool was_cut = item.output.starts_with("The call was cut off");
    closed += was_closed ? 1 : 0;
    cut += was_cut ? 1 : 0;
    // Tools say "expected …" where arguments make no sense to them.
    bool runs = arguments && !was_cut && !item.output.starts_with("expected");
    if (arguments && item.kind == Item::Kind::kPatch && item.tool.ends_with("apply_patch")) {
      runs = runs && (was_closed ? plans(*arguments) : item.state == Item::State::kCompleted);
      applied += runs ? 1 : 0;
    }
    executable += runs ? 1 : 0;
    if (!runs && quiet == 0) fmt::print(stderr, "{} {}\n{}\n", item.tool, item.arguments, item.output);
  }
  bool plans(const Json& arguments) const {
    const std::string* text = text_argument(arguments, {"patch"});
    if (text == nullptr) return false;
    const auto patch = parse_patch(*text);
    return patch && plan_patch(bench.workspace(), *patch);
  }

  Workbench& bench;
  AgentUsage usage;
  int quiet = 0;
  size_t calls = 0, parsed = 0, executable = 0, closed = 0, cut = 0, applied = 0;
};

Result<std::unique_ptr<Workbench>> open(Engine& engine, const std::filesystem::path& scratch, bool bind,
                                        size_t step_tokens) {
  write_files(scratch / "work");
  WorkbenchOptions options{.folder = scratch / "work",
                           .session_folder = scratch / "session",
                           .journal_folder = scratch / "edits",
                           .bind_patches = bind,
                           .date = "2025-06-28"};
  options.agent.sampler.temperature = 1;
  options.agent.budget.step_tokens = step_tokens;
  options.agent.budget.steps = 1;
  return Workbench::open(engine, std::move(options));
}

Status run_calls(Engine& engine, size_t wanted, const std::filesystem::path& scratch) {
  // Room for what a call needs, and for 96 tokens in which it is closed.
  ATELIER_TRY(const std::unique_ptr<Workbench> bench, open(engine, scratch, true, 140));
  const Transcript opening = bench->speaker().transcript();
  Counter counter(*bench);
  double decode = 0, in_engine = 0, reuse = 1;
  size_t tokens = 0, forced = 0, silent = 0;
  // Sessions of four steps: a call a step.
  for (uint64_t seed = 0; counter.calls + silent < wanted; ++seed) {
    Agent& agent = bench->agent();
    agent.options().sampler.seed = seed;
    agent.options().budget.steps = std::min<size_t>(4, wanted - counter.calls - silent);
    write_files(scratch / "work");
    bench->speaker().restore(opening);
    bench->speaker().choose_tools({.kind = chat::ToolChoice::Kind::kRequired});
    const size_t before = counter.calls;
    ATELIER_TRY(const TaskEnd end, agent.run(std::string(kTask), counter));
    decode += end.usage.decode_seconds;
    in_engine += end.usage.engine_seconds;
    tokens += end.usage.output_tokens;
    forced += end.usage.forced_tokens;
    reuse = std::min(reuse, end.usage.reuse);
    if (counter.calls - before < end.usage.steps) silent += end.usage.steps - (counter.calls - before);
  }
  fmt::print(
      "{{\"calls\":{},\"parsed\":{},\"executable\":{},\"closed\":{},\"silent\":{},\"tokens\":{},\"forced\":{}"
      ","
      "\"decode_s\":{:.3f},\"engine_s\":{:.3f},\"overhead\":{:.4f},\"least_reuse\":{:.4f}}}\n",
      counter.calls, counter.parsed, counter.executable, counter.closed, silent, tokens, forced, decode,
      in_engine, in_engine > 0 ? decode / in_engine - 1 : 0, reuse);
  return {};
}

Status run_patches(Engine& engine, size_t wanted, const std::filesystem::path& scratch) {
  for (const bool bind : {true, false}) {
    ATELIER_TRY(const std::unique_ptr<Workbench> bench, open(engine, scratch, bind, 260));
    const Transcript opening = bench->speaker().transcript();
    Counter counter(*bench);
    counter.quiet = bind ? 0 : 1;
    size_t tokens = 0, forced = 0;
    for (uint64_t seed = 0; seed < wanted; ++seed) {
      bench->agent().options().sampler.seed = seed;
      write_files(scratch / "work");
      bench->speaker().restore(opening);
      bench->speaker().choose_tools(
          {.kind = chat::ToolChoice::Kind::kFunction,
           .name = bench->toolbox().name_of(*bench->toolbox().find("apply_patch"))});
      ATELIER_TRY(const TaskEnd end, bench->agent().run(std::string(kTask), counter));
      tokens += end.usage.output_tokens;
      forced += end.usage.forced_tokens;
    }
    fmt::print(
        "{{\"patch_grammar\":\"{}\",\"patches\":{},\"parsed\":{},\"closed\":{},\"cut_off\":{},\"applied\":{},"
        "\"first_apply\":{:.3f},\"tokens\":{},\"forced\":{}}}\n",
        bind ? "on" : "off", counter.calls, counter.parsed, counter.closed, counter.cut, counter.applied,
        counter.calls > counter.cut
            ? static_cast<double>(counter.applied) / static_cast<double>(counter.calls - counter.cut)
            : 0.0,
        tokens, forced);
  }
  return {};
}

Status run(std::span<char*> arguments, const std::filesystem::path& scratch) {
  const bool patches = std::strcmp(arguments[0], "--patches") == 0;
  if (patches) arguments = arguments.subspan(1);
  const size_t n = arguments.size() > 1 ? std::strtoul(arguments[1], nullptr, 10) : patches ? 20 : 100;
  ATELIER_TRY(const std::unique_ptr<Engine> engine, Engine::load(arguments[0], {.context = 8192}));
  return patches ? run_patches(*engine, n, scratch) : run_calls(*engine, n, scratch);
}

}  // namespace
}  // namespace atelier::agent

int main(int argc, char** argv) {
  if (argc < 2 || (argc < 3 && std::strcmp(argv[1], "--patches") == 0)) {
    fmt::print(stderr, "usage: {0} MODEL [CALLS]\n       {0} --patches MODEL [PATCHES]\n", argv[0]);
    return 2;
  }
  std::string scratch = (std::filesystem::temp_directory_path() / "atelier-calls-XXXXXX").string();
  if (::mkdtemp(scratch.data()) == nullptr) return 1;
  const auto done = atelier::agent::run(std::span(argv, static_cast<size_t>(argc)).subspan(1), scratch);
  std::error_code none;
  std::filesystem::remove_all(scratch, none);
  if (!done) fmt::print(stderr, "{}\n", done.error().message);
  return done ? 0 : 1;
}
