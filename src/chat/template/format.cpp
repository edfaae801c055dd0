#include "chat/template/format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "chat/template/chars.h"
#include "chat/template/operators.h"
#include "chat/template/text_ops.h"
#include "chat/template/value_text.h"

namespace atelier::chat::jinja {
namespace {

constexpr int64_t kMaxWidth = 1 << 20;
constexpr int64_t kMaxPrecision = 512;

struct Spec {
  std::string fill = " ";
  char align = '\0';  // '<', '>', '^', '=' or none given
  char sign = '-';
  bool zero = false;
  bool comma = false;
  int64_t width = 0;
  std::optional<int64_t> precision;
  char type = '\0';
};

tl::unexpected<Error> bad_format(std::string_view what) {
  return fail(ErrorCode::kInvalidArgument, "format: {}", what);
}

// Reads digits at `at`; -1 if there are none.
int64_t read_number(std::string_view text, size_t& at) {
  int64_t value = -1;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    value = std::min<int64_t>(std::max<int64_t>(value, 0) * 10 + (text[at] - '0'), int64_t{1} << 40);
    ++at;
  }
  return value;
}

Result<Spec> parse_spec(std::string_view text) {
  Spec spec;
  size_t at = 0;
  const auto is_align = [&](size_t i) {
    return i < text.size() && std::string_view("<>^=").find(text[i]) < 4;
  };
  if (!text.empty()) {
    const size_t first = char_at(text, 0).length;
    if (is_align(first)) {
      spec.fill = text.substr(0, first);
      spec.align = text[first];
      at = first + 1;
    } else if (is_align(0)) {
      spec.align = text[0];
      at = 1;
    }
  }
  if (at < text.size() && std::string_view("+- ").find(text[at]) < 3) spec.sign = text[at++];
  if (at < text.size() && text[at] == '0') {
    spec.zero = true;
    ++at;
  }
  spec.width = std::max<int64_t>(read_number(text, at), 0);
  if (at < text.size() && text[at] == ',') {
    spec.comma = true;
    ++at;
  }
  if (at < text.size() && text[at] == '.') {
    ++at;
    spec.precision = read_number(text, at);
    if (*spec.precision < 0) return bad_format("a precision without a number");
  }
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) return bad_format("a specification that is not understood");
  if (spec.width > kMaxWidth || spec.precision.value_or(0) > kMaxPrecision)
    return bad_format(fmt::format("expected a width of at most {} and a precision of at most {}, found more",
                                  kMaxWidth, kMaxPrecision));
  return spec;
}

