// A model of this process in conversation: messages, kept ids and live cache, moved together.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agent/harness/live_cache.h"
#include "agent/harness/speaker.h"
#include "agent/harness/turn_rules.h"

namespace atelier::agent {

class LocalSpeaker final : public Speaker {
 public:
  // The engine and the rules must outlive it.
  LocalSpeaker(Engine& engine, std::shared_ptr<const chat::Dialect> dialect, TurnRules& rules,
               chat::Conversation opening)
      : Speaker(std::move(opening)), dialect_(std::move(dialect)), rules_(&rules), cache_(engine) {}

  Result<Turn> speak(const Options& options) override;
  size_t context_length() const override { return cache_.engine().context_length(); }
  Result<size_t> prompt_tokens() const override {
    return next_prompt().map([](const auto& ids) { return ids.size(); });
  }
  size_t used_tokens() const override { return transcript_.ids.size(); }
  size_t count_tokens(std::string_view text) const override {
    return dialect_->tokenizer().encode(text).size();
  }
  std::string vocabulary() const override;
  Status warm_up(const PrefillOptions& options) override;
  void save() override { cache_.save(); }

  // Keeps keys and values on disk too; must outlive the speaker.
  void use(KvStore* store) { cache_.use(store); }

 private:
  // Ids the next prompt will have, without computing anything.
  Result<std::vector<TokenId>> next_prompt() const;
  // What the next prompt begins with, whatever the user will say.
  Result<std::vector<TokenId>> known_prompt() const;
  // What all prompts have in common that go on from `so_far` with a message of the user.
  Result<std::vector<TokenId>> common_prompt(const chat::Conversation& so_far) const;
  Result<std::vector<TokenId>> prompt_for(const chat::Conversation& conversation) const;
  struct Sampling;
  Result<bool> read_said(const Sampling& turn, const PrefillOptions& reading);
  Result<std::span<const float>> read_prompt(Sampling& turn, const Options& options);
  Status sample(Sampling& turn, const Options& options);

  std::shared_ptr<const chat::Dialect> dialect_;
  TurnRules* rules_;
  LiveCache cache_;
};

}  // namespace atelier::agent
