// Texts or token ids that stand for themselves: what completions continue and embeddings embed.
#pragma once

#include <vector>

#include "server/fields.h"
#include "server/task.h"

namespace atelier::server {

// The member `key`: a text, a list of ids, a list of texts, or a list of lists of ids; at most `limit`.
Status read_raw_prompts(const Fields& body, const char* key, size_t limit, std::vector<RawPrompt>& prompts);

// A text gets the token that begins one, where the model wants it; ids are taken as they are.
std::vector<TokenId> raw_prompt_ids(const RawPrompt& prompt, const Tokenizer& tokenizer, Specials specials);

}  // namespace atelier::server
