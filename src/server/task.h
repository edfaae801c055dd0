// What every request for text comes down to, whichever API it was asked through.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "chat/conversation.h"
#include "engine/generation.h"
#include "engine/sampler_choice.h"

namespace atelier::server {

// A text to continue as it stands, or its ids.
using RawPrompt = std::variant<std::string, std::vector<TokenId>>;

struct Task {
  std::string model{};  // as the client named it; empty: the default model
  // One of the two: a conversation to answer, or texts to continue.
  std::optional<chat::Conversation> conversation{};
  std::vector<RawPrompt> prompts{};
  std::string suffix{};  // of raw prompts: what comes after the text to be written

  SamplerChoice sampling{};
  std::optional<size_t> max_tokens{};  // none: to the end of the context
  size_t n = 1;                        // choices for each prompt
  std::vector<std::string> stop{};
  std::string prediction{};              // of the answer: guesses are taken from it
  std::optional<size_t> top_logprobs{};  // none: no log-probabilities
  bool prompt_logprobs = false;
  std::string call_prefix = "call_";  // of the ids that tool calls get
  std::string client{};               // whose turn it takes in the queue
};

// One sampled token as log-probabilities report it.
struct TokenInfo {
  TokenId id = 0;
  float logprob = 0;
  std::vector<TokenLogprob> top{};
};

enum class Finish { kStop, kStopSequence, kLength, kToolCalls };

// One choice when it is over. Choice i of prompt p has index p·n + i.
struct ChoiceResult {
  chat::Message message{};  // raw continuations: the text is message.content
  Finish finish = Finish::kLength;
  std::string stop_sequence{};      // for kStopSequence
  std::vector<TokenInfo> tokens{};  // of the answer's text, where log-probabilities were asked for
  size_t reasoning_tokens = 0;
};

struct Outcome {
  std::vector<ChoiceResult> choices{};
  std::vector<PromptEvent> prompts{};  // one for each prompt
  Usage usage{};                       // of all prompts
  Timings timings{};                   // of the slowest
};

}  // namespace atelier::server
