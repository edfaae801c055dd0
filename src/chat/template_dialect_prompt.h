// From a rendered template to a prompt: which of its bytes are control tokens.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "chat/prompt.h"
#include "chat/template/text.h"

namespace atelier::chat {

// The tokens that stand for a text of their own only where that text is trusted: control tokens and markup
// that the vocabulary has as added tokens ("<think>", "[INST]").
class ControlTokens {
 public:
  // Looks through the whole vocabulary once.
  explicit ControlTokens(const Tokenizer& tokenizer);

  // Control tokens where the template wrote them, whole; everything else is text. Of tokens that begin at the
  // same place the longest counts.
  Prompt prompt(const jinja::Text& text) const;

 private:
  struct Token {
    std::string text;
    TokenId id;
    bool lstrip;  // takes the white space in front of it, as the publisher's tokenizer does
    bool rstrip;
  };
  const Token* longest_at(std::string_view text) const;

  std::vector<Token> tokens_;  // by first byte, longer ones first
  struct Range {
    size_t begin = 0;
    size_t end = 0;
  };
  std::array<Range, 256> by_first_byte_{};
};

}  // namespace atelier::chat
