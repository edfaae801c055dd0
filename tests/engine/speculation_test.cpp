// Guessed tokens change how fast an answer comes, never a bit of it: with and without them, greedy and drawn,
// alone and in batches, under constraints, with sliding windows and with little memory.
#include <gtest/gtest.h>

#include <filesystem>

#include "engine/generate.h"
#include "engine/session.h"
#include "tests/engine/scheduler_fixture.h"

namespace atelier::testing {
namespace {

DraftOptions no_drafts() { return {.enabled = false}; }
// As if rows were free: guesses are evaluated wherever there are any.
DraftOptions eager() { return {.row_cost = 0.0}; }

std::unique_ptr<Engine> engine_of(std::unique_ptr<Model> model, const DraftOptions& drafts,
                                  uint64_t max_kv_bytes = 0) {
  return Engine::create(std::move(model), nullptr, {},
                        {.n_threads = 1,
                         .prefill_chunk = 64,
                         .ignore_memory = true,
                         .drafts = drafts,
                         .max_kv_bytes = max_kv_bytes});
}
std::unique_ptr<Engine> repeating(size_t window, const DraftOptions& drafts, uint64_t max_kv_bytes = 0) {
  return engine_of(std::make_unique<RepeatingModel>(window, 23), drafts, max_kv_bytes);
}

class Speculation : public ::testing::TestWithParam<size_t> {};  // the window

TEST_P(Speculation, ASessionSaysTheSame) {
  for (const float temperature : {0.0f, 0.7f, 1.3f}) {
    const SamplerOptions sampler{.presence_penalty = 0.01f, .temperature = temperature, .seed = 5};
    const auto plain = repeating(GetParam(), no_drafts()), drafted = repeating(GetParam(), eager());
    Session a(*plain), b(*drafted);
    for (const size_t n : {300u, 40u, 200u}) {  // turns, each on top of the last one
      std::vector<TokenId> prompt(a.tokens().begin(), a.tokens().end());
      prompt = joined(prompt, some_ids(70, n));
      const auto wanted = generate(a, prompt, {.sampler = sampler, .max_tokens = n}).value();
      const auto got = generate(b, prompt, {.sampler = sampler, .max_tokens = n}).value();
      EXPECT_EQ(got.tokens, wanted.tokens) << "temperature " << temperature;
      EXPECT_TRUE(std::ranges::equal(a.tokens(), b.tokens()));
      EXPECT_EQ(b.reused(), a.reused());
      EXPECT_EQ(wanted.lookahead.drafted, 0u);
      EXPECT_EQ(wanted.lookahead.passes, n - 1);
      EXPECT_EQ(got.lookahead.passes + got.lookahead.accepted, n - 1);
      if (n == 300) {
        EXPECT_GT(got.lookahead.accepted, temperature > 1 ? 5u : 100u);
      }
    }
  }
}

// Two sessions that take turns on one engine: rows of logits are not mistaken for one another's.
TEST_P(Speculation, SessionsMayShareAnEngine) {
  const auto engine = repeating(GetParam(), eager()), plain = repeating(GetParam(), no_drafts());
  const auto say = [](Session& session, std::span<const float> logits, std::vector<TokenId>& out) {
    out.push_back(greedy_token(logits));
    return session.append(out.back()).value();
  };
  std::vector<TokenId> a, b, wanted_a, wanted_b;
  Session one(*engine), two(*engine), alone(*plain), other(*plain);
  std::vector<float> row_a, row_b;
  const auto keep = [](std::vector<float>& row, std::span<const float> logits) {
    row.assign(logits.begin(), logits.end());
  };
  keep(row_a, one.prefill(some_ids(60)).value());
  keep(row_b, two.prefill(some_ids(60, 1)).value());
  auto wanted_row_a = alone.prefill(some_ids(60)).value();
  for (int i = 0; i < 120; ++i) {
    wanted_row_a = say(alone, wanted_row_a, wanted_a);
    keep(row_a, say(one, row_a, a));
    if (i % 3 == 0) keep(row_b, say(two, row_b, b));
  }
  auto wanted_row_b = other.prefill(some_ids(60, 1)).value();
  for (int i = 0; i < 40; ++i) wanted_row_b = say(other, wanted_row_b, wanted_b);
  EXPECT_EQ(a, wanted_a);
  EXPECT_EQ(b, wanted_b);
}

// Odd numbers only, until a given number of tokens has come.
class OddFilter final : public TokenFilter {
 public:
  explicit OddFilter(size_t most) : left_(most) {}
  Result<bool> allowed(std::span<uint64_t> mask) override {
    std::ranges::fill(mask, 0);
    for (size_t id = 1; id < HistoryModel::kVocab; id += 2) mask[id / 64] |= uint64_t{1} << (id % 64);
    return true;
  }
  bool accept(TokenId token) override {
    EXPECT_EQ(token % 2, 1);
    return --left_ > 0;
  }
  std::unique_ptr<TokenFilter> clone() const override { return std::make_unique<OddFilter>(*this); }

