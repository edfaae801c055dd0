#include <algorithm>

#include "engine/constraint/regex.h"
#include "engine/constraint/regex_classes.h"
#include "engine/constraint/source_text.h"

namespace atelier::constraint {
namespace {

constexpr size_t kMaxBytes = 64u << 10;
constexpr int kMaxGroups = 64;  // one inside the other

bool is_surrogate(char32_t c) { return c >= 0xD800 && c <= 0xDFFF; }

class RegexParser {
 public:
  explicit RegexParser(std::u32string_view pattern) : in_(pattern) {}

  Result<Regex> parse() {
    ATELIER_TRY(out_.root, alternatives(0));
    if (!in_.at_end()) return wrong("the end");
    return std::move(out_);
  }

 private:
  using Kind = Regex::Kind;

  tl::unexpected<Error> wrong(std::string_view expected) const {
    return fail(ErrorCode::kInvalidArgument, "regular expression: character {}: expected {}, found {}",
                in_.position(), expected, in_quotes(in_.peek()));
  }
  tl::unexpected<Error> unsupported(std::string_view what) const {
    return fail(ErrorCode::kUnsupported, "regular expression: character {}: {} not supported", in_.position(),
                what);
  }

  uint32_t add(Regex::Node node) {
    out_.nodes.push_back(std::move(node));
    return static_cast<uint32_t>(out_.nodes.size() - 1);
  }
  uint32_t add_set(CodePointSet set) {
    size_t at = out_.sets.size() < 32 ? 0 : out_.sets.size() - 32;  // often one of the last
    while (at < out_.sets.size() && out_.sets[at] != set) ++at;
    if (at == out_.sets.size()) out_.sets.push_back(std::move(set));
    return add({.kind = Kind::kChars, .set = static_cast<uint32_t>(at)});
  }

  Result<uint32_t> alternatives(int depth) {
    std::vector<uint32_t> out;
    do {
      ATELIER_TRY(const uint32_t one, sequence(depth));
      out.push_back(one);
    } while (in_.accept(U'|'));
    return out.size() == 1 ? out[0] : add({.kind = Kind::kChoice, .children = std::move(out)});
  }

  Result<uint32_t> sequence(int depth) {
    std::vector<uint32_t> parts;
    while (!in_.at_end() && in_.peek() != '|' && in_.peek() != ')') {
      ATELIER_TRY(const uint32_t part, term(depth));
      parts.push_back(part);
    }
    return parts.size() == 1 ? parts[0] : add({.kind = Kind::kSequence, .children = std::move(parts)});
  }

  Result<uint32_t> term(int depth) {
    if (in_.accept(U'^')) return assertion(Kind::kBegin);
    if (in_.accept(U'$')) return assertion(Kind::kEnd);
    uint32_t atom = 0;
    switch (in_.peek()) {
      case '(': {
        ATELIER_TRY(atom, group(depth));
        break;
      }
      case '[': {
        ATELIER_TRY(CodePointSet set, char_class());
        atom = add_set(std::move(set));
        break;
      }
      case '.':
        in_.next();
        atom = add_set(regex_dot());
        break;
      case '\\': {
        ATELIER_TRY(CodePointSet set, escape(/*in_class=*/false));
        atom = add_set(std::move(set));
        break;
      }
      case '*':
      case '+':
      case '?':
        return wrong("something to repeat");
      default: {
        CodePointSet set;
        set.add(in_.next());
        atom = add_set(std::move(set));
      }
    }
    return quantified(atom);
  }

  Result<uint32_t> assertion(Kind kind) {
    const char32_t c = in_.peek();
    if (c == '*' || c == '+' || c == '?') return wrong("something to repeat");
    return add({.kind = kind});
  }

  Result<uint32_t> group(int depth) {
    if (depth >= kMaxGroups)
      return fail(ErrorCode::kLimit,
                  "regular expression: character {}: expected at most {} nested groups, found more",
                  in_.position(), kMaxGroups);
    if (in_.accept(U"(?=") || in_.accept(U"(?!")) return unsupported("look-ahead is");
    if (in_.accept(U"(?<=") || in_.accept(U"(?<!")) return unsupported("look-behind is");
    if (in_.accept(U"(?<")) {
      const size_t begin = in_.position();
      while (!in_.at_end() && in_.peek() != '>') in_.next();
      if (in_.position() == begin || !in_.accept(U'>')) return wrong("a group's name and >");
    } else if (!in_.accept(U"(?:")) {
      if (in_.accept(U"(?")) return unsupported("groups with flags are");
      in_.next();
    }
    ATELIER_TRY(const uint32_t inside, alternatives(depth + 1));
    if (!in_.accept(U')')) return wrong("\")\"");
    return inside;
  }

  Result<uint32_t> quantified(uint32_t atom) {
    uint32_t min = 0, max = kUnbounded;
    if (in_.accept(U'*')) {
    } else if (in_.accept(U'+')) {
      min = 1;
    } else if (in_.accept(U'?')) {
      max = 1;
    } else if (!braces(min, max)) {
      return atom;
    }
    in_.accept(U'?');  // lazy: the same texts match
    if (max < min)
      return fail(ErrorCode::kInvalidArgument,
                  "regular expression: character {}: expected {{min,max}}, found {{{},{}}}", in_.position(),
                  min, max);
    const char32_t c = in_.peek();
    if (c == '*' || c == '+' || c == '?') return wrong("one quantifier");
    return add({.kind = Kind::kRepeat, .min = min, .max = max, .children = {atom}});
  }

