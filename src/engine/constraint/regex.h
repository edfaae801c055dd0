// Regular expressions as ECMA-262 writes them, parsed to a tree.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/constraint/code_points.h"
#include "engine/constraint/grammar_builder.h"

namespace atelier::constraint {

struct Regex {
  enum class Kind : uint8_t {
    kEmpty,
    kChars,
    kSequence,
    kChoice,
    kRepeat,
    kBegin,
    kEnd
  };  // kBegin: ^, kEnd: $
  struct Node {
    Kind kind = Kind::kEmpty;
    uint32_t set = 0;                  // kChars: index into sets
    uint32_t min = 0, max = 0;         // kRepeat; max: kUnbounded for no limit
    std::vector<uint32_t> children{};  // indices into nodes, always smaller than the node's own
  };
  std::vector<Node> nodes;
  std::vector<CodePointSet> sets;
  uint32_t root = 0;
};

// Characters are Unicode code points, as under the flag u; a brace or bracket that opens nothing is a
// character, as without it. Errors: kInvalidArgument (syntax; says where), kUnsupported, by name:
// look-around, back-references, \b, inline flags, and \p{…} other than the general categories L, Lu, Ll, M,
// N, P, S; kLimit (64 KiB, 64 nested groups).
Result<Regex> parse_regex(std::string_view pattern);

// The whole text has to match.
Result<std::shared_ptr<const Grammar>> compile_regex(std::string_view pattern);

}  // namespace atelier::constraint
