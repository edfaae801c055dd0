#include "engine/constraint/gbnf.h"

#include <map>
#include <vector>

#include "engine/constraint/grammar_builder.h"
#include "engine/constraint/source_text.h"

namespace atelier::constraint {
namespace {

constexpr size_t kMaxBytes = 256u << 10;
constexpr int kMaxGroups = 64;  // one inside the other

class GbnfParser {
 public:
  explicit GbnfParser(std::u32string_view text) : in_(text) {}

  Result<std::shared_ptr<const Grammar>> compile() {
    skip_space(/*newlines=*/true);
    while (!in_.at_end()) ATELIER_CHECK_OK(rule());
    for (const auto& [name, rule] : rules_)
      if (!rule.defined)
        return fail(ErrorCode::kInvalidArgument,
                    "grammar: line {}: expected a rule that is defined, found {}", rule.line,
                    in_quotes(name));
    const auto root = rules_.find("root");
    if (root == rules_.end())
      return fail(ErrorCode::kInvalidArgument, "grammar: expected a rule named \"root\", found none");
    return builder_.build(root->second.id);
  }

 private:
  struct Rule {
    RuleId id;
    size_t line;  // of its first use
    bool defined = false;
  };

  static bool is_word(char32_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  }
  tl::unexpected<Error> wrong(std::string_view expected) const {
    return fail(ErrorCode::kInvalidArgument, "grammar: line {}: expected {}, found {}", in_.line(), expected,
                in_quotes(in_.peek()));
  }

  void skip_space(bool newlines) {
    for (;;) {
      const char32_t c = in_.peek();
      if (c == '#') {
        while (!in_.at_end() && in_.peek() != '\n' && in_.peek() != '\r') in_.next();
      } else if (c == ' ' || c == '\t' || (newlines && (c == '\n' || c == '\r'))) {
        in_.next();
      } else {
        return;
      }
    }
  }

  Result<std::string> name() {
    const size_t begin = in_.position();
    while (is_word(in_.peek())) in_.next();
    if (in_.position() == begin) return wrong("the name of a rule");
    return to_utf8(in_.since(begin));
  }

  Rule& rule_named(const std::string& name) {
    const auto [at, added] = rules_.try_emplace(name, Rule{0, in_.line()});
    if (added) at->second.id = builder_.declare(name);
    return at->second;
  }

  Status rule() {
    ATELIER_TRY(const std::string name, this->name());
    Rule& rule = rule_named(name);
    if (rule.defined)
      return fail(ErrorCode::kInvalidArgument,
                  "grammar: line {}: expected one definition of {}, found another", in_.line(),
                  in_quotes(name));
    skip_space(false);
    if (!in_.accept(U"::=")) return wrong("\"::=\"");
    skip_space(true);
    rule.defined = true;
    const RuleId id = rule.id;
    ATELIER_TRY(const ExprId body, alternatives(0));
    if (!in_.at_end() && in_.peek() != '\n' && in_.peek() != '\r') return wrong("the end of the rule");
    builder_.define(id, body);
    skip_space(true);
    if (builder_.full()) return fail(ErrorCode::kLimit, "grammar: line {}: too large", in_.line());
    return {};
  }

  Result<ExprId> alternatives(int depth) {
    std::vector<ExprId> out;
    do {
      skip_space(/*newlines=*/depth > 0 || !out.empty());
      ATELIER_TRY(const ExprId one, sequence(depth));
      out.push_back(one);
    } while (in_.accept(U'|'));
    return builder_.choice(out);
  }

  Result<ExprId> sequence(int depth) {
    std::vector<ExprId> parts;
    for (;;) {
      skip_space(/*newlines=*/depth > 0);
      const char32_t c = in_.peek();
      ExprId item = builder_.empty();
      if (c == '"') {
        ATELIER_TRY(item, literal());
      } else if (c == '[') {
        ATELIER_TRY(item, char_class());
      } else if (c == '.') {
        in_.next();
        item = builder_.chars(CodePointSet::all());
      } else if (c == '(') {
        ATELIER_TRY(item, group(depth));
      } else if (is_word(c)) {
        ATELIER_TRY(const std::string name, this->name());
        item = builder_.rule(rule_named(name).id);
      } else if (c == '<' || c == '!') {
        return fail(ErrorCode::kUnsupported,
                    "grammar: line {}: expected texts and rules, found a token reference ({}): not supported",
                    in_.line(), in_quotes(c));
      } else {
        return builder_.sequence(parts);
      }
      skip_space(/*newlines=*/depth > 0);
      ATELIER_TRY(item, repetitions(item, depth));
      parts.push_back(item);
    }
  }

