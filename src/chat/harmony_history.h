// Kept harmony ids between turns: closing what was sampled, dropping reasoning that is over.
#pragma once

#include <span>
#include <vector>

#include "chat/harmony.h"

namespace atelier::chat::harmony {

// `history`: the ids of a sequence, prompt and sampled. Returns them so that another message can follow: an
// open message is closed, <|return|> becomes <|end|>, a header that never got its body is cut off. Before a
// user's message (`new_turn`) the analysis of turns that ended in a final answer is removed, as
// without_finished_analysis does; everything else is kept id by id as it was sampled.
std::vector<TokenId> closed_history(std::span<const TokenId> history, const Tokenizer& tokenizer,
                                    const ControlTokens& ids, bool new_turn);

}  // namespace atelier::chat::harmony
