// What the scheduler's tests share: a model that is a function of its cache, and consumers of streams.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "engine/scheduler.h"

namespace atelier::testing {

// Says, at each position, a token that depends on everything the cache shows of the past: a hash of the
// tokens in the window of the first layer and of all tokens in the second. So a page that is lost, stale,
// shared by mistake or left by somebody else changes what is said. It costs next to nothing.
class HistoryModel : public Model {
 public:
  static constexpr size_t kVocab = 251;
  explicit HistoryModel(size_t window) {
    info_.architecture = "history";
    info_.n_layers = 2;
    info_.d_model = 8;
    info_.vocab_size = kVocab;
    info_.context_length = 4096;
    const KvGeometry cell{.kv_heads = 1, .k_dim = 1, .v_dim = 1};
    info_.cache = {{cell, window}, {cell, 0}};
  }

  const ModelInfo& info() const override { return info_; }
  std::vector<Weight*> multiplied_weights() override { return {}; }
  void forward(Context& ctx, const Batch& batch, MatView<float> logits) const override {
    if (before_pass) before_pass(batch);
    for (const auto& layer : batch.kv)
      for (const ops::AttentionSequence& sequence : layer)
        for (size_t i = 0; i < sequence.n_rows; ++i)
          cell(sequence, sequence.first_position + i) = batch.tokens[sequence.first_row + i];
    ctx.interlude(PassPart::kAttention);
    for (size_t i = 0; i < batch.logit_rows.size(); ++i) {
      const size_t row = batch.logit_rows[i];
      const uint64_t hash = window_hash(batch, row, 0) * 31 + window_hash(batch, row, 1);
      std::ranges::fill(logits.row(i), 0.0f);
      for (uint64_t rank = 0; rank < 3; ++rank)
        logits.row(i)[(hash + rank * (hash % 89 + 1)) % kVocab] = 4.0f - static_cast<float>(rank);
      if (const auto likely = likeliest(batch, row)) logits.row(i)[static_cast<size_t>(*likely)] = 6.0f;
    }
  }

  // Runs at the start of each pass, on the scheduler's thread.
  std::function<void(const Batch&)> before_pass;

 protected:
  // What comes before the three that the hash names, if anything.
  virtual std::optional<TokenId> likeliest(const Batch&, size_t) const { return std::nullopt; }

  // The tokens up to and with this row's, as the cache has them.
  std::vector<TokenId> history(const Batch& batch, size_t row) const {
    std::vector<TokenId> tokens;
    for (const ops::AttentionSequence& s : batch.kv[1]) {
      if (row < s.first_row || row >= s.first_row + s.n_rows) continue;
      for (size_t p = 0; p <= s.first_position + row - s.first_row; ++p) tokens.push_back(cell(s, p));
    }
    return tokens;
  }

 private:
  // The keys' first four bytes of each slot; the page's geometry has 64 slots of at least two bytes for k and
  // v.
  static int32_t& cell(const ops::AttentionSequence& s, size_t position) {
    std::byte* page = s.pages[position / kKvPageTokens - s.first_page];
    return reinterpret_cast<int32_t*>(page)[position % kKvPageTokens];
  }

  uint64_t window_hash(const Batch& batch, size_t row, size_t layer) const {
    for (const ops::AttentionSequence& s : batch.kv[layer]) {
      if (row < s.first_row || row >= s.first_row + s.n_rows) continue;
      const size_t position = s.first_position + row - s.first_row;
      const size_t window = info_.cache[layer].window;
      const size_t first = window == 0 || position + 1 < window ? 0 : position + 1 - window;
      uint64_t hash = 1469598103934665603u;  // FNV-1a
      for (size_t p = first; p <= position; ++p)
        hash = (hash ^ static_cast<uint64_t>(cell(s, p))) * 1099511628211u;
      return hash >> 17;
    }
    return 0;
  }

  ModelInfo info_;
};

// Likes to say again what stood `period` tokens before.
class RepeatingModel final : public HistoryModel {
 public:
  RepeatingModel(size_t window, size_t period) : HistoryModel(window), period_(period) {}

 private:
  std::optional<TokenId> likeliest(const Batch& batch, size_t row) const override {
    const std::vector<TokenId> before = history(batch, row);
    return before.size() < period_ ? std::nullopt : std::optional(before[before.size() - period_]);
  }
  size_t period_;
};

// Says a given text, as long as the cache holds exactly its beginning.
class RecitingModel final : public HistoryModel {
 public:
  RecitingModel(size_t window, std::vector<TokenId> text) : HistoryModel(window), text_(std::move(text)) {}

