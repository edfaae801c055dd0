#include "engine/constraint/free_text.h"

#include <algorithm>
#include <vector>

#include "base/check.h"
#include "engine/constraint/source_text.h"

namespace atelier::constraint {
namespace {

// How much of the beginning of `tag` the text ends with, once `c` follows `matched` characters of it.
size_t matched_after(std::u32string_view tag, size_t matched, char32_t c) {
  std::u32string seen(tag.substr(0, matched));
  seen.push_back(c);
  for (size_t n = std::min(seen.size(), tag.size()); n > 0; --n)
    if (std::u32string_view(seen).ends_with(tag.substr(0, n))) return n;
  return 0;
}

}  // namespace

// States are how much of the tag the text ends with, as Knuth, Morris and Pratt search for it.
Result<ExprId> text_without(std::string_view tag, GrammarBuilder& builder) {
  ATELIER_TRY(const std::u32string text, decode_source(tag, "tag"));
  ATELIER_CHECK(!text.empty());
  std::u32string chars = text;
  std::ranges::sort(chars);
  chars.erase(std::unique(chars.begin(), chars.end()), chars.end());
  CodePointSet of_tag;
  for (const char32_t c : chars) of_tag.add(c);
  ExprAutomaton automaton;
  automaton.states.resize(text.size());
  for (size_t matched = 0; matched < text.size(); ++matched) {
    auto& state = automaton.states[matched];
    state.accepting = true;
    std::vector<CodePointSet> to(text.size());
    to[0] = of_tag.complement();
    for (const char32_t c : chars)
      if (const size_t next = matched_after(text, matched, c); next < text.size()) to[next].add(c);
    for (size_t next = 0; next < to.size(); ++next)
      if (!to[next].empty()) state.edges.push_back({builder.chars(to[next]), static_cast<uint32_t>(next)});
  }
  return builder.automaton(automaton);
}

}  // namespace atelier::constraint
