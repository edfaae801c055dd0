#include "chat/template/lexer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "chat/template/chars.h"
#include "chat/template/string_literal.h"

namespace atelier::chat::jinja {
namespace {

using Kind = Token::Kind;

constexpr std::array<std::string_view, 26> kOperators = {"**", "//", "==", "!=", "<=", ">=", "+", "-", "*",
                                                         "/",  "%",  "~",  "<",  ">",  "=",  "(", ")", "[",
                                                         "]",  "{",  "}",  ".",  ",",  ":",  "|", ";"};

bool is_digit_char(char c) { return c >= '0' && c <= '9'; }
bool is_name_char(char c) {
  return c == '_' || is_digit_char(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Line ends as "\n", and without the last one.
std::string normalised(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    const bool carriage = source[i] == '\r';
    if (carriage && i + 1 < source.size() && source[i + 1] == '\n') ++i;
    out += carriage ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalised(source)) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) {
      const size_t open = find_opening();
      const char what = open + 1 < source_.size() ? source_[open + 1] : '\0';
      const char sign = open + 2 < source_.size() ? source_[open + 2] : '\0';
      add_text(open, what, sign);
      if (open == source_.size()) break;
      begin_ = open;
      at_ = open + 2;
      if (sign == '-' || sign == '+') {
        // "+" means something in front of blocks and comments only.
        if (sign == '-' || what != '{') ++at_;
      }
      if (what == '#') {
        ATELIER_CHECK_OK(skip_comment());
      } else if (what == '%' && at_raw()) {
        ATELIER_CHECK_OK(read_raw());
      } else {
        ATELIER_CHECK_OK(read_code(what == '%'));
      }
    }
    begin_ = source_.size();
    add(Kind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(source_).substr(at_); }

  size_t find_opening() const {
    for (size_t at = source_.find('{', at_); at != std::string::npos; at = source_.find('{', at + 1)) {
      const char next = at + 1 < source_.size() ? source_[at + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') return at;
    }
    return source_.size();
  }

  // The text before an opening at `open`, less what the tag takes from it.
  void add_text(size_t open, char what, char sign) {
    std::string_view text = std::string_view(source_).substr(at_, open - at_);
    if (open < source_.size()) text = text.substr(0, kept_before(text, what, sign));
    begin_ = at_;
    if (!text.empty()) add(Kind::kText, std::string(text));
  }

  size_t kept_before(std::string_view text, char what, char sign) const {
    if (sign == '-') return strip(text, {}, false, true).end;
    if (sign == '+' || what == '{') return text.size();
    const size_t line = text.rfind('\n') + 1;  // npos + 1 = 0
    if (line == 0 && !at_line_start()) return text.size();
    const bool blank = strip(text.substr(line), {}, true, false).begin == text.size() - line;
    return blank ? line : text.size();
  }

  // Whether what was read last ended a line.
  bool at_line_start() const { return at_ == 0 || source_[at_ - 1] == '\n'; }

  Status skip_comment() {
    const size_t close = source_.find("#}", at_);
    if (close == std::string::npos) return error(begin_, "a comment that is not closed with #}");
    const char sign = close > at_ ? source_[close - 1] : '\0';
    at_ = close + 2;
    after_tag(sign);
    return {};
  }

  // Behind the end of a block or comment.
  void after_tag(char sign) {
    if (sign == '-')
      skip_space();
    else if (sign != '+' && rest().starts_with('\n'))
      ++at_;
  }

  void skip_space() { at_ += strip(rest(), {}, true, false).begin; }

  // At the inside of "{% raw %}"; `at_` is behind "{%" and its sign.
  bool at_raw() const { return raw_end(at_, "raw").has_value(); }

  // Where "  raw  %}" ends that begins at `at`.
  std::optional<size_t> raw_end(size_t at, std::string_view word) const {
    const std::string_view source = source_;
    at += strip(source.substr(at), {}, true, false).begin;
    if (!source.substr(at).starts_with(word)) return std::nullopt;
    at += word.size();
    at += strip(source.substr(at), {}, true, false).begin;
    if (source.substr(at).starts_with('-') || source.substr(at).starts_with('+')) ++at;
    if (!source.substr(at).starts_with("%}")) return std::nullopt;
    return at + 2;
  }

  Status read_raw() {
    const size_t body = *raw_end(at_, "raw");
    at_ = body;
    if (source_[body - 3] == '-') skip_space();
    for (size_t close = source_.find("{%", at_); close != std::string::npos;
         close = source_.find("{%", close + 2)) {
      const char sign = close + 2 < source_.size() ? source_[close + 2] : '\0';
      const bool has_sign = sign == '-' || sign == '+';
      const auto end = raw_end(close + (has_sign ? 3 : 2), "endraw");
      if (!end) continue;
      add_text(close, '%', sign);
      at_ = *end;
      after_tag(source_[*end - 3]);
      return {};
    }
    return error(begin_, "{% raw %} without {% endraw %}");
  }

  Status read_code(bool block) {
    add(block ? Kind::kBlockBegin : Kind::kPrintBegin, {});
    const std::string_view end = block ? "%}" : "}}";
    std::string open;  // brackets
    while (true) {
      at_ += strip(rest(), {}, true, false).begin;
      if (at_ == source_.size())
        return error(
            tokens_.back().kind == Kind::kText ? at_ : begin_,
            block ? "a block that is not closed with %}" : "an expression that is not closed with }}");
      begin_ = at_;
      if (open.empty()) {
        const char sign = rest()[0];
        const bool has_sign = sign == '-' || (block && sign == '+');
        if (rest().substr(has_sign ? 1 : 0).starts_with(end)) {
          add(block ? Kind::kBlockEnd : Kind::kPrintEnd, {});
          at_ += has_sign ? 3 : 2;
          if (block)
            after_tag(has_sign ? sign : '\0');
          else if (has_sign)
            skip_space();
          return {};
        }
      }
      ATELIER_CHECK_OK(read_token(open));
    }
  }

  Status read_token(std::string& open) {
    const char c = rest()[0];
    if (c == '"' || c == '\'') return read_string(c);
    if (is_digit_char(c)) return read_number();
    if (is_name_char(c)) {
      size_t length = 0;
      while (length < rest().size() && is_name_char(rest()[length])) ++length;
      add(Kind::kName, std::string(rest().substr(0, length)));
      at_ += length;
      return {};
    }
    for (const std::string_view op : kOperators)
      if (rest().starts_with(op)) return read_operator(op, open);
    return error(at_, fmt::format("a character that means nothing here: '{}'",
                                  rest().substr(0, char_at(source_, at_).length)));
  }

  Status read_operator(std::string_view op, std::string& open) {
    if (op == "(" || op == "[" || op == "{") open += op == "(" ? ')' : op == "[" ? ']' : '}';
    if (op == ")" || op == "]" || op == "}") {
      if (open.empty() || open.back() != op[0])
        return error(at_, fmt::format("a '{}' that nothing opened", op));
      open.pop_back();
    }
    add(Kind::kOperator, std::string(op));
    at_ += op.size();
    return {};
  }

  Status read_string(char quote) {
    size_t end = 1;
    while (end < rest().size() && rest()[end] != quote) end += rest()[end] == '\\' ? 2 : 1;
    if (end >= rest().size()) return error(at_, "a string that is not closed");
    auto text = unescape(rest().substr(1, end - 1));
    if (!text) return error(at_, text.error().message);
    add(Kind::kString, std::move(*text));
    at_ += end + 1;
    return {};
  }

  size_t digits(size_t from) const {
    size_t n = 0;
    while (from + n < rest().size() && (is_digit_char(rest()[from + n]) ||
                                        (n > 0 && rest()[from + n] == '_' && from + n + 1 < rest().size() &&
                                         is_digit_char(rest()[from + n + 1]))))
      ++n;
    return n;
  }

  Status read_number() {
    const std::string_view text = rest();
    size_t length = digits(0);
    if (length == 1 && text[0] == '0' && text.size() > 1 && is_name_char(text[1])) {  // 0x, 0o, 0b
      while (length < text.size() && is_name_char(text[length])) ++length;
      add(Kind::kInteger, std::string(text.substr(0, length)));
      at_ += length;
      return {};
    }
    bool real = false;
    // In "a.0.1" the numbers are subscripts.
    const bool subscript = at_ > 0 && source_[at_ - 1] == '.';
    if (!subscript && length < text.size() && text[length] == '.' && digits(length + 1) > 0) {
      length += 1 + digits(length + 1);
      real = true;
    }
    if (!subscript && length < text.size() && (text[length] == 'e' || text[length] == 'E')) {
      const bool sign = length + 1 < text.size() && (text[length + 1] == '+' || text[length + 1] == '-');
      if (const size_t exponent = digits(length + (sign ? 2 : 1)); exponent > 0) {
        length += (sign ? 2 : 1) + exponent;
        real = true;
      }
    }
    std::string number(text.substr(0, length));
    std::erase(number, '_');
    add(real ? Kind::kFloat : Kind::kInteger, std::move(number));
    at_ += length;
    return {};
  }

  void add(Kind kind, std::string text) { tokens_.push_back({kind, std::move(text), position(begin_)}); }

  // Asked for in ascending order, but for errors.
  Position position(size_t byte) {
    if (byte < counted_) {
      counted_ = 0;
      here_ = {};
    }
    while (counted_ < byte) {
      if (source_[counted_] == '\n') {
        ++here_.line;
        here_.column = 1;
        ++counted_;
      } else {
        ++here_.column;
        counted_ += char_at(source_, counted_).length;
      }
    }
    return here_;
  }

  tl::unexpected<Error> error(size_t byte, std::string what) {
    return tl::unexpected<Error>(error_at(
        position(byte), {ErrorCode::kInvalidArgument, "expected a template, found " + std::move(what)}));
  }

  std::string source_;
  size_t at_ = 0;     // everything before is read
  size_t begin_ = 0;  // of what is being read
  std::vector<Token> tokens_;
  size_t counted_ = 0;  // bytes that here_ has passed
  Position here_;
};

}  // namespace

Error error_at(Position at, Error error) {
  error.message = fmt::format("line {}, column {}: {}", at.line, at.column, error.message);
  return error;
}

Result<std::vector<Token>> tokenize(std::string_view source) {
  if (source.size() > kMaxTemplateBytes)
    return fail(ErrorCode::kLimit, "expected a template of at most {} bytes, found {}", kMaxTemplateBytes,
                source.size());
  return Lexer(source).run();
}

}  // namespace atelier::chat::jinja
