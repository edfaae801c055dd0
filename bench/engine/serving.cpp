// How the scheduler serves several at once:
//   bench_serving MODEL [REQUESTS [PROMPT_TOKENS [OUTPUT_TOKENS [THREADS]]]]        (8, 170, 32, all cores)
// Prints one JSON object: REQUESTS of different prompts one after the other and all at once; the second turn
// on a long history against the first; and how long a running stream waits while a long prompt comes in.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "engine/scheduler.h"

namespace atelier {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Ids without meaning but without repetition either; no two calls begin alike.
std::vector<TokenId> some_tokens(size_t n, size_t vocab_size) {
  static uint64_t state = 1;
  std::vector<TokenId> tokens(n);
  for (TokenId& token : tokens) {
    state = state * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator
    token = static_cast<TokenId>((state >> 33) % vocab_size);
  }
  return tokens;
}

GenerationRequest request(std::vector<TokenId> prompt, size_t n_tokens) {
  GenerationRequest out;
  out.prompt = std::move(prompt);
  out.max_tokens = n_tokens;
  return out;
}

struct Answer {
  double first_token_seconds = 0;  // from when it was submitted
  double longest_gap_seconds = 0;  // between two tokens
  std::vector<TokenId> tokens;
  Usage usage;
};

Answer read_all(GenerationStream& stream) {
  Answer answer;
  std::optional<Clock::time_point> last;
  while (const auto event = stream.next()) {
    if (const auto* token = std::get_if<TokenEvent>(&*event)) {
      if (last) answer.longest_gap_seconds = std::max(answer.longest_gap_seconds, seconds_since(*last));
      last = Clock::now();
      answer.tokens.push_back(token->token);
    } else if (const auto* end = std::get_if<GenerationEnd>(&*event)) {
      if (end->error) {
        fmt::print(stderr, "{}\n", end->error->message);
        std::exit(1);
      }
      answer.first_token_seconds = end->timings.queue_seconds + end->timings.prefill_seconds;
      answer.usage = end->usage;
    }
  }
  return answer;
}

double quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  const auto rank = static_cast<size_t>(q * static_cast<double>(values.size()) + 0.999);
  return values[std::clamp<size_t>(rank, 1, values.size()) - 1];
}

struct Sizes {
  size_t requests = 8;
  size_t prompt = 170;
  size_t output = 32;
};

std::string served(Scheduler& scheduler, const Sizes& sizes, bool at_once) {
  const size_t vocab = scheduler.engine().info().vocab_size;
  std::vector<std::unique_ptr<GenerationStream>> streams;
  std::vector<double> first;
  const Clock::time_point start = Clock::now();
  const auto read = [&](GenerationStream& stream) { first.push_back(read_all(stream).first_token_seconds); };
  for (size_t i = 0; i < sizes.requests; ++i) {
    streams.push_back(scheduler.submit(request(some_tokens(sizes.prompt, vocab), sizes.output)).value());
    if (!at_once) read(*streams.back());
  }
  if (at_once)
    for (const auto& stream : streams) read(*stream);
  const double rate = static_cast<double>(sizes.requests * sizes.output) / seconds_since(start);
  return fmt::format(R"({{"tokens_per_second": {:.1f}, "first_token_p50_ms": {:.1f}, )"
                     R"("first_token_p95_ms": {:.1f}}})",
                     rate, quantile(first, 0.5) * 1e3, quantile(first, 0.95) * 1e3);
}

std::string second_turn(Scheduler& scheduler, size_t n_history) {
  const size_t vocab = scheduler.engine().info().vocab_size;
  std::vector<TokenId> history = some_tokens(n_history, vocab);
  const Answer first = read_all(*scheduler.submit(request(history, 32)).value());
  history.insert(history.end(), first.tokens.begin(), first.tokens.end());
  for (const TokenId token : some_tokens(20, vocab)) history.push_back(token);
  const Answer second = read_all(*scheduler.submit(request(history, 8)).value());
  return fmt::format(R"({{"first_ms": {:.1f}, "second_ms": {:.1f}, "cached_tokens": {}, "ratio": {:.4f}}})",
                     first.first_token_seconds * 1e3, second.first_token_seconds * 1e3,
                     second.usage.cached_tokens, second.first_token_seconds / first.first_token_seconds);
}

// A stream that runs while a prompt of `n_prompt` comes in.
std::string disturbed(Scheduler& scheduler, size_t n_prompt) {
  const size_t vocab = scheduler.engine().info().vocab_size;
  auto running = scheduler.submit(request(some_tokens(20, vocab), SIZE_MAX)).value();
  Answer stream;
  std::thread reader([&] { stream = read_all(*running); });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const Answer prompt = read_all(*scheduler.submit(request(some_tokens(n_prompt, vocab), 1)).value());
  running->cancel();
  reader.join();
  return fmt::format(R"({{"prompt_ms": {:.1f}, "longest_gap_ms": {:.1f}}})", prompt.first_token_seconds * 1e3,
                     stream.longest_gap_seconds * 1e3);
}

int run(int argc, char** argv) {
  const auto number = [&](int index, size_t otherwise) {
    return argc > index ? static_cast<size_t>(std::strtoul(argv[index], nullptr, 10)) : otherwise;
  };
  const Sizes sizes{number(2, 8), number(3, 170), number(4, 32)};
  auto engine = Engine::load(argv[1], {.n_threads = number(5, 0)});
  if (!engine) {
    fmt::print(stderr, "{}\n", engine.error().message);
    return 1;
  }
  const size_t history = std::min<size_t>(4000, (*engine)->context_length() - 100);
  Scheduler scheduler(std::move(*engine), {});
  served(scheduler, {1, sizes.prompt, 8}, false);  // fresh pages, first passes
  const std::string alone = served(scheduler, sizes, false), together = served(scheduler, sizes, true);
  fmt::print("{{\"one_at_a_time\": {},\n \"at_once\": {},\n", alone, together);
  fmt::print(" \"second_turn\": {},\n", second_turn(scheduler, history));
  fmt::print(" \"long_prompt_beside_a_stream\": {}}}\n", disturbed(scheduler, history));
  return 0;
}

}  // namespace
}  // namespace atelier

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: bench_serving MODEL [REQUESTS [PROMPT_TOKENS [OUTPUT_TOKENS [THREADS]]]]\n", stderr);
    return 2;
  }
  return atelier::run(argc, argv);
}
