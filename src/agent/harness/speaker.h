// A model in conversation: in this process (local_speaker.h) or behind somebody's URL (remote_speaker.h).
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/conversation.h"
#include "chat/dialect.h"
#include "engine/generate.h"
#include "engine/session.h"

namespace atelier::agent {

// Everything that says where a conversation stands, apart from the cache, which follows from it.
struct Transcript {
  chat::Conversation conversation;
  // The last prompt and what was sampled after it; never rendered again. Empty where the model is remote.
  std::vector<TokenId> ids;
  size_t rendered = 0;  // messages that stand in ids
  uint64_t turns = 0;   // sampled so far; numbers the seeds
};

class Speaker {
 public:
  explicit Speaker(chat::Conversation opening) { transcript_.conversation = std::move(opening); }
  Speaker(const Speaker&) = delete;
  Speaker& operator=(const Speaker&) = delete;
  virtual ~Speaker() = default;

  const Transcript& transcript() const { return transcript_; }
  // Another place on the timeline: what a cache shares with it is not computed again.
  virtual void restore(Transcript transcript) { transcript_ = std::move(transcript); }
  void add(chat::Message message) { transcript_.conversation.messages.push_back(std::move(message)); }
  void choose_tools(chat::ToolChoice choice) { transcript_.conversation.tool_choice = std::move(choice); }

  struct Options {
    SamplerOptions sampler{};  // the seed of the session; each turn draws with its own
    size_t max_tokens = SIZE_MAX;
    // Tokens set aside so that a call begun can be finished.
    size_t closing_tokens = 96;
    bool keep_place = false;  // a checkpoint where the answer begins
    const std::atomic<bool>* cancel = nullptr;
    std::function<void(size_t done, size_t total)> on_prefill{};
    std::function<void(const chat::Delta&)> on_delta{};
    std::function<void(std::string_view)> on_note{};  // for people: what is waited for
  };
  struct Turn {
    chat::Message message{};
    chat::FinishReason finish = chat::FinishReason::kStop;
    StopReason reason = StopReason::kStopToken;
    bool closed = false;  // a call or an answer was brought to its end because the tokens ran out
    size_t prompt_tokens = 0, cached_tokens = 0, output_tokens = 0;
    size_t forced_tokens = 0;  // of the output, those that were not sampled: there was no choice
    double prefill_seconds = 0, decode_seconds = 0;
    double engine_seconds = 0;  // of decoding, where the engine is ours
  };
  // Samples the next turn and adds it; an interrupted one is kept as far as it came. Errors leave the
  // transcript as it was: kLimit where the context is full before anything was said.
  virtual Result<Turn> speak(const Options& options) = 0;

  virtual size_t context_length() const = 0;
  // What the next prompt will have, without computing anything; of a remote model as far as it is known.
  virtual Result<size_t> prompt_tokens() const = 0;
  // Of the conversation as it stands.
  virtual size_t used_tokens() const = 0;
  virtual size_t count_tokens(std::string_view text) const = 0;
  // Equal for speakers that can go on from the same kept ids.
  virtual std::string vocabulary() const = 0;

  // Computes, in idle time, what of the next turn's prompt is known already, and keeps the place; before the
  // first turn, the instructions. kInterrupted once `cancel` is set, what was computed till then stays.
  virtual Status warm_up(const PrefillOptions&) { return {}; }
  // Puts what was computed for the conversation on disk, if that is wanted.
  virtual void save() {}

 protected:
  // A turn that was spoken.
  void append(const chat::Message& message) {
    transcript_.conversation.messages.push_back(message);
    transcript_.rendered = transcript_.conversation.messages.size();
    ++transcript_.turns;
  }
  Transcript transcript_;
};

}  // namespace atelier::agent
