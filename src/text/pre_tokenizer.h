// The pre-tokenizers of tokenizer.json: how text comes apart into the pieces that a model encodes one by one.
#pragma once

#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "text/regex.h"
#include "text/splitter.h"

namespace atelier {

namespace pre_tokenizer {

// What becomes of the delimiters that a Split finds, and of what lies between.
enum class Behavior : uint8_t { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct Literal {
  std::string text;  // not empty
};
struct AnyOf {
  ClassSet classes;            // each such character
  bool ascii_symbols = false;  // and those of ASCII that are no letters, digits or spaces
};
struct Split {
  std::variant<Regex, Literal, AnyOf> pattern;
  Behavior behavior = Behavior::kIsolated;
  bool invert = false;  // delimiters are what the pattern does not match
};

enum class Prepend : uint8_t { kNever, kFirst, kAlways };
// Spaces become another character, which also goes in front: of every piece, or of the first of a text.
struct Metaspace {
  std::string replacement;  // one character
  Prepend prepend = Prepend::kAlways;
  bool split = true;  // in front of each
};

struct PrefixSpace {};  // a space in front of every piece that does not start with one

using Step = std::variant<SplitStep, Split, Metaspace, PrefixSpace>;

}  // namespace pre_tokenizer

// Pieces that are not part of the text itself live here.
using PieceArena = std::deque<std::string>;

class PreTokenizer {
 public:
  // Errors: kLimit (kMaxSplitSteps).
  Status add(pre_tokenizer::Step step);

  // Whether the pieces are parts of the text and follow one another, so that PieceReader does it all.
  bool is_simple() const { return others_.empty(); }
  std::span<const SplitStep> simple_steps() const { return simple_; }

  // Otherwise: appends the pieces, none of which is empty. `first`: the text is the beginning of what was
  // given. Errors: those of Regex::find_all.
  Status split(std::string_view text, bool first, PieceArena& arena,
               std::vector<std::string_view>& pieces) const;

 private:
  std::vector<SplitStep> simple_;  // all of them if others_ is empty, and else those in front of it
  std::vector<pre_tokenizer::Step> others_;
};

}  // namespace atelier