std::string with_commas(std::string digits) {
  const size_t whole = std::min(digits.find('.'), digits.size());
  for (size_t at = whole; at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

Result<std::string> integer_digits(uint64_t magnitude, char type) {
  switch (type) {
    case 'x':
      return fmt::format("{:x}", magnitude);
    case 'X':
      return fmt::format("{:X}", magnitude);
    case 'o':
      return fmt::format("{:o}", magnitude);
    case 'b':
      return fmt::format("{:b}", magnitude);
    case 'd':
    case 'i':
    case 'u':
    case '\0':
      return std::to_string(magnitude);
    default:
      return bad_format(fmt::format("the type '{}' does not go with an int", type));
  }
}

Result<std::string> real_digits(double magnitude, const Spec& spec) {
  if (std::isnan(magnitude) || std::isinf(magnitude)) return float_repr(magnitude);
  const int precision = static_cast<int>(spec.precision.value_or(6));
  switch (spec.type) {
    case 'f':
    case 'F':
      return fmt::format("{:.{}f}", magnitude, precision);
    case 'e':
      return fmt::format("{:.{}e}", magnitude, precision);
    case 'g':
      return fmt::format("{:.{}g}", magnitude, std::max(precision, 1));
    case '%':
      return fmt::format("{:.{}f}%", magnitude * 100, precision);
    case '\0':
      if (!spec.precision) return float_repr(magnitude);
      return fmt::format("{:.{}g}", magnitude, std::max(precision, 1));
    default:
      return bad_format(fmt::format("the type '{}' does not go with a float", spec.type));
  }
}

Result<std::string> number_text(const Value& value, const Spec& spec) {
  const bool real = value.get<double>() != nullptr || std::string_view("fFeg%").find(spec.type) < 5;
  std::string digits;
  bool negative = false;
  if (real) {
    const double number = *value.number();
    negative = std::signbit(number);
    ATELIER_TRY(digits, real_digits(std::abs(number), spec));
  } else {
    const int64_t number = *value.integer();
    negative = number < 0;
    ATELIER_TRY(digits,
                integer_digits(negative ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number),
                               spec.type));
  }
  if (spec.comma) digits = with_commas(std::move(digits));
  std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  if (spec.zero || spec.align == '=') {
    const size_t have = sign.size() + digits.size();
    const auto width = static_cast<size_t>(spec.width);
    if (have < width)
      digits.insert(0, std::string(width - have, spec.align == '=' && !spec.zero ? spec.fill[0] : '0'));
  }
  return sign + digits;
}

Status append_formatted(const Value& value, const Spec& spec, TextBuilder& out, Budget& budget) {
  Text text;
  const bool number = value.number() && (!value.get<bool>() || spec.type != '\0') && spec.type != 's';
  if (number) {
    ATELIER_TRY(std::string made, number_text(value, spec));
    text = Text::data(std::move(made));
  } else {
    if (spec.type != '\0' && spec.type != 's')
      return bad_format(fmt::format("the type '{}' does not go with {}", spec.type, value.type_name()));
    ATELIER_TRY(text, to_str(value, budget));
    if (spec.precision)
      text = text.slice(0, byte_of_char(text.bytes(), static_cast<size_t>(*spec.precision)));
  }
  const char align = spec.align != '\0' ? spec.align : number ? '>' : '<';
  Alignment how = align == '<'                   ? Alignment::kLeft
                  : align == '>' || align == '=' ? Alignment::kRight
                                                 : Alignment::kCenter;
  if (how == Alignment::kCenter) {  // format puts the odd blank behind, center() not always
    const auto missing = spec.width - static_cast<int64_t>(count_chars(text.bytes()));
    if (missing > 0) {
      ATELIER_TRY(text, aligned(text, spec.width - (missing - missing / 2), Text::data(spec.fill),
                                Alignment::kRight, budget));
    }
    how = Alignment::kLeft;
  }
  ATELIER_TRY(text, aligned(text, spec.width, Text::data(spec.fill), how, budget));
  out.append(text);
  return {};
}

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& in, const Text& pattern, const Arguments& arguments)
      : in_(in), pattern_(pattern), bytes_(pattern.bytes()), arguments_(arguments) {}

  Result<Text> run() {
    ATELIER_CHECK_OK(in_.budget().spend_bytes(bytes_.size()));
    size_t at = 0;
    while (at < bytes_.size()) {
      const size_t brace = std::min(bytes_.find_first_of("{}", at), bytes_.size());
      out_.append(pattern_, at, brace);
      at = brace;
      if (at == bytes_.size()) break;
      if (at + 1 < bytes_.size() && bytes_[at + 1] == bytes_[at]) {
        out_.append(pattern_, at, at + 1);
        at += 2;
        continue;
      }
      const size_t close = bytes_.find('}', at);
      if (bytes_[at] == '}' || close == std::string_view::npos)
        return bad_format("a brace without its partner");
      ATELIER_CHECK_OK(field(bytes_.substr(at + 1, close - at - 1)));
      at = close + 1;
    }
    return out_.take();
  }

 private:
  Status field(std::string_view text) {
    if (text.find('{') != std::string_view::npos) return bad_format("fields inside fields are not supported");
    const size_t colon = std::min(text.find(':'), text.size());
    ATELIER_TRY(const Spec spec, parse_spec(text.substr(std::min(colon + 1, text.size()))));
    text = text.substr(0, colon);
    char conversion = 's';
    if (const size_t mark = text.find('!'); mark != std::string_view::npos) {
      if (text.size() != mark + 2 || (text[mark + 1] != 's' && text[mark + 1] != 'r'))
        return bad_format("expected !s or !r");
      conversion = text[mark + 1];
      text = text.substr(0, mark);
    }
    ATELIER_TRY(Value value, argument(text));
    if (conversion == 'r') {
      std::string made;
      ATELIER_CHECK_OK(append_repr(value, made, in_.budget()));
      value = Value::data(made);
    }
    return append_formatted(value, spec, out_, in_.budget());
  }

  Result<Value> argument(std::string_view path) {
    size_t at = std::min(path.find_first_of(".["), path.size());
    const std::string_view name = path.substr(0, at);
    Value value;
    size_t digits = 0;
    const int64_t number = read_number(name, digits);
    if (name.empty() || (digits == name.size() && number >= 0)) {
      const auto index = static_cast<uint64_t>(name.empty() ? next_++ : number);
      if (index >= arguments_.positional.size()) return bad_format("more fields than values");
      value = arguments_.positional[index];
    } else {
      const auto found = std::find_if(arguments_.named.begin(), arguments_.named.end(),
                                      [name](const auto& named) { return named.first == name; });
      if (found == arguments_.named.end()) return bad_format(fmt::format("no value for '{}'", name));
      value = found->second;
    }
    while (at < path.size()) {
      const bool index = path[at] == '[';
      const size_t end = std::min(index ? path.find(']', at) : path.find_first_of(".[", at + 1), path.size());
      const std::string_view part = path.substr(at + 1, end - at - 1);
      size_t n = 0;
      const int64_t position = read_number(part, n);
      if (part.empty() || part.starts_with('_')) return bad_format("a member without a name");
      const bool by_number = index && n == part.size();
      ATELIER_TRY(value, by_number ? in_.item(value, Value(position)) : in_.attribute(value, part));
      at = std::min(end + (index ? 1 : 0), path.size());
    }
    return value;
  }

  Interpreter& in_;
  const Text& pattern_;
  std::string_view bytes_;
  const Arguments& arguments_;
  TextBuilder out_;
  int64_t next_ = 0;
};

