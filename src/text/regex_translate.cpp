// Oniguruma's Ruby syntax → PCRE2. Source: kkos/oniguruma, doc/RE; pcre2syntax(3).
#include <algorithm>
#include <string>

#include "text/regex.h"

namespace atelier {
namespace {

// The members of Oniguruma's Unicode classes as PCRE2 writes them inside brackets.
constexpr std::string_view kSpace = R"(\t-\r \x{85}\p{Z})";
constexpr std::string_view kWord =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
constexpr std::string_view kHexDigit = "0-9A-Fa-f";

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  Result<std::string> run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        ATELIER_CHECK_OK(escape(/*in_class=*/false));
      } else if (c == '[') {
        ATELIER_CHECK_OK(character_class());
      } else if (rest().starts_with("(?")) {
        ATELIER_CHECK_OK(group());
      } else if (rest().starts_with("(*")) {
        return refuse("(*");
      } else if (rest().starts_with("{,")) {
        return refuse("{,");
      } else if (c == '}' && at_ + 1 < pattern_.size() && pattern_[at_ + 1] == '+') {
        return refuse("}+");  // possessive in one, a repetition in the other
      } else {
        take(1);
      }
    }
    return std::move(out_);
  }

 private:
  std::string_view rest() const { return pattern_.substr(at_); }
  void take(size_t n) {
    out_ += pattern_.substr(at_, n);
    at_ += n;
  }
  tl::unexpected<Error> refuse(std::string_view what) const {
    return fail(ErrorCode::kUnsupported, "\"{}\" in the expression {}", what, pattern_);
  }

  // A class of Oniguruma's that PCRE2 has otherwise or not at all.
  void replace(std::string_view members, bool in_class) {
    at_ += 2;
    if (in_class)
      out_ += members;
    else
      out_.append(1, '[').append(members).append(1, ']');
  }
  Status replace_negated(std::string_view members, bool in_class) {
    if (in_class) return refuse(rest().substr(0, 2));
    at_ += 2;
    out_.append("[^").append(members).append(1, ']');
    return {};
  }

  Status escape(bool in_class) {
    if (at_ + 1 == pattern_.size()) return refuse("\\");
    const char c = pattern_[at_ + 1];
    switch (c) {
      case 's':
        replace(kSpace, in_class);
        return {};
      case 'S':
        if (!in_class) return replace_negated(kSpace, in_class);
        take(2);  // PCRE2 takes U+180E for a space
        return {};
      case 'w':
        replace(kWord, in_class);
        return {};
      case 'W':
        return replace_negated(kWord, in_class);
      case 'h':
        replace(kHexDigit, in_class);
        return {};
      case 'H':
        return replace_negated(kHexDigit, in_class);
      case 'v':
        at_ += 2;
        out_ += "\\x0B";
        return {};
      case 'u':
        return code_point();
      default:
        break;
    }
    // What both understand alike: control characters, digits, properties, ends of the text, references.
    constexpr std::string_view kShared = "tnrfaedDpPAzZx0123456789";
    const bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
    if (letter && kShared.find(c) == std::string_view::npos) return refuse(rest().substr(0, 2));
    take(2);
    const bool braced =
        (c == 'p' || c == 'P' || c == 'x') && rest().starts_with('{');  // \p{L}: no repetition
    if (braced) take(std::min(rest().find('}'), rest().size() - 1) + 1);
    return {};
  }

  // \uHHHH
  Status code_point() {
    const std::string_view digits = rest().substr(2, 4);
    if (digits.size() < 4 || digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos)
      return refuse("\\u");
    out_.append("\\x{").append(digits).append(1, '}');
    at_ += 6;
    return {};
  }

  Status character_class() {
    take(1);
    if (rest().starts_with('^')) take(1);
    if (rest().starts_with(']')) take(1);
    while (at_ < pattern_.size() && pattern_[at_] != ']') {
      if (pattern_[at_] == '\\') {
        ATELIER_CHECK_OK(escape(/*in_class=*/true));
      } else if (rest().starts_with("[:")) {
        return refuse("[:");  // the members differ
      } else if (pattern_[at_] == '[') {
        return refuse("[ inside brackets");
      } else if (rest().starts_with("&&")) {
        return refuse("&&");
      } else {
        take(1);
      }
    }
    if (at_ == pattern_.size()) return refuse("[ without ]");
    take(1);
    return {};
  }

  // "(?" of groups, look-around and options. Oniguruma's m is PCRE2's s.
  Status group() {
    constexpr std::string_view kKinds[] = {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"};
    for (const std::string_view kind : kKinds) {
      if (!rest().starts_with(kind)) continue;
      take(kind.size());
      return {};
    }
    size_t end = at_ + 2;
    while (end < pattern_.size() && (pattern_[end] == 'i' || pattern_[end] == 'x' || pattern_[end] == '-'))
      ++end;
    if (end == at_ + 2 || end == pattern_.size() || (pattern_[end] != ':' && pattern_[end] != ')'))
      return refuse(rest().substr(0, 3));
    take(end + 1 - at_);
    return {};
  }

  std::string_view pattern_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

Result<std::string> translate_oniguruma(std::string_view pattern) { return Translator(pattern).run(); }

}  // namespace atelier