 private:
  size_t left_;
};

std::vector<GenerationRequest> requests() {
  std::vector<GenerationRequest> out;
  for (size_t i = 0; i < 12; ++i) {
    GenerationRequest request;
    request.prompt = joined(some_ids(50), some_ids(20 + i * 17, 1 + i));
    request.sampler = {.temperature = i % 3 == 0 ? 0.0f : 0.8f, .seed = i};
    request.max_tokens = 30 + i * 20;
    request.top_logprobs = 2;
    if (i % 4 == 1) request.n = 3;
    if (i % 4 == 2) request.filter = std::make_unique<OddFilter>(100 + i);
    if (i % 4 == 3) request.stop_tokens = {static_cast<TokenId>(i), 40, 41};
    if (i == 5) request.prediction = some_ids(300, 3);
    out.push_back(std::move(request));
  }
  return out;
}

std::vector<Answer> answers(Scheduler& scheduler) {
  std::vector<std::unique_ptr<GenerationStream>> streams;
  for (GenerationRequest& request : requests())
    streams.push_back(scheduler.submit(std::move(request)).value());
  std::vector<Answer> out;
  for (const auto& stream : streams) out.push_back(read_all(*stream));
  return out;
}

void expect_equal(const std::vector<Answer>& got, const std::vector<Answer>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].choices.size(), wanted[i].choices.size());
    for (size_t c = 0; c < got[i].choices.size(); ++c) {
      EXPECT_EQ(got[i].choices[c].tokens, wanted[i].choices[c].tokens) << "request " << i << " choice " << c;
      EXPECT_EQ(got[i].choices[c].reason, wanted[i].choices[c].reason);
      for (size_t t = 0; t < std::min(got[i].choices[c].events.size(), wanted[i].choices[c].events.size());
           ++t)
        ASSERT_EQ(got[i].choices[c].events[t].logprob, wanted[i].choices[c].events[t].logprob);
    }
  }
}

