// Embeddings on real (tiny) models: the vector is that of the states, whatever chunks and neighbours there
// are; and what is refused, cancelled or cut off is said once.
#include <gtest/gtest.h>

#include <cmath>
#include <future>

#include "engine/scheduler.h"

namespace atelier {
namespace {

using Vector = std::vector<float>;

class EmbeddingTest : public ::testing::TestWithParam<std::string> {
 protected:
  static std::unique_ptr<Engine> load(size_t chunk) {
    auto engine = Engine::load(std::string(ATELIER_TEST_DATA "/models/") + GetParam(),
                               {.n_threads = 2, .prefill_chunk = chunk});
    EXPECT_TRUE(engine) << engine.error().message;
    return std::move(*engine);
  }
  static std::vector<TokenId> ids(const Engine& engine, size_t n) {
    std::vector<TokenId> tokens;
    for (size_t i = 0; i < n; ++i)
      tokens.push_back(static_cast<TokenId>((i * i * 7 + i * 31 + 3) % engine.info().vocab_size));
    return tokens;
  }
};

std::future<Result<Vector>> ask(Scheduler& scheduler, std::vector<TokenId> tokens, Pooling pooling,
                                std::shared_ptr<const std::atomic<bool>> cancelled = nullptr) {
  auto answer = std::make_shared<std::promise<Result<Vector>>>();
  const Status queued =
      scheduler.embed({.tokens = std::move(tokens),
                       .pooling = pooling,
                       .ready = [answer](Result<Vector> vector) { answer->set_value(std::move(vector)); },
                       .cancelled = std::move(cancelled)});
  if (!queued) answer->set_value(tl::unexpected<Error>(queued.error()));
  return answer->get_future();
}

void expect_close(const Vector& got, const Vector& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], wanted[i], 1e-5f) << i;
}

TEST_P(EmbeddingTest, IsThePooledStateScaledToLengthOne) {
  const auto engine = load(512);
  const std::vector<TokenId> tokens = ids(*engine, 150);
  KvSequence sequence = engine->new_sequence();
  const auto states = engine->states(sequence, tokens);
  ASSERT_TRUE(states) << states.error().message;
  ASSERT_EQ(states->rows, tokens.size());
  ASSERT_EQ(states->cols, engine->info().d_model);
  std::vector<double> mean(states->cols), last(states->row(149).begin(), states->row(149).end());
  for (size_t row = 0; row < states->rows; ++row)
    for (size_t i = 0; i < states->cols; ++i) mean[i] += static_cast<double>(states->row(row)[i]);
  const auto unit = [](const std::vector<double>& values) {
    double square = 0;
    for (const double value : values) square += value * value;
    Vector out;
    for (const double value : values) out.push_back(static_cast<float>(value / std::sqrt(square)));
    return out;
  };
  for (const size_t chunk : {512u, 64u, 7u}) {
    Scheduler scheduler(load(chunk), {});
    const Vector by_mean = ask(scheduler, tokens, Pooling::kMean).get().value();
    const Vector by_last = ask(scheduler, tokens, Pooling::kLast).get().value();
    expect_close(by_mean, unit(mean));
    expect_close(by_last, unit(last));
    double apart = 0;
    for (size_t i = 0; i < by_mean.size(); ++i)
      apart += std::abs(static_cast<double>(by_mean[i] - by_last[i]));
    EXPECT_GT(apart, 0.01);  // the two poolings are told apart
  }
}

TEST_P(EmbeddingTest, RunsBesideGenerationWithoutChangingIt) {
  Scheduler scheduler(load(32), {});
  const std::vector<TokenId> tokens = ids(scheduler.engine(), 200);
  const auto generate = [&] {
    GenerationRequest request;
    request.prompt = ids(scheduler.engine(), 40);
    request.sampler.temperature = 0;
    request.max_tokens = 60;
    return scheduler.submit(std::move(request)).value();
  };
  const auto read = [](GenerationStream& stream) {
    std::vector<TokenId> said;
    while (const auto event = stream.next())
      if (const auto* token = std::get_if<TokenEvent>(&*event)) said.push_back(token->token);
    return said;
  };
  const std::vector<TokenId> alone = read(*generate());
  const Vector wanted = ask(scheduler, tokens, Pooling::kMean).get().value();
  const auto stream = generate();
  std::vector<std::future<Result<Vector>>> vectors;
  for (int i = 0; i < 8; ++i) vectors.push_back(ask(scheduler, tokens, Pooling::kMean));
  EXPECT_EQ(read(*stream), alone);
  for (auto& vector : vectors) expect_close(vector.get().value(), wanted);
}

TEST_P(EmbeddingTest, RefusesAndCancels) {
  Scheduler scheduler(load(512), {.max_queued_embeddings = 4});
  EXPECT_EQ(ask(scheduler, {}, Pooling::kMean).get().error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ask(scheduler, {-1}, Pooling::kMean).get().error().code, ErrorCode::kInvalidArgument);
  const auto too_long = std::vector<TokenId>(scheduler.engine().context_length() + 1, 1);
  EXPECT_EQ(ask(scheduler, too_long, Pooling::kMean).get().error().code, ErrorCode::kLimit);
  const auto cancelled = std::make_shared<const std::atomic<bool>>(true);
  EXPECT_EQ(ask(scheduler, {1, 2}, Pooling::kMean, cancelled).get().error().code, ErrorCode::kInterrupted);
  scheduler.drain();
  EXPECT_EQ(ask(scheduler, {1, 2}, Pooling::kMean).get().error().code, ErrorCode::kInterrupted);
  EXPECT_TRUE(scheduler.idle());
}

TEST_P(EmbeddingTest, EveryTextGetsAnAnswerWhenTheSchedulerEnds) {
  std::vector<std::future<Result<Vector>>> vectors;
  {
    Scheduler scheduler(load(7), {});
    for (int i = 0; i < 20; ++i)
      vectors.push_back(ask(scheduler, ids(scheduler.engine(), 200), Pooling::kMean));
  }
  for (auto& vector : vectors) {
    const Result<Vector> got = vector.get();
    EXPECT_TRUE(got || got.error().code == ErrorCode::kInterrupted);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EmbeddingTest,
                         ::testing::Values("gpt-oss-hf", "llama-bf16-tied-llama3-rope", "gpt2-hf"),
                         [](const auto& info) {
                           std::string name = info.param;
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

}  // namespace
}  // namespace atelier
