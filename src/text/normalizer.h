// What happens to text before it is split: the normalizers of tokenizer.json, and SentencePiece's own.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "text/charsmap.h"
#include "text/normal_form.h"
#include "text/regex.h"

namespace atelier {

namespace normalizer {

struct Prepend {
  std::string text;  // in front of what is not empty
};
struct ReplaceText {
  std::string from;  // not empty
  std::string to;
};
struct ReplaceMatches {
  Regex expression;
  std::string to;
};
struct Strip {
  bool left = false;
  bool right = false;
};
struct Lowercase {};
struct StripAccents {};
struct Nmt {};  // controls go, what looks like a space becomes one
struct Precompiled {
  Charsmap charsmap;
};
// What the SentencePiece library does, in the order in which it does it.
struct SentencePiece {
  Charsmap charsmap;
  bool has_charsmap = false;
  bool remove_extra_spaces = false;  // at both ends, and all but one of a run
  bool add_dummy_prefix = false;
};

using Step = std::variant<NormalForm, Prepend, ReplaceText, ReplaceMatches, Strip, Lowercase, StripAccents,
                          Nmt, Precompiled, SentencePiece>;

}  // namespace normalizer

class Normalizer {
 public:
  static constexpr size_t kMaxSteps = 64;
  // Errors: kLimit.
  Status add(normalizer::Step step);
  bool empty() const { return steps_.empty(); }
  // `out` is replaced. Errors: those of Regex::find_all.
  Status apply(std::string_view text, std::string& out) const;

 private:
  std::vector<normalizer::Step> steps_;
};

}  // namespace atelier
