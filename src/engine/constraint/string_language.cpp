#include "engine/constraint/string_language.h"

#include <algorithm>

#include "engine/constraint/source_text.h"

namespace atelier::constraint {
namespace {

constexpr uint32_t kMaxCountedLength = 9'000;  // that an automaton counts, where conditions meet

std::u32string characters(std::string_view utf8) { return decode_source(utf8, "string").value_or(U""); }

// Everything but `values`.
Result<CharDfa> conditions_dfa(const StringSpec& spec) {
  CharDfa out = CharDfa::any();
  for (const auto& pattern : spec.patterns) {
    ATELIER_TRY(const CharDfa one, regex_dfa(*pattern, RegexMatch::kSearch));
    ATELIER_TRY(out, intersection(out, one));
  }
  for (const auto& pattern : spec.anti_patterns) {
    ATELIER_TRY(const CharDfa one, regex_dfa(*pattern, RegexMatch::kSearch));
    ATELIER_TRY(out, intersection(out, complement(one)));
  }
  if (!spec.excluded.empty()) {
    std::vector<std::u32string> texts;
    for (const std::string& text : spec.excluded) texts.push_back(characters(text));
    ATELIER_TRY(out, intersection(out, complement(CharDfa::one_of(texts))));
  }
  if (spec.min_length == 0 && spec.max_length == kUnbounded) return out;
  if (spec.min_length > kMaxCountedLength ||
      (spec.max_length > kMaxCountedLength && spec.max_length != kUnbounded))
    return fail(ErrorCode::kLimit,
                "strings: expected lengths up to {} together with other conditions, found more",
                kMaxCountedLength);
  return intersection(out, CharDfa::length(spec.min_length, spec.max_length));
}

Result<ExprId> listed_expr(const std::vector<std::string>& values, JsonLanguage& json) {
  std::vector<ExprId> texts;
  for (const std::string& value : values) texts.push_back(json.builder().bytes(json_string_text(value)));
  return json.builder().choice(texts);
}

}  // namespace

void StringSpec::merge(const StringSpec& other) {
  min_length = std::max(min_length, other.min_length);
  max_length = std::min(max_length, other.max_length);
  patterns.insert(patterns.end(), other.patterns.begin(), other.patterns.end());
  anti_patterns.insert(anti_patterns.end(), other.anti_patterns.begin(), other.anti_patterns.end());
  excluded.insert(excluded.end(), other.excluded.begin(), other.excluded.end());
  if (!other.values) return;
  if (!values) {
    values = other.values;
  } else {
    std::erase_if(*values, [&](const std::string& mine) {
      return std::ranges::find(*other.values, mine) == other.values->end();
    });
  }
}

bool StringSpec::is_free() const {
  return min_length == 0 && max_length == kUnbounded && patterns.empty() && anti_patterns.empty() &&
         !values && excluded.empty();
}

Result<std::optional<std::vector<std::string>>> StringSpec::finite() const {
  if (!values) return std::optional<std::vector<std::string>>();
  StringSpec conditions = *this;
  conditions.values.reset();
  if (conditions.is_free()) return values;
  std::vector<std::string> out;
  // Lengths are looked at here: an automaton that counts them would be a waste.
  conditions.min_length = 0;
  conditions.max_length = kUnbounded;
  ATELIER_TRY(const CharDfa dfa, conditions_dfa(conditions));
  for (const std::string& value : *values) {
    const std::u32string text = characters(value);
    if (text.size() >= min_length && text.size() <= max_length && dfa.matches(text)) out.push_back(value);
  }
  return std::optional(std::move(out));
}

Result<CharDfa> string_dfa(const StringSpec& spec) {
  ATELIER_TRY(const auto listed, spec.finite());
  if (!listed) return conditions_dfa(spec);
  std::vector<std::u32string> texts;
  for (const std::string& value : *listed) texts.push_back(characters(value));
  return texts.empty() ? CharDfa() : CharDfa::one_of(texts);
}

Result<ExprId> string_expr(const StringSpec& spec, JsonLanguage& json) {
  GrammarBuilder& b = json.builder();
  if (spec.is_free()) return json.string();
  ATELIER_TRY(const auto listed, spec.finite());
  if (listed) return listed_expr(*listed, json);
  if (spec.min_length > spec.max_length) return b.never();
  const bool plain = spec.anti_patterns.empty() && spec.excluded.empty();
  if (plain && spec.patterns.empty())
    return json.quoted(b.repeat(json.string_char(), spec.min_length, spec.max_length));
  const CharWriter write = [&](const CodePointSet& set) { return json.canonical(set); };
  if (plain && spec.patterns.size() == 1) {
    // One pattern keeps its counts; lengths join in where it is but one class repeated.
    const Regex& pattern = *spec.patterns[0];
    if (const auto repeated = repeated_class(pattern)) {
      const uint32_t min = std::max(repeated->min, spec.min_length),
                     max = std::min(repeated->max, spec.max_length);
      return json.quoted(b.repeat(write(repeated->set), min, max));
    }
    if (spec.min_length == 0 && spec.max_length == kUnbounded) {
      ATELIER_TRY(const ExprId content, regex_expr(pattern, RegexMatch::kSearch, b, write));
      return json.quoted(content);
    }
  }
  ATELIER_TRY(const CharDfa dfa, conditions_dfa(spec));
  return json.quoted(dfa_expr(dfa, b, write));
}

}  // namespace atelier::constraint
