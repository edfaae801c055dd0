// Grammars for turns in dialects whose calls stand in the text.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "chat/conversation.h"
#include "chat/dialect.h"
#include "chat/turn_constraint.h"
#include "engine/constraint/grammar.h"

namespace atelier::chat {

// What may stand in such a turn besides an answer in a form.
struct TurnParts {
  bool text = true;
  bool calls = true;  // of the conversation's tools, or the one that was chosen
};
// {"name": …, "<arguments_key>": {…}} between the dialect's tags, once, or several times where calls may be
// parallel; before it text, where there may be any. Errors name the tool whose schema cannot be guaranteed.
Result<std::shared_ptr<const constraint::Grammar>> compile_turn(const Conversation& conversation,
                                                                const TurnSyntax& syntax,
                                                                const TurnParts& parts,
                                                                const TurnConstraintOptions& options);

// Reasoning between its tags; `opened`: the prompt has begun it.
Result<std::shared_ptr<const constraint::Grammar>> compile_reasoning(const TurnSyntax& syntax, bool opened);

// A call's arguments: the caller's language, the tool's schema, or no arguments at all where it has none.
// Errors name the tool.
Result<constraint::ExprId> arguments_expr(const FunctionTool& tool, const TurnConstraintOptions& options,
                                          constraint::JsonLanguage& json);
// The same as a grammar of its own, and what it depends on.
Result<std::shared_ptr<const constraint::Grammar>> compile_arguments(const FunctionTool& tool,
                                                                     const TurnConstraintOptions& options);
std::string arguments_key(const FunctionTool& tool, const TurnConstraintOptions& options);

}  // namespace atelier::chat
