// The chat template that came with a model's files.
#pragma once

#include <string>

#include "io/checkpoint.h"

namespace atelier {

// The Jinja text: GGUF's tokenizer.chat_template, or chat_template in tokenizer_config.json (the one called
// "default" where there are several), or the folder's chat_template.jinja. Empty if there is none.
std::string chat_template_of(const Checkpoint& checkpoint);

}  // namespace atelier
