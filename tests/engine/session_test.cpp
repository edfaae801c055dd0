// The engine on real (tiny) models: prefixes are reused exactly, sequences can be rolled back, batches and
// chunks do not change a bit, and bad calls leave everything as it was.
#include "engine/session.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/generate.h"

namespace atelier {
namespace {

// A windowed mixture of experts, and a dense model with grouped queries.
const std::vector<std::string> kModels = {"gpt-oss-hf", "llama-bf16-tied-llama3-rope"};

class EngineTest : public ::testing::TestWithParam<std::string> {
 protected:
  static std::unique_ptr<Engine> load(EngineOptions options = {}) {
    options.n_threads = options.n_threads == 0 ? 2 : options.n_threads;
    auto engine = Engine::load(std::string(ATELIER_TEST_DATA "/models/") + GetParam(), options);
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
  }
  // Deterministic ids; `variant` changes all of them.
  static std::vector<TokenId> ids(const Engine& engine, size_t n, size_t variant = 0) {
    std::vector<TokenId> tokens;
    for (size_t i = 0; i < n; ++i)
      tokens.push_back(
          static_cast<TokenId>((i * i * 7 + i * 31 + variant * 101 + 3) % engine.info().vocab_size));
    return tokens;
  }
  static std::vector<float> copy(std::span<const float> logits) { return {logits.begin(), logits.end()}; }
};

TEST_P(EngineTest, AReusedPrefixGivesTheSameBits) {
  const auto engine = load();
  const std::vector<TokenId> first = ids(*engine, 150);
  std::vector<TokenId> second(first.begin(), first.begin() + 120);
  for (const TokenId id : ids(*engine, 60, 1)) second.push_back(id);

  Session fresh(*engine);
  const auto wanted = fresh.prefill(second);
  ASSERT_TRUE(wanted);
  const std::vector<float> wanted_logits = copy(*wanted);

  Session session(*engine);
  ASSERT_TRUE(session.prefill(first));
  const auto got = session.prefill(second);
  ASSERT_TRUE(got);
  EXPECT_EQ(session.reused(), 120u);
  EXPECT_EQ(session.computed(), 60u);
  EXPECT_EQ(copy(*got), wanted_logits);
}

// The window has slid past what a short prefix needs: it is computed again, and still equal.
TEST_P(EngineTest, APrefixOutOfTheWindowIsRecomputedExactly) {
  const auto engine = load();
  const std::vector<TokenId> all = ids(*engine, 500);
  const std::span<const TokenId> prefix = std::span(all).first(140);
  Session fresh(*engine);
  const std::vector<float> wanted = copy(fresh.prefill(prefix).value());
  Session session(*engine);
  ASSERT_TRUE(session.prefill(all));
  EXPECT_EQ(copy(session.prefill(prefix).value()), wanted);
}

TEST_P(EngineTest, ChunksAndAppendsAgreeToTheBit) {
  std::vector<float> wanted;
  for (const size_t chunk : {512u, 64u, 7u, 1u}) {
    const auto engine = load({.prefill_chunk = chunk});
    const std::vector<TokenId> tokens = ids(*engine, 200);
    Session session(*engine);
    ASSERT_TRUE(session.prefill(std::span(tokens).first(190)));
    std::vector<float> logits;
    for (size_t i = 190; i < tokens.size(); ++i) logits = copy(session.append(tokens[i]).value());
    if (wanted.empty()) wanted = logits;
    EXPECT_EQ(logits, wanted) << "chunk " << chunk;
  }
}

TEST_P(EngineTest, ThreadsAgreeToTheBit) {
  std::vector<float> wanted;
  for (const size_t n_threads : {1u, 2u, 4u}) {
    const auto engine = load({.n_threads = n_threads});
    Session session(*engine);
    const std::vector<float> logits = copy(session.prefill(ids(*engine, 300)).value());
    if (wanted.empty()) wanted = logits;
    EXPECT_EQ(logits, wanted) << n_threads << " threads";
  }
}

TEST_P(EngineTest, NeighboursInABatchChangeNothing) {
  const auto engine = load();
  const std::vector<TokenId> a = ids(*engine, 170, 1), b = ids(*engine, 45, 2), c = ids(*engine, 1, 3);
  Session alone(*engine);
  const std::vector<float> wanted = copy(alone.prefill(b).value());

  KvSequence sa = engine->new_sequence(), sb = engine->new_sequence(), sc = engine->new_sequence();
  const std::vector<Engine::Item> items = {
      {&sa, a, Engine::Logits::kNone}, {&sb, b}, {&sc, c, Engine::Logits::kAll}};
  const auto logits = engine->evaluate(items);
  ASSERT_TRUE(logits);
  ASSERT_EQ(logits->rows, 2u);
  EXPECT_EQ(copy(logits->row(0)), wanted);
}

TEST_P(EngineTest, AKeptForkBringsBackAnEarlierPosition) {
  const auto engine = load();
  const std::vector<TokenId> tokens = ids(*engine, 420);
  const auto evaluate = [&](KvSequence& sequence, std::span<const TokenId> part) {
    const Engine::Item item{&sequence, part};
    return copy(engine->evaluate({&item, 1}).value().row(0));
  };
  KvSequence sequence = engine->new_sequence();
  evaluate(sequence, std::span(tokens).first(200));
  const KvSequence checkpoint = sequence.fork();
  const std::vector<float> wanted = evaluate(sequence, std::span(tokens).subspan(200, 5));
  evaluate(sequence, std::span(tokens).subspan(205));
  sequence = checkpoint.fork();
  EXPECT_EQ(evaluate(sequence, std::span(tokens).subspan(200, 5)), wanted);
}

TEST_P(EngineTest, BadCallsAreNamedAndChangeNothing) {
  const auto engine = load({.context = 64});
  KvSequence sequence = engine->new_sequence();
  const auto evaluate = [&](std::span<const TokenId> tokens) {
    const Engine::Item item{&sequence, tokens};
    return engine->evaluate({&item, 1});
  };
  const std::vector<TokenId> outside = {1, static_cast<TokenId>(engine->info().vocab_size)}, negative = {-1};
  EXPECT_EQ(evaluate(outside).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(evaluate(negative).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(evaluate(ids(*engine, 65)).error().code, ErrorCode::kLimit);
  EXPECT_EQ(sequence.length(), 0u);
  EXPECT_TRUE(evaluate(ids(*engine, 64)));
  Session session(*engine);
  EXPECT_EQ(session.prefill({}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(session.prefill(ids(*engine, 65)).error().code, ErrorCode::kLimit);
}

TEST_P(EngineTest, GenerationStopsForEveryReason) {
  const auto engine = load({.context = 40});
  const std::vector<TokenId> prompt = ids(*engine, 8);
  const auto run = [&](GenerateOptions options) {
    options.sampler.temperature = 0;
    Session session(*engine);
    return generate(session, prompt, options).value();
  };
  const Generated limited = run({.max_tokens = 5});
  EXPECT_EQ(limited.reason, StopReason::kMaxTokens);
  ASSERT_EQ(limited.tokens.size(), 5u);
  const Generated full = run({});
  EXPECT_EQ(full.reason, StopReason::kContextFull);
  EXPECT_EQ(full.tokens.size(), 33u);  // 40 positions less 8 of the prompt, and one token nobody evaluates
  const Generated stopped = run({.stop_tokens = {limited.tokens[2]}});
  EXPECT_EQ(stopped.reason, StopReason::kStopToken);
  EXPECT_EQ(stopped.tokens.back(), limited.tokens[2]);
  EXPECT_EQ(run({.on_token = [](TokenId) { return false; }}).reason, StopReason::kStopString);
  const std::atomic<bool> cancel{true};
  EXPECT_EQ(run({.cancel = &cancel}).reason, StopReason::kInterrupted);
}

TEST_P(EngineTest, TheSameSeedDrawsTheSameTokens) {
  const auto engine = load();
  const auto draw = [&](uint64_t seed) {
    Session session(*engine);
    return generate(session, ids(*engine, 10), {.sampler = {.seed = seed}, .max_tokens = 30}).value().tokens;
  };
  EXPECT_EQ(draw(5), draw(5));
  EXPECT_NE(draw(5), draw(6));
}

INSTANTIATE_TEST_SUITE_P(Models, EngineTest, ::testing::ValuesIn(kModels), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace
}  // namespace atelier
