// A conversation as the variables of a chat template.
#pragma once

#include "chat/conversation.h"
#include "chat/dialect.h"
#include "chat/template/value.h"

namespace atelier::chat {

// What publishers' templates disagree about.
struct TemplateShape {
  bool null_content = true;         // of an assistant that only calls tools: none; else ""
  bool object_arguments = true;     // of calls: an object; else JSON text
  bool nine_character_ids = false;  // of calls: "call00001"; else as they are
  bool developer_role = false;      // it has one; else developers speak as the system
  bool fold_system = false;         // the system's text stands in front of the first user's
};

// The conversation's template_arguments, and over them messages, tools, add_generation_prompt, bos_token,
// eos_token and, where set, reasoning_effort. Roles and the tokens are ours, so they count as the template's
// own text; everything else is data.
Result<jinja::Dict> template_variables(const Conversation& conversation, const RenderOptions& options,
                                       const TemplateShape& shape, const Tokenizer& tokenizer);

}  // namespace atelier::chat
