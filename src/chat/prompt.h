// A rendered prompt before it becomes ids: control tokens by id, everything else as text. Text is encoded
// with Specials::kAsText only, so nothing a user, a tool or a file contains can become a control token.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace atelier::chat {

class Prompt {
 public:
  static constexpr TokenId kText = -1;
  struct Segment {
    TokenId control = kText;  // kText: this segment is `text`
    std::string text;
  };

  Prompt& control(TokenId id);
  // Continues the running text: what templates write as one string is encoded as one string.
  Prompt& text(std::string_view text);
  // Text that is encoded apart from what precedes it, where the reference encoder does so.
  Prompt& piece(std::string_view text);
  // Ids as they were sampled.
  Prompt& ids(std::span<const TokenId> ids);
  void append(const Prompt& other);

  const std::vector<Segment>& segments() const { return segments_; }
  std::vector<TokenId> encode(const Tokenizer& tokenizer) const;
  std::string to_text(const Tokenizer& tokenizer) const;  // control tokens written out

 private:
  std::vector<Segment> segments_;
};

}  // namespace atelier::chat
