// A model in conversation: keeps the messages, the sampled ids and the cache together from turn to turn.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "chat/conversation.h"
#include "chat/dialect.h"
#include "engine/generate.h"
#include "engine/session.h"

namespace atelier::chat {

class Assistant {
 public:
  // The engine must outlive the assistant. `opening`: the conversation so far; its date stays as it is.
  Assistant(Engine& engine, std::shared_ptr<const Dialect> dialect, Conversation opening)
      : dialect_(std::move(dialect)), conversation_(std::move(opening)), session_(engine) {}

  const Conversation& conversation() const { return conversation_; }
  const Session& session() const { return session_; }
  // A user's message or a tool's result, to be answered by the next respond().
  void add(Message message) { conversation_.messages.push_back(std::move(message)); }

  struct Options {
    SamplerOptions sampler;
    size_t max_tokens = SIZE_MAX;
    std::vector<std::string> stop;  // ends the answer before this text
    const std::atomic<bool>* cancel = nullptr;
    std::function<void(size_t done, size_t total)> on_prefill;
    std::function<bool(const Delta&)> on_delta;  // false ends the turn
  };
  struct Turn {
    Message message;  // as it was added to the conversation
    FinishReason finish = FinishReason::kStop;
    Generated generated;
  };
  // Renders what was added since the last turn on top of the ids that are kept, samples a turn and adds it to
  // the conversation; an interrupted turn is kept as far as it came. Errors leave the conversation as it was.
  Result<Turn> respond(const Options& options);

 private:
  Result<std::vector<TokenId>> next_prompt() const;

  std::shared_ptr<const Dialect> dialect_;
  Conversation conversation_;
  Session session_;
  std::vector<TokenId> history_;  // the last prompt and what was sampled after it
  size_t rendered_ = 0;           // messages that stand in history_
};

}  // namespace atelier::chat
