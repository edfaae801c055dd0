// What guessing tokens ahead brings where a text is said again with changes:
//   bench_speculation MODEL FILE [TOKENS [CHANGED_LINES]]        (2000, 20)
// The prompt is the beginning of FILE, so many tokens of it; the answer is the same text with every so many
// lines changed, forced on the model token by token by a filter, so that it is the same for any model. Prints
// JSON lines for plain decoding and with guesses: passes, tokens a second, guesses made and right.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>

#include "base/file.h"
#include "engine/scheduler.h"
#include "engine/token_filter.h"

namespace atelier {
namespace {

// Lets nothing but the given tokens through, in their order.
class Dictation final : public TokenFilter {
 public:
  explicit Dictation(std::vector<TokenId> tokens) : tokens_(std::move(tokens)) {}
  Result<bool> allowed(std::span<uint64_t> mask) override {
    std::ranges::fill(mask, 0);
    const auto id = static_cast<size_t>(tokens_[at_]);
    mask[id / 64] |= uint64_t{1} << (id % 64);
    return true;
  }
  bool accept(TokenId) override { return ++at_ < tokens_.size(); }
  std::unique_ptr<TokenFilter> clone() const override { return std::make_unique<Dictation>(*this); }

 private:
  std::vector<TokenId> tokens_;
  size_t at_ = 0;
};

std::string with_changed_lines(const std::string& text, size_t n_changed) {
  const auto n_lines = static_cast<size_t>(std::ranges::count(text, '\n')) + 1;
  std::string out;
  size_t line = 0, changed = 0;
  for (size_t begin = 0; begin < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    if (changed < n_changed && line >= (2 * changed + 1) * n_lines / (2 * n_changed)) {
      out += fmt::format("    const auto renamed_{} = compute_again({}, other);\n", changed, changed * 7);
      ++changed;
    } else {
      out += text.substr(begin, end - begin);
    }
    begin = end;
  }
  return out;
}

int measure(const std::string& path, const std::string& text, size_t n_tokens, size_t n_changed,
            bool drafts) {
  auto engine = Engine::load(path, {.drafts = {.enabled = drafts}});
  if (!engine) {
    fmt::print(stderr, "{}\n", engine.error().message);
    return 1;
  }
  const Tokenizer& tokenizer = (*engine)->tokenizer();
  std::vector<TokenId> prompt = tokenizer.encode(text);
  prompt.resize(std::min(prompt.size(), n_tokens));
  const std::vector<TokenId> answer =
      tokenizer.encode(with_changed_lines(tokenizer.decode(prompt), n_changed));
  Scheduler scheduler(std::move(*engine), {});
  GenerationRequest request;
  request.prompt = std::move(prompt);
  request.sampler.temperature = 0;
  request.filter = std::make_unique<Dictation>(answer);
  const auto stream = scheduler.submit(std::move(request)).value();
  std::optional<GenerationEnd> end;
  while (auto event = stream->next())
    if (auto* last = std::get_if<GenerationEnd>(&*event)) end = std::move(*last);
  if (end->error) {
    fmt::print(stderr, "{}\n", end->error->message);
    return 1;
  }
  const SchedulerMetrics metrics = scheduler.metrics();
  fmt::print(
      R"({{"guesses": {}, "tokens": {}, "steps": {}, "tokens_per_step": {:.2f}, "tokens_per_second": {:.1f}, )"
      R"("drafted": {}, "accepted": {}}})"
      "\n",
      drafts, end->usage.completion_tokens, metrics.decode_steps,
      static_cast<double>(end->usage.completion_tokens) / static_cast<double>(metrics.decode_steps),
      static_cast<double>(end->usage.completion_tokens) / end->timings.decode_seconds, metrics.drafted_tokens,
      metrics.accepted_tokens);
  return 0;
}

int run(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("usage: bench_speculation MODEL FILE [TOKENS [CHANGED_LINES]]\n", stderr);
    return 2;
  }
  const auto text = read_file(argv[2], size_t{16} << 20);
  if (!text) {
    fmt::print(stderr, "{}\n", text.error().message);
    return 1;
  }
  const size_t n_tokens = argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 2000;
  const size_t n_changed = argc > 4 ? std::strtoul(argv[4], nullptr, 10) : 20;
  for (const bool drafts : {false, true})
    if (const int failed = measure(argv[1], *text, n_tokens, n_changed, drafts); failed != 0) return failed;
  return 0;
}

}  // namespace
}  // namespace atelier

int main(int argc, char** argv) { return atelier::run(argc, argv); }
