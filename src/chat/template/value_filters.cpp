// The remaining filters: default, length, int, items, …
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "chat/template/chars.h"
#include "chat/template/filters.h"
#include "chat/template/text_ops.h"

namespace atelier::chat::jinja {
namespace {

Result<Value> default_value(Interpreter&, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("default", arguments, {"default_value", "boolean"}));
  if (!value.is_undefined() && (!bound.flag(1, false) || value.truthy())) return value;
  return bound.get(0) ? bound[0] : Value(Text());
}

Result<Value> length(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("length", arguments, {}));
  size_t count = 0;
  if (const Text* text = value.text()) {
    ATELIER_CHECK_OK(in.budget().spend_bytes(text->size()));
    count = count_chars(text->bytes());
  } else if (const List* list = value.list()) {
    count = list->items.size();
  } else if (const Dict* dict = value.dict()) {
    count = dict->items().size();
  } else if (!value.is_undefined()) {
    return fail(ErrorCode::kInvalidArgument, "length: expected a str, list or dict, found {}",
                value.type_name());
  }
  return Value(static_cast<int64_t>(count));
}

Result<Value> items(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("items", arguments, {}));
  if (value.is_undefined()) return list_of({});
  if (!value.dict())
    return fail(ErrorCode::kInvalidArgument, "items: expected a dict, found {}", value.type_name());
  return call_method(in, value, "items", {});
}

Result<Value> absolute(Interpreter&, const Value& value, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("abs", arguments, {}));
  if (const auto integer = value.integer()) {
    if (*integer == INT64_MIN)
      return fail(ErrorCode::kInvalidArgument, "abs: expected an int of at most 64 bits");
    return Value(*integer < 0 ? -*integer : *integer);
  }
  if (const double* real = value.get<double>()) return Value(std::abs(*real));
  return fail(ErrorCode::kInvalidArgument, "abs: expected a number, found {}", value.type_name());
}

// The number a text spells, as Python's float() reads it.
std::optional<double> parse_float(std::string_view text) {
  const Extent inside = strip(text, {}, true, true);
  std::string number(text.substr(inside.begin, inside.end - inside.begin));
  std::erase(number, '_');
  if (number.starts_with('+')) number.erase(0, 1);
  double value = 0;
  const char* end = number.data() + number.size();
  const auto parsed = std::from_chars(number.data(), end, value);
  if (parsed.ptr != end || parsed.ec != std::errc() || number.empty()) return std::nullopt;
  return value;
}

std::optional<int64_t> parse_int(std::string_view text, int base) {
  const Extent inside = strip(text, {}, true, true);
  std::string number(text.substr(inside.begin, inside.end - inside.begin));
  std::erase(number, '_');
  const bool negative = number.starts_with('-');
  if (negative || number.starts_with('+')) number.erase(0, 1);
  const auto prefixed = [&](char letter) {
    return number.size() > 2 && number[0] == '0' && (number[1] | 0x20) == letter;
  };
  if ((base == 16 && prefixed('x')) || (base == 8 && prefixed('o')) || (base == 2 && prefixed('b')))
    number.erase(0, 2);
  int64_t value = 0;
  const char* end = number.data() + number.size();
  const auto parsed = std::from_chars(number.data(), end, value, base);
  if (parsed.ptr != end || parsed.ec != std::errc() || number.empty() || value < 0) return std::nullopt;
  return negative ? -value : value;
}

std::optional<int64_t> truncated(double value) {
  if (!(std::abs(value) < 9.2e18)) return std::nullopt;
  return static_cast<int64_t>(value);
}

Result<Value> to_int(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("int", arguments, {"default", "base"}));
  ATELIER_TRY(const int64_t base, bound.integer(1, 10));
  if (base < 2 || base > 36) return fail(ErrorCode::kInvalidArgument, "int: expected a base from 2 to 36");
  if (value.is_undefined()) return fail(ErrorCode::kInvalidArgument, "{}", value.undefined_message());
  std::optional<int64_t> number = value.integer();
  if (const double* real = value.get<double>()) number = truncated(*real);
  if (const Text* text = value.text()) {
    ATELIER_CHECK_OK(in.budget().spend_bytes(text->size()));
    number = parse_int(text->bytes(), static_cast<int>(base));
    if (!number)
      if (const auto real = parse_float(text->bytes())) number = truncated(*real);
  }
  if (number) return Value(*number);
  return bound.get(0) ? bound[0] : Value(int64_t{0});
}

Result<Value> to_float(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("float", arguments, {"default"}));
  if (value.is_undefined()) return fail(ErrorCode::kInvalidArgument, "{}", value.undefined_message());
  if (const auto number = value.number()) return Value(*number);
  if (const Text* text = value.text()) {
    ATELIER_CHECK_OK(in.budget().spend_bytes(text->size()));
    if (const auto number = parse_float(text->bytes())) return Value(*number);
  }
  return bound.get(0) ? bound[0] : Value(0.0);
}

Result<Value> round(Interpreter&, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("round", arguments, {"precision", "method"}));
  ATELIER_TRY(const int64_t precision, bound.integer(0, 0));
  ATELIER_TRY(const Text method, bound.text(1, "common"));
  const auto number = value.number();
  if (!number)
    return fail(ErrorCode::kInvalidArgument, "round: expected a number, found {}", value.type_name());
  if (std::abs(precision) > 300)
    return fail(ErrorCode::kInvalidArgument, "round: expected a precision of at most 300");
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method.bytes() == "ceil") return Value(std::ceil(*number * scale) / scale);
  if (method.bytes() == "floor") return Value(std::floor(*number * scale) / scale);
  if (method.bytes() != "common")
    return fail(ErrorCode::kInvalidArgument, "round: expected common, ceil or floor, found {}",
                method.bytes());
  if (value.integer() && precision >= 0) return value;
  if (!std::isfinite(*number) || precision < 0) return Value(std::nearbyint(*number * scale) / scale);
  // Python rounds the decimal digits of the exact value, ties to even.
  const std::string digits = fmt::format("{:.{}f}", *number, precision);
  double rounded = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), rounded);
  return Value(rounded);
}

Result<Value> attr(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("attr", arguments, {"name"}, 1));
  ATELIER_TRY(const Text name, bound.text(0));
  // The keys of a dict are no attributes.
  if (value.dict() && !has_method(value, name.bytes()))
    return Value::undefined(fmt::format("'dict object' has no attribute '{}'", name.bytes()));
  return in.attribute(value, name.bytes());
}

constexpr auto kValueFilters = std::to_array<FilterEntry>({
    {"abs", absolute},
    {"attr", attr},
    {"count", length},
    {"d", default_value},
    {"default", default_value},
    {"float", to_float},
    {"int", to_int},
    {"items", items},
    {"length", length},
    {"round", round},
});

}  // namespace

FilterFunction find_value_filter(std::string_view name) { return look_up_filter(kValueFilters, name); }

Result<Value> Interpreter::filtered(std::string_view name, const Value& value, const Arguments& arguments) {
  FilterFunction filter = find_text_filter(name);
  if (filter == nullptr) filter = find_list_filter(name);
  if (filter == nullptr) filter = find_value_filter(name);
  if (filter == nullptr) return fail(ErrorCode::kUnsupported, "there is no filter '{}'", name);
  if (++depth_ > limits_.depth)  // map('map', 'map', …)
    return fail(ErrorCode::kLimit, "expected calls nested at most {} deep, found more", limits_.depth);
  auto result = filter(*this, value, arguments);
  --depth_;
  return result;
}

}  // namespace atelier::chat::jinja
