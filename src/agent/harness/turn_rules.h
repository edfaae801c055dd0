// What the agent's model may say in a turn: chat/turn_constraint.h with the agent's tools, and patches bound
// to the files that the conversation has shown.
#pragma once

#include <memory>
#include <string>

#include "agent/patch/patch_scope.h"
#include "agent/tools/toolbox.h"
#include "chat/dialect.h"
#include "chat/turn_constraint.h"
#include "engine/constraint/constraint_cache.h"

namespace atelier::agent {

struct TurnRulesOptions {
  std::shared_ptr<const chat::Dialect> dialect{};
  std::shared_ptr<constraint::ConstraintCache> constraints{};  // of the dialect's tokenizer
  const Toolbox* toolbox = nullptr;
  const Workspace* workspace = nullptr;  // patches are bound to its files
  bool constrain = true;                 // false: anything may be said, for comparison
  bool bind_patches = true;              // false: patches are held to their schema only, for comparison
};

// Made once per agent. What it compiles is kept by the options' constraints. All that the options point to
// must outlive it.
class TurnRules {
 public:
  explicit TurnRules(TurnRulesOptions options) : options_(std::move(options)) {}

  // For the turn that answers the conversation, with the workspace as it is now; null where nothing is
  // constrained. Errors: those of chat::make_turn_constraint, such as an output schema that cannot be
  // enforced.
  Result<std::unique_ptr<chat::TurnConstraint>> begin(const chat::Conversation& conversation);

 private:
  Result<std::unique_ptr<chat::TurnConstraint>> make(const chat::Conversation& conversation,
                                                     const std::shared_ptr<const PatchScope>& scope,
                                                     const std::string& key) const;

  TurnRulesOptions options_;
  // How much of the files the last turn could be bound to, and which files those were.
  std::string known_key_;
  size_t known_level_ = 0;
};

}  // namespace atelier::agent
