#include "cli/command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <system_error>

namespace atelier::cli {
namespace {

std::atomic<bool> g_interrupted{false};  // the one thing a signal handler may touch

// At most this many redraws a second: a bar is for eyes.
constexpr auto kRedrawEvery = std::chrono::milliseconds(100);

void draw_bar(std::string_view phase, uint64_t done, uint64_t total) {
  constexpr size_t kWidth = 30;
  const double share = total == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total);
  const auto filled = static_cast<size_t>(std::min(1.0, share) * kWidth);
  fmt::print(stderr, "\r{:<10} [{:<{}}] {:>5.1f} / {:.1f} MB\x1b[K", phase, std::string(filled, '#'), kWidth,
             static_cast<double>(done) / 1e6, static_cast<double>(total) / 1e6);
  std::fflush(stderr);
}

}  // namespace

extern "C" void atelier_on_interrupt(int) {
  if (g_interrupted.exchange(true)) _exit(130);
}

const std::atomic<bool>& interrupted() {
  static const bool installed = [] {
    struct sigaction action{};
    action.sa_handler = atelier_on_interrupt;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGINT, &action, nullptr) == 0;
  }();
  (void)installed;
  return g_interrupted;
}

void clear_interrupted() { g_interrupted.store(false); }

Status print(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() || std::fflush(stdout) != 0)
    return fail(ErrorCode::kIo, "standard output: {}", std::generic_category().message(errno));
  return {};
}

Status print_json(const nlohmann::json& value) {
  return print(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void note(const Globals& globals, std::string_view line) {
  if (!globals.quiet) fmt::print(stderr, "{}\n", line);
}

Result<std::string> read_stdin(size_t max_bytes) {
  std::string all;
  char chunk[65536];
  for (;;) {
    const ssize_t got = ::read(STDIN_FILENO, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) {
      if (interrupted().load()) return fail(ErrorCode::kInterrupted, "interrupted");
      continue;
    }
    if (got < 0) return fail(ErrorCode::kIo, "standard input: {}", std::generic_category().message(errno));
    if (got == 0) return all;
    all.append(chunk, static_cast<size_t>(got));
    if (all.size() > max_bytes)
      return fail(ErrorCode::kLimit, "standard input: expected at most {} bytes, found more", max_bytes);
  }
}

bool stdin_is_terminal() { return isatty(STDIN_FILENO) == 1; }
bool stdout_is_terminal() { return isatty(STDOUT_FILENO) == 1; }
bool stderr_is_terminal() { return isatty(STDERR_FILENO) == 1; }

bool colours_wanted(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return isatty(fd) == 1 && (no_color == nullptr || *no_color == '\0') && term != nullptr &&
         std::string_view(term) != "dumb";
}

TransferHooks transfer_hooks(const Globals& globals) {
  TransferHooks hooks;
  hooks.cancelled = [&cancel = interrupted()] { return cancel.load(); };
  if (globals.quiet || !stderr_is_terminal()) return hooks;
  using Clock = std::chrono::steady_clock;
  hooks.progress = [last = Clock::time_point(), phase_before = std::string()](
                       std::string_view phase, uint64_t done, uint64_t total) mutable {
    const bool finished = done >= total;
    if (!finished && phase == phase_before && Clock::now() - last < kRedrawEvery) return;
    last = Clock::now();
    phase_before = phase;
    draw_bar(phase, done, total);
    if (finished) fmt::print(stderr, "\r\x1b[K");
  };
  return hooks;
}

namespace {

// Without a command the agent is meant: "atelier -m NAME" is "atelier agent -m NAME".
std::vector<std::string> with_command(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  const auto first = std::ranges::find_if_not(
      words, [](const std::string& word) { return word == "--quiet" || word == "--verbose"; });
  constexpr std::array<std::string_view, 4> kOwn = {"-h", "--help", "--help-all", "--version"};
  const bool own = first != words.end() && std::ranges::find(kOwn, *first) != kOwn.end();
  if (first == words.end() || (first->starts_with('-') && !own)) words.insert(first, "agent");
  std::ranges::reverse(words);  // as CLI11 wants them
  return words;
}

}  // namespace

int run(int argc, char** argv) {
  // A closed pipe and a file past the limit on sizes are errors to report, not deaths.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  interrupted();
  CLI::App app("Atelier runs open-weight language models on this machine, offline.", "atelier");
  app.set_version_flag("--version", "atelier " ATELIER_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  Globals globals;
  app.add_flag("--quiet", globals.quiet, "Print nothing on stderr but errors");
  app.add_flag("--verbose", globals.verbose, "Print timings and cache reuse on stderr");
  Run selected;
  for (const auto add :
       {register_chat, register_generate, register_tokenizer_commands, register_dialect_commands,
        register_logits, register_perplexity, register_apply, register_exec, register_agent,
        register_trust_commands, register_bench, register_synth, register_store_commands, register_pack,
        register_doctor, register_serve})
    add({app, globals, selected});
  try {
    app.parse(with_command(argc, argv));
  } catch (const CLI::ParseError& error) {  // the library's way of saying usage, and of answering --help
    return app.exit(error, std::cout, std::cerr) == 0 ? 0 : 2;
  }
  Status done;
  try {
    if (selected) done = selected();
  } catch (const std::bad_alloc&) {  // a limit on this process (ulimit), below what the machine has
    done = fail(ErrorCode::kOutOfMemory, "out of memory: the system refused to give more to this process");
  }
  if (done) return 0;
  if (done.error().code == ErrorCode::kInterrupted) return 130;
  fmt::print(stderr, "atelier: {}\n", done.error().message);
  return 1;
}

}  // namespace atelier::cli
