// Sampled harmony tokens → an assistant's turn.
#pragma once

#include <memory>

#include "chat/dialect.h"
#include "chat/harmony.h"

namespace atelier::chat::harmony {

// A turn begins right after "<|start|>assistant". Beyond the format this accepts what the models are known to
// emit: the recipient before or after the channel, a missing or unspaced <|constrain|>, a missing channel
// (the answer), a missing <|start|> or <|message|>, <|end|> for <|return|> or <|call|>, text after a call
// (dropped), messages in another's name (dropped), any control token anywhere.
// `tokenizer` must outlive the parser.
std::unique_ptr<Parser> make_parser(const Tokenizer& tokenizer, const ControlTokens& ids,
                                    const ParserOptions& options);

}  // namespace atelier::chat::harmony