  // {2}, {2,} or {2,5}; false, and nothing read, where the brace is only a character.
  bool braces(uint32_t& min, uint32_t& max) {
    const size_t begin = in_.position();
    if (!in_.accept(U'{')) return false;
    if (const auto low = in_.number()) {
      min = max = *low;
      if (in_.accept(U',')) max = in_.number().value_or(kUnbounded);
      if (in_.accept(U'}')) return true;
    }
    in_.go_to(begin);
    min = 0;
    max = kUnbounded;
    return false;
  }

  Result<CodePointSet> char_class() {
    in_.next();
    const bool negated = in_.accept(U'^');
    CodePointSet set;
    while (!in_.accept(U']')) {
      if (in_.at_end()) return wrong("\"]\"");
      ATELIER_TRY(const CodePointSet first, class_atom());
      const bool is_range = in_.peek() == '-' && in_.peek(1) != ']' && in_.peek(1) != SourceCursor::kEnd;
      if (!is_range || first.size() != 1) {
        set.add(first);
        continue;
      }
      in_.next();
      ATELIER_TRY(const CodePointSet last, class_atom());
      if (last.size() != 1) {  // [a-\d]: the dash is a character
        set.add(first);
        set.add(U'-');
        set.add(last);
        continue;
      }
      const char32_t low = first.ranges()[0].first, high = last.ranges()[0].first;
      if (high < low)
        return fail(ErrorCode::kInvalidArgument,
                    "regular expression: character {}: expected a range, found {} to {}", in_.position(),
                    in_quotes(low), in_quotes(high));
      set.add(low, high);
    }
    return negated ? set.complement() : set;
  }

  Result<CodePointSet> class_atom() {
    if (in_.at_end()) return wrong("\"]\"");
    if (in_.peek() == '\\') return escape(/*in_class=*/true);
    CodePointSet set;
    set.add(in_.next());
    return set;
  }

  Result<CodePointSet> escape(bool in_class) {
    in_.next();
    const char32_t c = in_.peek();
    const auto one = [this](char32_t value) {
      in_.next();
      return CodePointSet{{value, value}};
    };
    const auto all = [this](const CodePointSet& set) {
      in_.next();
      return set;
    };
    switch (c) {
      case 'd':
        return all(regex_digits());
      case 'D':
        return all(regex_digits().complement());
      case 'w':
        return all(regex_words());
      case 'W':
        return all(regex_words().complement());
      case 's':
        return all(regex_spaces());
      case 'S':
        return all(regex_spaces().complement());
      case 't':
        return one('\t');
      case 'n':
        return one('\n');
      case 'v':
        return one('\v');
      case 'f':
        return one('\f');
      case 'r':
        return one('\r');
      case '0':
        if (in_.peek(1) >= '0' && in_.peek(1) <= '9') return unsupported("octal escapes are");
        return one('\0');
      case 'c': {
        const char32_t letter = in_.peek(1) | 0x20;
        if (letter < 'a' || letter > 'z') return wrong("a control letter after \\c");
        in_.next();
        return one(letter - 'a' + 1);
      }
      case 'p':
      case 'P':
        return property();
      case 'x':
      case 'u':
        return hexadecimal();
      case 'b':
        if (in_class) return one('\b');
        [[fallthrough]];
      case 'B':
        return unsupported("word boundaries (\\b, \\B) are");
      case 'k':
        return unsupported("back-references are");
      default:
        break;
    }
    if (c >= '1' && c <= '9') return unsupported("back-references are");
    if (c == SourceCursor::kEnd || (c < 0x80 && regex_words().contains(c) && c != '_'))
      return wrong("an escape that ECMA-262 knows");
    return one(c);
  }

  Result<CodePointSet> hexadecimal() {
    const bool short_form = in_.next() == 'x';
    std::optional<char32_t> value;
    if (short_form) {
      value = in_.hex(2);
    } else if (in_.accept(U'{')) {
      char32_t wide = 0;
      bool any = false;
      for (; const auto digit = in_.hex(1); any = true)
        wide = std::min<char32_t>(wide << 4 | *digit, 0x110000);
      if (any && in_.accept(U'}')) value = wide;
    } else {
      value = in_.hex(4);
      const size_t after = in_.position();
      if (value && *value >= 0xD800 && *value <= 0xDBFF && in_.accept(U"\\u")) {
        const auto low = in_.hex(4);
        if (low && *low >= 0xDC00 && *low <= 0xDFFF) {
          value = 0x10000 + ((*value - 0xD800) << 10) + (*low - 0xDC00);
        } else {
          in_.go_to(after);
        }
      }
    }
    if (!value || *value > kLastCodePoint) return wrong("the hexadecimal digits of a character");
    if (is_surrogate(*value)) return unsupported("half a surrogate pair is");
    return CodePointSet{{*value, *value}};
  }

  Result<CodePointSet> property() {
    const bool negated = in_.next() == 'P';
    if (!in_.accept(U'{')) return wrong("\"{\" and the name of a property");
    const size_t begin = in_.position();
    while (!in_.at_end() && in_.peek() != '}') in_.next();
    const std::string name = to_utf8(in_.since(begin));
    if (!in_.accept(U'}')) return wrong("\"}\"");
    const auto set = regex_property(name, negated);
    if (!set) return unsupported(fmt::format("\\p{{{}}} is", name.substr(0, 60)));
    return *set;
  }

  SourceCursor in_;
  Regex out_;
};

}  // namespace

Result<Regex> parse_regex(std::string_view pattern) {
  if (pattern.size() > kMaxBytes)
    return fail(ErrorCode::kLimit, "regular expression: expected at most {} bytes, found {}", kMaxBytes,
                pattern.size());
  ATELIER_TRY(const std::u32string source, decode_source(pattern, "regular expression"));
  return RegexParser(source).parse();
}

}  // namespace atelier::constraint