class PercentFormatter {
 public:
  PercentFormatter(const Text& pattern, const Value& values, Budget& budget)
      : pattern_(pattern), bytes_(pattern.bytes()), values_(values), budget_(budget) {}

  Result<Text> run() {
    ATELIER_CHECK_OK(budget_.spend_bytes(bytes_.size()));
    while (at_ < bytes_.size()) {
      const size_t percent = std::min(bytes_.find('%', at_), bytes_.size());
      out_.append(pattern_, at_, percent);
      at_ = percent;
      if (at_ < bytes_.size()) ATELIER_CHECK_OK(field());
    }
    const List* tuple = values_.list();
    const bool all =
        tuple && tuple->tuple ? used_ == tuple->items.size() : used_ == 1 || values_.dict() || tuple;
    if (!all) return bad_format("more values than fields");
    return out_.take();
  }

 private:
  Status field() {
    ++at_;
    if (at_ < bytes_.size() && bytes_[at_] == '%') {
      out_.append(pattern_, at_, at_ + 1);
      ++at_;
      return {};
    }
    std::optional<std::string_view> key;
    if (at_ < bytes_.size() && bytes_[at_] == '(') {
      const size_t close = bytes_.find(')', at_);
      if (close == std::string_view::npos) return bad_format("a key that is not closed");
      key = bytes_.substr(at_ + 1, close - at_ - 1);
      at_ = close + 1;
    }
    Spec spec;
    spec.align = '>';
    for (; at_ < bytes_.size() && std::string_view("-+ 0#").find(bytes_[at_]) < 5; ++at_) {
      if (bytes_[at_] == '-') spec.align = '<';
      if (bytes_[at_] == '0') spec.zero = true;
      if (bytes_[at_] == '+' || bytes_[at_] == ' ') spec.sign = bytes_[at_];
    }
    if (spec.align == '<') spec.zero = false;
    spec.width = std::max<int64_t>(read_number(bytes_, at_), 0);
    if (at_ < bytes_.size() && bytes_[at_] == '.') {
      ++at_;
      spec.precision = std::max<int64_t>(read_number(bytes_, at_), 0);
    }
    if (spec.width > kMaxWidth || spec.precision.value_or(0) > kMaxPrecision) return bad_format("too wide");
    if (at_ == bytes_.size()) return bad_format("a % without a type");
    spec.type = bytes_[at_++];
    ATELIER_TRY(Value value, key ? named(*key) : next());
    if (spec.type == 'r') {
      std::string made;
      ATELIER_CHECK_OK(append_repr(value, made, budget_));
      value = Value::data(made);
      spec.type = 's';
    }
    if (std::string_view("diu").find(spec.type) < 3) {
      if (!value.number())
        return bad_format(fmt::format("%d: expected a number, found {}", value.type_name()));
      if (const double* real = value.get<double>()) {
        if (!(std::abs(*real) < 9e18))
          return bad_format("%d: expected an int of at most 64 bits, found more");
        value = Value(static_cast<int64_t>(*real));
      }
      spec.type = 'd';
      spec.precision.reset();
    }
    if (spec.type == 's') spec.zero = false;
    return append_formatted(value, spec, out_, budget_);
  }

  Result<Value> named(std::string_view key) {
    const Dict* dict = values_.dict();
    if (dict == nullptr) return bad_format("expected a dict for fields with names");
    if (const Value* value = dict->find(key)) return *value;
    return bad_format(fmt::format("no value for '{}'", key));
  }

  Result<Value> next() {
    const List* tuple = values_.list();
    if (tuple == nullptr || !tuple->tuple) {
      if (used_++ == 0) return values_;
    } else if (used_ < tuple->items.size()) {
      return tuple->items[used_++];
    }
    return bad_format("more fields than values");
  }

  const Text& pattern_;
  std::string_view bytes_;
  const Value& values_;
  Budget& budget_;
  TextBuilder out_;
  size_t at_ = 0;
  size_t used_ = 0;
};

}  // namespace

Result<Text> brace_format(Interpreter& interpreter, const Text& pattern, const Arguments& arguments) {
  return BraceFormatter(interpreter, pattern, arguments).run();
}

Result<Text> percent_format(const Text& pattern, const Value& values, Budget& budget) {
  return PercentFormatter(pattern, values, budget).run();
}

}  // namespace atelier::chat::jinja
