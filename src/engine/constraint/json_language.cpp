#include "engine/constraint/json_language.h"

#include <algorithm>
#include <array>

namespace atelier::constraint {
namespace {

const CodePointSet kPlain = {{0x20, 0x21}, {0x23, 0x5B}, {0x5D, kLastCodePoint}};

struct ShortEscape {
  char32_t c;
  char letter;
};
constexpr std::array<ShortEscape, 7> kShortEscapes = {
    {{'"', '"'}, {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}}};

std::string escaped(char32_t c) {
  for (const auto& [plain, letter] : kShortEscapes)
    if (plain == c) return {'\\', letter};
  return fmt::format("\\u{:04x}", static_cast<uint32_t>(c));
}

}  // namespace

std::string json_string_text(std::string_view utf8) {
  std::string out = "\"";
  for (const char c : utf8) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte < 0x20 || byte == '"' || byte == '\\') {
      out += escaped(byte);
    } else {
      out.push_back(c);
    }
  }
  return out + "\"";
}

JsonLanguage::JsonLanguage(GrammarBuilder& builder, JsonSpace space)
    : builder_(builder), string_(builder.declare("string")), value_(builder.declare("value")) {
  GrammarBuilder& b = builder_;
  space_ = b.empty();
  if (space == JsonSpace::kFlexible) {
    const ExprId blank = b.bytes(" ");
    const ExprId indented = b.choice({b.repeat(blank, 0, 40), b.repeat(b.bytes("\t"), 1, 10)});
    space_ = b.optional(b.choice({blank, b.sequence({b.bytes("\n"), indented})}));
  }
  quote_ = b.bytes("\"");
  comma_ = b.sequence({b.bytes(","), space_});
  colon_ = b.sequence({b.bytes(":"), space_});
  define_char();
  b.define(string_, quoted(b.repeat(char_, 0, kUnbounded)));
  define_value();
}

void JsonLanguage::define_char() {
  GrammarBuilder& b = builder_;
  const ExprId hex = b.chars({{'0', '9'}, {'a', 'f'}, {'A', 'F'}});
  const ExprId low_octal = b.chars({{'0', '7'}});
  const ExprId d = b.chars({{'d', 'd'}, {'D', 'D'}});
  const ExprId not_d = b.chars({{'0', '9'}, {'a', 'c'}, {'A', 'C'}, {'e', 'f'}, {'E', 'F'}});
  // Halves of surrogate pairs come in pairs only.
  const ExprId single = b.choice({b.sequence({not_d, hex, hex, hex}), b.sequence({d, low_octal, hex, hex})});
  const ExprId high = b.sequence({d, b.chars({{'8', '9'}, {'a', 'b'}, {'A', 'B'}}), hex, hex});
  const ExprId low = b.sequence({d, b.chars({{'c', 'f'}, {'C', 'F'}}), hex, hex});
  const ExprId unicode =
      b.sequence({b.bytes("u"), b.choice({single, b.sequence({high, b.bytes("\\u"), low})})});
  const CodePointSet letters = {{'"', '"'}, {'/', '/'}, {'\\', '\\'}, {'b', 'b'},
                                {'f', 'f'}, {'n', 'n'}, {'r', 'r'},   {'t', 't'}};
  char_ = b.choice({b.chars(kPlain), b.sequence({b.bytes("\\"), b.choice({b.chars(letters), unicode})})});
}

void JsonLanguage::define_value() {
  GrammarBuilder& b = builder_;
  const ExprId digit = b.chars({{'0', '9'}});
  const ExprId whole = b.choice({b.bytes("0"), b.sequence({b.chars({{'1', '9'}}), b.repeat(digit, 0, 19)})});
  const ExprId fraction = b.optional(b.sequence({b.bytes("."), b.repeat(digit, 1, 20)}));
  const ExprId exponent =
      b.optional(b.sequence({b.chars({{'e', 'e'}, {'E', 'E'}}), b.optional(b.chars({{'+', '+'}, {'-', '-'}})),
                             b.repeat(digit, 1, 2)}));
  const ExprId number = b.sequence({b.optional(b.bytes("-")), whole, fraction, exponent});
  const ExprId any = b.rule(value_);
  const ExprId item = b.sequence({any, b.repeat(b.sequence({comma_, any}), 0, kUnbounded)});
  const ExprId pair = b.sequence({string(), colon_, any});
  const ExprId pairs = b.sequence({pair, b.repeat(b.sequence({comma_, pair}), 0, kUnbounded)});
  b.define(value_,
           b.choice({string(), number, b.bytes("true"), b.bytes("false"), b.bytes("null"),
                     b.choice({b.bytes("{}"), braced(pairs)}), b.choice({b.bytes("[]"), bracketed(item)})}));
}

ExprId JsonLanguage::enclosed(std::string_view open, ExprId content, std::string_view close) {
  return builder_.sequence({builder_.bytes(open), space_, content, space_, builder_.bytes(close)});
}

ExprId JsonLanguage::canonical(const CodePointSet& set) {
  const auto known = std::ranges::find(written_, set, &std::pair<CodePointSet, ExprId>::first);
  if (known != written_.end()) return known->second;
  std::vector<ExprId> forms = {builder_.chars(set.intersect(kPlain))};
  for (char32_t c = 0; c <= '\\'; ++c)
    if (set.contains(c) && !kPlain.contains(c)) forms.push_back(builder_.bytes(escaped(c)));
  const ExprId out = builder_.choice(forms);
  if (written_.size() >= 64) written_.erase(written_.begin());
  written_.emplace_back(set, out);
  return out;
}

}  // namespace atelier::constraint
