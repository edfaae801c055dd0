// A model in conversation: messages, kept ids and live cache, moved together.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "agent/harness/live_cache.h"
#include "agent/harness/turn_rules.h"
#include "chat/conversation.h"
#include "chat/dialect.h"
#include "engine/generate.h"

namespace atelier::agent {

// Everything that says where a conversation stands, apart from the cache, which follows from it.
struct Transcript {
  chat::Conversation conversation;
  std::vector<TokenId> ids;  // the last prompt and what was sampled after it; never rendered again
  size_t rendered = 0;       // messages that stand in ids
  uint64_t turns = 0;        // sampled so far; numbers the seeds
};

class Speaker {
 public:
  // The engine and the rules must outlive it.
  Speaker(Engine& engine, std::shared_ptr<const chat::Dialect> dialect, TurnRules& rules,
          chat::Conversation opening)
      : dialect_(std::move(dialect)), rules_(&rules), cache_(engine) {
    transcript_.conversation = std::move(opening);
  }

  const Transcript& transcript() const { return transcript_; }
  // Another place on the timeline: what the cache shares with it is not computed again.
  void restore(Transcript transcript) { transcript_ = std::move(transcript); }
  void add(chat::Message message) { transcript_.conversation.messages.push_back(std::move(message)); }
  void choose_tools(chat::ToolChoice choice) { transcript_.conversation.tool_choice = std::move(choice); }
  const LiveCache& cache() const { return cache_; }
  const chat::Dialect& dialect() const { return *dialect_; }

  struct Options {
    SamplerOptions sampler{};  // the seed of the session; each turn draws with its own
    size_t max_tokens = SIZE_MAX;
    // Tokens set aside so that a call begun can be finished.
    size_t closing_tokens = 96;
    bool keep_place = false;  // a checkpoint at the end of the prompt
    const std::atomic<bool>* cancel = nullptr;
    std::function<void(size_t done, size_t total)> on_prefill{};
    std::function<void(const chat::Delta&)> on_delta{};
  };
  struct Turn {
    chat::Message message{};
    chat::FinishReason finish = chat::FinishReason::kStop;
    StopReason reason = StopReason::kStopToken;
    bool closed = false;  // a call or an answer was brought to its end because the tokens ran out
    size_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0;
    size_t forced_tokens = 0;  // of the output, those that were not sampled: there was no choice
    double prefill_seconds = 0, decode_seconds = 0;
  };
  // Samples the next turn and adds it; an interrupted one is kept as far as it came. Errors leave the
  // transcript as it was: kLimit where the context is full before anything was said.
  Result<Turn> speak(const Options& options);

  // Ids the next prompt will have, without computing anything.
  Result<std::vector<TokenId>> next_prompt() const;
  // Computes, in idle time, what of the next turn's prompt is known already, and keeps the place; before the
  // first turn, the instructions. kInterrupted once `cancel` is set, what was computed till then stays.
  Status warm_up(const PrefillOptions& options);
  // Keys and values of where the conversation stands, kept on disk.
  LiveCache& cache() { return cache_; }

 private:
  // What the next prompt begins with, whatever the user will say.
  Result<std::vector<TokenId>> known_prompt() const;
  Result<std::vector<TokenId>> prompt_for(const chat::Conversation& conversation) const;
  struct Sampling;
  Result<std::span<const float>> read_prompt(Sampling& turn, const Options& options);
  Status sample(Sampling& turn, const Options& options);

  std::shared_ptr<const chat::Dialect> dialect_;
  TurnRules* rules_;
  LiveCache cache_;
  Transcript transcript_;
};

}  // namespace atelier::agent
