#include "engine/constraint/regex_classes.h"

#include <array>

#include "text/unicode.h"

namespace atelier::constraint {

const CodePointSet& regex_digits() {
  static const CodePointSet set = {{'0', '9'}};
  return set;
}

const CodePointSet& regex_words() {
  static const CodePointSet set = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  return set;
}

const CodePointSet& regex_spaces() {
  static const CodePointSet set = {{'\t', '\r'},     {' ', ' '},       {0xA0, 0xA0},     {0x1680, 0x1680},
                                   {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                                   {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
  return set;
}

const CodePointSet& regex_dot() {
  static const CodePointSet set = CodePointSet{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}.complement();
  return set;
}

namespace {

// The title-case letters, which CharClass counts among the upper-case ones.
const CodePointSet& title_case() {
  static const CodePointSet set = {{0x1C5, 0x1C5},   {0x1C8, 0x1C8},   {0x1CB, 0x1CB},   {0x1F2, 0x1F2},
                                   {0x1F88, 0x1F8F}, {0x1F98, 0x1F9F}, {0x1FA8, 0x1FAF}, {0x1FBC, 0x1FBC},
                                   {0x1FCC, 0x1FCC}, {0x1FFC, 0x1FFC}};
  return set;
}

constexpr size_t kClasses = static_cast<size_t>(CharClass::kNewNumber) + 1;

std::array<CodePointSet, kClasses> sets_by_class() {
  std::array<CodePointSet, kClasses> out;
  const CharClasses& table = CharClasses::get();
  char32_t first = 0;
  for (char32_t c = 1; c <= kLastCodePoint + 1; ++c) {
    if (c <= kLastCodePoint && table[c] == table[first]) continue;
    out[static_cast<size_t>(table[first])].add(first, c - 1);
    first = c;
  }
  return out;
}

CodePointSet of_classes(ClassSet classes) {
  static const std::array<CodePointSet, kClasses> sets = sets_by_class();
  CodePointSet out;
  for (size_t i = 0; i < kClasses; ++i)
    if (contains(classes, static_cast<CharClass>(i))) out.add(sets[i]);
  return out;
}

std::optional<ClassSet> classes_named(std::string_view name) {
  if (name == "L" || name == "Letter") return kLetters;
  if (name == "Lu" || name == "Uppercase_Letter") return class_set(CharClass::kUpper);
  if (name == "Ll" || name == "Lowercase_Letter") return class_set(CharClass::kLower);
  if (name == "M" || name == "Mark") return class_set(CharClass::kMark);
  if (name == "N" || name == "Number") return class_set(CharClass::kNumber);
  if (name == "P" || name == "Punctuation") return class_set(CharClass::kPunctuation);
  if (name == "S" || name == "Symbol") return class_set(CharClass::kSymbol);
  return std::nullopt;
}

}  // namespace

std::optional<CodePointSet> regex_property(std::string_view name, bool negated) {
  for (const std::string_view prefix : {"General_Category=", "gc="})
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  const auto classes = classes_named(name);
  if (!classes) return std::nullopt;
  CodePointSet set = of_classes(*classes);
  if (*classes == class_set(CharClass::kUpper)) set = set.minus(title_case());
  if (!negated) return set;
  return set.complement().minus(of_classes(class_set(CharClass::kNewNumber)));
}

}  // namespace atelier::constraint
