// Which tokens may come next in a harmony header.
#pragma once

#include <memory>

#include "chat/dialect.h"
#include "chat/harmony.h"

namespace atelier::chat::harmony {

// The legal headers of a conversation are finitely many: a channel, and for each declared tool its recipient
// in either place with the content types the models use. They are spelled as the renderer spells them and
// kept as a prefix tree of ids. tool_choice narrows them: none has no recipients, required and a named
// function have no final answer, and no more than reasoning and a preamble before the call. `tokenizer` is
// used by this call only.
std::unique_ptr<HeaderMask> make_mask(const Tokenizer& tokenizer, const ControlTokens& ids,
                                      const Conversation& conversation);

}  // namespace atelier::chat::harmony
