// Tokens that are found in the text before anything else happens to it: control tokens, and the ordinary
// strings some vocabularies treat in the same way. The rules are those of Hugging Face tokenizers'
// AddedToken.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/vocab.h"

namespace atelier {

struct AddedToken {
  std::string content;
  TokenId id = kNoToken;
  bool special = false;
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space in front of it
  bool rstrip = false;       // takes the white space behind it
  bool normalized = false;   // looked for in the normalised text, after those that are not
};

// Bounds the work per character of text, whatever a file declares.
inline constexpr size_t kMaxAddedTokenBytes = 512;

// Marked special, or bracketed like a control token ("<|user|>") in files that forgot to say so.
bool is_control_token(const AddedToken& token);
// Whether Specials::kAsText leaves it unrecognised: control tokens, and whatever else looks like markup
// ("<think>", "[INST]"). What remains are strings of ordinary text: runs of spaces, letters with accents.
bool is_markup_token(const AddedToken& token);

// Finds a set of added tokens in a text: the leftmost, of several the longest.
class AddedTokenMatcher {
 public:
  AddedTokenMatcher() = default;
  // Errors: kCorrupt (empty content, one content with two ids), kLimit (longer than kMaxAddedTokenBytes).
  static Result<AddedTokenMatcher> create(std::vector<AddedToken> tokens);

  bool empty() const { return tokens_.empty(); }
  std::optional<TokenId> find_exactly(std::string_view content) const;

  struct Match {
    size_t begin = 0;  // of the text that the token stands for, stripped space included
    size_t end = 0;
    TokenId id = kNoToken;
  };
  // The first match at or after byte `from`; white space is stripped no further back than that.
  std::optional<Match> find(std::string_view text, size_t from) const;

 private:
  const AddedToken* longest_at(std::string_view text) const;

  std::vector<AddedToken> tokens_;  // sorted by content
  struct Range {
    uint32_t begin = 0;
    uint32_t end = 0;
  };
  std::array<Range, 256> by_first_byte_{};
};

}  // namespace atelier