TEST_P(Speculation, TheSchedulerSaysTheSame) {
  std::vector<Answer> wanted;
  {
    Scheduler scheduler(repeating(GetParam(), no_drafts()), {});
    wanted = answers(scheduler);
    EXPECT_EQ(scheduler.metrics().drafted_tokens, 0u);
  }
  const uint64_t page_bytes = repeating(0, eager())->kv_pool().sequence_bytes(1);
  for (const uint64_t max_kv_bytes : {uint64_t{0}, page_bytes * 64}) {
    Scheduler scheduler(repeating(GetParam(), eager(), max_kv_bytes),
                        {.max_stall = std::chrono::milliseconds(0)});
    const std::vector<Answer> got = answers(scheduler);
    expect_equal(got, wanted);
    const SchedulerMetrics metrics = scheduler.metrics();
    EXPECT_GT(metrics.accepted_tokens, 200u);
    EXPECT_GE(metrics.drafted_tokens, metrics.accepted_tokens);
    size_t accepted = 0;
    for (const Answer& answer : got) accepted += answer.end->usage.accepted_tokens;
    EXPECT_EQ(accepted, metrics.accepted_tokens);
    EXPECT_EQ(bytes_left_behind(scheduler), 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Windows, Speculation, ::testing::Values(0, 64), ::testing::PrintToStringParamName());

// A file of 2,000 tokens said again with 20 lines changed.
struct Rewrite {
  std::vector<TokenId> prompt, answer;
};

Rewrite rewrite_of_a_file() {
  constexpr TokenId kNewline = 10;
  Rewrite out;
  std::vector<std::vector<TokenId>> lines;
  uint64_t random = 1;
  const auto next = [&](uint64_t n) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    return static_cast<TokenId>((random >> 33) % n);
  };
  for (size_t n = 0; n < 2000;) {
    std::vector<TokenId> line(static_cast<size_t>(next(4)), 32);  // indentation
    for (TokenId i = 0, end = 3 + next(12); i < end; ++i)
      line.push_back(40 + next(60) * next(4));  // some are common
    line.push_back(kNewline);
    n += line.size();
    lines.push_back(std::move(line));
  }
  for (const auto& line : lines) out.prompt = joined(out.prompt, line);
  out.prompt = joined(out.prompt, some_ids(20, 7));
  for (size_t i = 0; i < 20; ++i) {
    auto& line = lines[(i * 2 + 1) * lines.size() / 41];
    for (size_t k = line.size() / 3; k + 1 < line.size(); ++k) line[k] = 11 + next(29);
    if (i % 5 == 0) line.insert(line.begin() + 1, {12, 13, 14});
  }
  for (const auto& line : lines) out.answer = joined(out.answer, line);
  return out;
}

TEST(SpeculationSteps, RewritingAFileTakesLessThanHalfTheSteps) {
  const Rewrite rewrite = rewrite_of_a_file();
  EXPECT_GE(rewrite.answer.size(), 1900u);
  const auto model = [&] {
    return std::make_unique<RecitingModel>(128, joined(rewrite.prompt, rewrite.answer));
  };
  GenerationRequest request;
  request.prompt = rewrite.prompt;
  request.sampler.temperature = 0;
  request.max_tokens = rewrite.answer.size();
  Scheduler scheduler(engine_of(model(), {.row_cost = 0.1}), {});
  const Answer answer = ask(scheduler, std::move(request));
  EXPECT_EQ(answer.tokens(), rewrite.answer);
  const SchedulerMetrics metrics = scheduler.metrics();
  EXPECT_LE(metrics.decode_steps * 2, rewrite.answer.size());
  std::printf("[ STEPS    ] %zu tokens in %zu steps, %zu of %zu guesses right\n", rewrite.answer.size(),
              static_cast<size_t>(metrics.decode_steps), static_cast<size_t>(metrics.accepted_tokens),
              static_cast<size_t>(metrics.drafted_tokens));

  const auto engine = engine_of(model(), {.row_cost = 0.1});
  Session session(*engine);
  const auto said =
      generate(session, rewrite.prompt, {.sampler = {.temperature = 0}, .max_tokens = rewrite.answer.size()});
  EXPECT_EQ(said->tokens, rewrite.answer);
  EXPECT_LE(said->lookahead.passes * 2, rewrite.answer.size());
}

// Where rows cost what passes do, guesses are left alone.
TEST(SpeculationSteps, NothingIsGuessedWhereItLoses) {
  const auto engine = repeating(0, {.row_cost = 1.0});
  Session session(*engine);
  const auto said = generate(session, some_ids(60), {.sampler = {.temperature = 0}, .max_tokens = 100});
  EXPECT_EQ(said->lookahead.drafted, 0u);
}

// Real (tiny) models, whose rows share experts and attention.
class SpeculationModels : public ::testing::TestWithParam<std::string> {};

TEST_P(SpeculationModels, SayTheSameToTheBit) {
  const auto load = [&](const DraftOptions& drafts) {
    return Engine::load(std::string(ATELIER_TEST_DATA "/models/") + GetParam(),
                        {.n_threads = 2, .drafts = drafts})
        .value();
  };
  const auto plain = load(no_drafts()), drafted = load(eager());
  const size_t vocab = plain->info().vocab_size;
  for (const float temperature : {0.0f, 0.4f}) {
    // A text that says everything twice, so that something is guessed.
    const std::vector<TokenId> prompt = joined(some_ids(90, 0, vocab), some_ids(60, 0, vocab));
    const SamplerOptions sampler{.temperature = temperature, .seed = 3};
    Session a(*plain), b(*drafted);
    std::vector<float> logits_a, logits_b;
    auto row_a = a.prefill(prompt).value(), row_b = b.prefill(prompt).value();
    Sampler draw(sampler);
    for (size_t step = 0; step < 150; ++step) {
      ASSERT_TRUE(std::ranges::equal(row_a, row_b)) << step;
      // Every other stretch of tokens is what stands in the prompt: guesses are right there.
      const TokenId token =
          step / 20 % 2 == 0 ? some_ids(90, 0, vocab)[60 + step % 30] : draw.sample(row_a, a.tokens(), step);
      row_a = a.append(token).value();
      row_b = b.append(token).value();
    }
    EXPECT_GT(b.lookahead().accepted, 20u);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, SpeculationModels,
                         ::testing::Values("gpt-oss-hf", "llama-bf16-tied-llama3-rope"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace atelier::testing