  Result<ExprId> group(int depth) {
    if (depth >= kMaxGroups)
      return fail(ErrorCode::kLimit, "grammar: line {}: expected at most {} nested groups, found more",
                  in_.line(), kMaxGroups);
    in_.next();
    ATELIER_TRY(const ExprId inside, alternatives(depth + 1));
    if (!in_.accept(U')')) return wrong("\")\"");
    return inside;
  }

  Result<ExprId> repetitions(ExprId item, int depth) {
    for (;;) {
      if (in_.accept(U'*')) {
        item = builder_.repeat(item, 0, kUnbounded);
      } else if (in_.accept(U'+')) {
        item = builder_.repeat(item, 1, kUnbounded);
      } else if (in_.accept(U'?')) {
        item = builder_.optional(item);
      } else if (in_.accept(U'{')) {
        ATELIER_TRY(item, counted(item));
      } else {
        return item;
      }
      skip_space(/*newlines=*/depth > 0);
    }
  }

  Result<ExprId> counted(ExprId item) {
    skip_space(true);
    const auto min = in_.number();
    if (!min) return wrong("a number of repetitions");
    skip_space(true);
    uint32_t max = *min;
    if (in_.accept(U',')) {
      skip_space(true);
      max = in_.number().value_or(kUnbounded);
      skip_space(true);
    }
    if (!in_.accept(U'}')) return wrong("\"}\"");
    if (max < *min)
      return fail(ErrorCode::kInvalidArgument, "grammar: line {}: expected {{min,max}}, found {{{},{}}}",
                  in_.line(), *min, max);
    return builder_.repeat(item, *min, max);
  }

  Result<ExprId> literal() {
    in_.next();
    std::u32string text;
    while (in_.peek() != '"') {
      ATELIER_TRY(const char32_t c, character("the end of the text, \""));
      text.push_back(c);
    }
    in_.next();
    return builder_.bytes(to_utf8(text));
  }

  Result<ExprId> char_class() {
    in_.next();
    const bool negated = in_.accept(U'^');
    CodePointSet set;
    while (in_.peek() != ']') {
      ATELIER_TRY(const char32_t first, character("the end of the class, ]"));
      char32_t last = first;
      if (in_.peek() == '-' && in_.peek(1) != ']') {
        in_.next();
        ATELIER_TRY(last, character("the end of the range"));
        if (last < first)
          return fail(ErrorCode::kInvalidArgument, "grammar: line {}: expected a range, found {} to {}",
                      in_.line(), in_quotes(first), in_quotes(last));
      }
      set.add(first, last);
    }
    in_.next();
    return builder_.chars(negated ? set.complement() : set);
  }

  // One character of a text or class, escapes resolved.
  Result<char32_t> character(std::string_view otherwise) {
    if (in_.at_end()) return wrong(otherwise);
    const char32_t c = in_.next();
    if (c != '\\') return c;
    const char32_t kind = in_.next();
    switch (kind) {
      case 'n':
        return U'\n';
      case 'r':
        return U'\r';
      case 't':
        return U'\t';
      case '\\':
      case '"':
      case '[':
      case ']':
        return kind;
      case 'x':
      case 'u':
      case 'U': {
        const size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : 8;
        const auto value = in_.hex(digits);
        if (!value || *value > kLastCodePoint || (*value >= 0xD800 && *value <= 0xDFFF))
          return wrong(fmt::format("{} hexadecimal digits of a character", digits));
        return *value;
      }
      default:
        return fail(ErrorCode::kInvalidArgument,
                    "grammar: line {}: expected an escape of \\nrt\"[]xuU, found {}", in_.line(),
                    in_quotes(kind));
    }
  }

  SourceCursor in_;
  GrammarBuilder builder_;
  std::map<std::string, Rule> rules_;
};

}  // namespace

Result<std::shared_ptr<const Grammar>> compile_gbnf(std::string_view text) {
  if (text.size() > kMaxBytes)
    return fail(ErrorCode::kLimit, "grammar: expected at most {} bytes, found {}", kMaxBytes, text.size());
  ATELIER_TRY(const std::u32string source, decode_source(text, "grammar"));
  return GbnfParser(source).compile();
}

}  // namespace atelier::constraint
