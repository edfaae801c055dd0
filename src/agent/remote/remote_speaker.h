// A model behind an OpenAI-compatible URL in conversation. What is said goes there: nobody gets this speaker
// who did not ask for it by name.
//
// Nothing of a local model's guarantees holds: calls are as the server makes them, prompts are computed again
// unless it remembers, sizes are what it reports and, before it has, estimates.
#pragma once

#include <optional>
#include <string>

#include "agent/harness/speaker.h"

namespace atelier::agent {

struct Provider {
  std::string url{};       // "https://host/v1": "/chat/completions" is added
  std::string model{};     // as the server calls it
  std::string key{};       // sent as a bearer token, over TLS or to this machine only; empty: none
  std::string key_name{};  // of the environment variable it is from, for messages
  size_t context = 131072;
  std::optional<float> temperature{}, top_p{};
  std::optional<uint64_t> seed{};
};

class RemoteSpeaker final : public Speaker {
 public:
  // Opens no connection. Errors: kInvalidArgument for a URL that is none, or a key that would be sent in the
  // clear.
  static Result<std::unique_ptr<Speaker>> create(Provider provider, chat::Conversation opening);

  // Errors: kIo where the server is not reached or its stream breaks off, kInvalidArgument where it refuses
  // key or request. Where it is busy (429, 502, 503, 504) it is asked again, up to five times.
  Result<Turn> speak(const Options& options) override;
  size_t context_length() const override { return provider_.context; }
  Result<size_t> prompt_tokens() const override;
  size_t used_tokens() const override { return known_tokens_; }
  size_t count_tokens(std::string_view text) const override;
  std::string vocabulary() const override { return "remote " + provider_.url; }
  void restore(Transcript transcript) override;

 private:
  struct Exchange;
  RemoteSpeaker(Provider provider, chat::Conversation opening)
      : Speaker(std::move(opening)), provider_(std::move(provider)) {}
  std::string request(const Options& options) const;
  Status exchange(Exchange& one, const std::string& body, const Options& options) const;

  Provider provider_;
  size_t known_tokens_ = 0;    // of the last prompt and what was said after it, by the server's count
  size_t known_messages_ = 0;  // that stand in them
};

}  // namespace atelier::agent