 private:
  std::optional<TokenId> likeliest(const Batch& batch, size_t row) const override {
    const std::vector<TokenId> before = history(batch, row);
    const bool knows =
        before.size() < text_.size() && std::equal(before.begin(), before.end(), text_.begin());
    return knows ? std::optional(text_[before.size()]) : std::nullopt;
  }
  std::vector<TokenId> text_;
};

struct HistoryOptions {
  size_t window = 128;
  EngineOptions engine = {.n_threads = 1, .prefill_chunk = 64, .ignore_memory = true};
  std::function<void(const Batch&)> before_pass = {};
};

inline std::unique_ptr<Engine> history_engine(const HistoryOptions& options = {}) {
  auto model = std::make_unique<HistoryModel>(options.window);
  model->before_pass = options.before_pass;
  return Engine::create(std::move(model), nullptr, {}, options.engine);
}

// Deterministic ids below `vocab`; `variant` changes all of them.
inline std::vector<TokenId> some_ids(size_t n, size_t variant = 0, size_t vocab = HistoryModel::kVocab) {
  std::vector<TokenId> tokens;
  for (size_t i = 0; i < n; ++i)
    tokens.push_back(static_cast<TokenId>((i * i * 7 + i * 31 + variant * 101 + 3) % vocab));
  return tokens;
}

inline std::vector<TokenId> joined(std::vector<TokenId> head, const std::vector<TokenId>& tail) {
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

// All that came out of a stream.
struct Answer {
  struct Choice {
    std::vector<TokenId> tokens;
    std::vector<TokenEvent> events;
    std::optional<EndReason> reason;
  };
  std::vector<Choice> choices;
  std::optional<PromptEvent> prompt;
  std::optional<GenerationEnd> end;

  const std::vector<TokenId>& tokens() const { return choices.at(0).tokens; }
  EndReason reason() const { return choices.at(0).reason.value(); }
};

// Adds an event and holds it to the order that generation.h promises.
inline void add_event(Answer& answer, GenerationEvent event) {
  ASSERT_FALSE(answer.end.has_value());
  const auto choice = [&](size_t index) -> Answer::Choice& {
    if (answer.choices.size() <= index) answer.choices.resize(index + 1);
    return answer.choices[index];
  };
  if (auto* prompt = std::get_if<PromptEvent>(&event)) {
    ASSERT_FALSE(answer.prompt.has_value());
    answer.prompt = std::move(*prompt);
  } else if (auto* token = std::get_if<TokenEvent>(&event)) {
    ASSERT_TRUE(answer.prompt.has_value());
    ASSERT_FALSE(choice(token->choice).reason.has_value());
    choice(token->choice).tokens.push_back(token->token);
    choice(token->choice).events.push_back(std::move(*token));
  } else if (auto* done = std::get_if<ChoiceEnd>(&event)) {
    ASSERT_FALSE(choice(done->choice).reason.has_value());
    choice(done->choice).reason = done->reason;
  } else {
    for (const Answer::Choice& each : answer.choices) ASSERT_TRUE(each.reason.has_value());
    answer.end = std::get<GenerationEnd>(std::move(event));
  }
}

inline Answer read_all(GenerationStream& stream) {
  Answer answer;
  while (auto event = stream.next()) add_event(answer, std::move(*event));
  EXPECT_TRUE(answer.end.has_value());
  return answer;
}

inline Answer ask(Scheduler& scheduler, GenerationRequest request) {
  auto stream = scheduler.submit(std::move(request));
  EXPECT_TRUE(stream) << stream.error().message;
  return read_all(**stream);
}

// Pages that somebody still holds once nothing runs and the prefix cache is empty: none.
inline uint64_t bytes_left_behind(Scheduler& scheduler) {
  while (!scheduler.idle()) std::this_thread::yield();
  scheduler.drop_prefix_cache().wait();
  scheduler.drop_prefix_cache().wait();  // the gauges are written after the first
  return scheduler.metrics().kv_bytes_in_use;
}

// A gate that a model waits at until a test opens it.
class Gate {
 public:
  void open() {
    open_.store(true);
    open_.notify_all();
  }
  void wait() { open_.wait(false); }

 private:
  std::atomic<bool> open_{false};
};

}  // namespace atelier::testing
