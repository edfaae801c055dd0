#include "chat/template/operators.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>

#include "chat/template/chars.h"

namespace atelier::chat::jinja {
namespace {

std::string_view symbol(BinaryOperator op) {
  constexpr std::string_view kSymbols[] = {"+", "-", "*", "/", "//", "%", "**"};
  return kSymbols[static_cast<size_t>(op)];
}

tl::unexpected<Error> wrong_types(BinaryOperator op, const Value& left, const Value& right) {
  for (const Value* value : {&left, &right})
    if (value->is_undefined()) return fail(ErrorCode::kInvalidArgument, "{}", value->undefined_message());
  return fail(ErrorCode::kInvalidArgument, "{}: cannot take {} and {}", symbol(op), left.type_name(),
              right.type_name());
}

tl::unexpected<Error> too_large(BinaryOperator op) {
  return fail(ErrorCode::kInvalidArgument, "{}: expected an int of at most 64 bits, found more", symbol(op));
}

Result<Value> integers(BinaryOperator op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case BinaryOperator::kAdd:
      if (__builtin_add_overflow(a, b, &result)) return too_large(op);
      return Value(result);
    case BinaryOperator::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) return too_large(op);
      return Value(result);
    case BinaryOperator::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) return too_large(op);
      return Value(result);
    case BinaryOperator::kPower: {
      if (b < 0) return Value(std::pow(static_cast<double>(a), static_cast<double>(b)));
      result = 1;
      if (a == 1 || b == 0) return Value(result);
      if (a == 0) return Value(int64_t{0});
      if (a == -1) return Value(int64_t{b % 2 == 0 ? 1 : -1});
      for (int64_t i = 0; i < b; ++i)  // at most 63 turns
        if (__builtin_mul_overflow(result, a, &result)) return too_large(op);
      return Value(result);
    }
    default:
      break;
  }
  if (b == 0) return fail(ErrorCode::kInvalidArgument, "{}: division by zero", symbol(op));
  if (op == BinaryOperator::kDivide) return Value(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) {  // the one quotient that may not fit
    if (op == BinaryOperator::kModulo) return Value(int64_t{0});
    if (__builtin_sub_overflow(int64_t{0}, a, &result)) return too_large(op);
    return Value(result);
  }
  const bool inexact = a % b != 0 && (a % b < 0) != (b < 0);  // Python rounds down
  if (op == BinaryOperator::kFloorDivide) return Value(int64_t{a / b - (inexact ? 1 : 0)});
  return Value(int64_t{a % b + (inexact ? b : 0)});
}

Result<Value> reals(BinaryOperator op, double a, double b) {
  switch (op) {
    case BinaryOperator::kAdd:
      return Value(a + b);
    case BinaryOperator::kSubtract:
      return Value(a - b);
    case BinaryOperator::kMultiply:
      return Value(a * b);
    case BinaryOperator::kPower:
      return Value(std::pow(a, b));
    default:
      break;
  }
  if (b == 0) return fail(ErrorCode::kInvalidArgument, "{}: division by zero", symbol(op));
  if (op == BinaryOperator::kDivide) return Value(a / b);
  if (op == BinaryOperator::kFloorDivide) return Value(std::floor(a / b));
  double rest = std::fmod(a, b);
  if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
  return Value(rest);
}

Result<Value> repeated(const Value& what, int64_t count, Budget& budget) {
  const auto times = static_cast<uint64_t>(std::max<int64_t>(count, 0));
  const uint64_t size = what.text() ? what.text()->size() : what.list()->items.size() * 16;
  uint64_t total = 0;
  if (__builtin_mul_overflow(times, size, &total)) total = UINT64_MAX;
  ATELIER_CHECK_OK(budget.spend_bytes(total));
  if (size == 0) return what;
  if (const Text* text = what.text()) {
    TextBuilder out;
    for (uint64_t i = 0; i < times; ++i) out.append(*text);
    return Value(out.take());
  }
  std::vector<Value> items;
  for (uint64_t i = 0; i < times; ++i)
    items.insert(items.end(), what.list()->items.begin(), what.list()->items.end());
  return make_list(std::move(items), what.list()->tuple);
}

Result<Value> added(const Value& left, const Value& right, Budget& budget) {
  if (left.text() && right.text()) {
    ATELIER_CHECK_OK(budget.spend_bytes(left.text()->size() + right.text()->size()));
    TextBuilder out;
    out.append(*left.text());
    out.append(*right.text());
    return Value(out.take());
  }
  if (left.list() && right.list() && left.list()->tuple == right.list()->tuple) {
    ATELIER_CHECK_OK(budget.spend(left.list()->items.size() + right.list()->items.size()));
    std::vector<Value> items = left.list()->items;
    items.insert(items.end(), right.list()->items.begin(), right.list()->items.end());
    return make_list(std::move(items), left.list()->tuple);
  }
  return wrong_types(BinaryOperator::kAdd, left, right);
}

// Python's slice.indices(): where to begin, and how many of them at which distance.
struct Indices {
  int64_t start = 0;
  int64_t step = 1;
  int64_t count = 0;
};

Result<std::optional<int64_t>> bound(const Value& value) {
  if (value.is_none()) return std::nullopt;
  if (const auto integer = value.integer()) return *integer;
  if (value.is_undefined()) return fail(ErrorCode::kInvalidArgument, "{}", value.undefined_message());
  return fail(ErrorCode::kInvalidArgument, "a slice: expected an int, found {}", value.type_name());
}

Result<Indices> indices(const Value& start_value, const Value& stop_value, const Value& step_value,
                        int64_t length) {
  ATELIER_TRY(const std::optional<int64_t> start, bound(start_value));
  ATELIER_TRY(const std::optional<int64_t> stop, bound(stop_value));
  ATELIER_TRY(const std::optional<int64_t> step, bound(step_value));
  Indices out;
  // A step past any length is as good as one of the length.
  out.step = std::clamp(step.value_or(1), -length - 1, length + 1);
  if (out.step == 0) return fail(ErrorCode::kInvalidArgument, "a slice: expected a step other than 0");
  const bool forward = out.step > 0;
  const int64_t lowest = forward ? 0 : -1;
  const int64_t highest = forward ? length : length - 1;
  const auto inside = [&](int64_t index) {
    return std::clamp(index < 0 ? std::max(index, -length - 1) + length : index, lowest, highest);
  };
  out.start = start ? inside(*start) : forward ? lowest : highest;
  const int64_t end = stop ? inside(*stop) : forward ? highest : lowest;
  const int64_t distance = forward ? end - out.start : out.start - end;
  const int64_t stride = forward ? out.step : -out.step;
  out.count = distance > 0 ? (distance + stride - 1) / stride : 0;
  return out;
}

}  // namespace

Result<Value> binary(BinaryOperator op, const Value& left, const Value& right, Budget& budget) {
  if (op == BinaryOperator::kModulo && left.text()) {
    ATELIER_TRY(Text text, percent_format(*left.text(), right, budget));
    return Value(std::move(text));
  }
  if (left.integer() && right.integer()) return integers(op, *left.integer(), *right.integer());
  if (left.number() && right.number()) return reals(op, *left.number(), *right.number());
  if (op == BinaryOperator::kAdd) return added(left, right, budget);
  if (op == BinaryOperator::kMultiply) {
    if ((left.text() || left.list()) && right.integer()) return repeated(left, *right.integer(), budget);
    if ((right.text() || right.list()) && left.integer()) return repeated(right, *left.integer(), budget);
  }
  return wrong_types(op, left, right);
}

Result<Value> subtract(const Value& left, const Value& right) {
  Budget none(0);
  return binary(BinaryOperator::kSubtract, left, right, none);
}

Result<Value> sliced(const Value& object, const Value& start, const Value& stop, const Value& step,
                     Budget& budget) {
  if (const List* list = object.list()) {
    const auto size = static_cast<int64_t>(list->items.size());
    ATELIER_TRY(const Indices at, indices(start, stop, step, size));
    ATELIER_CHECK_OK(budget.spend(static_cast<uint64_t>(at.count)));
    std::vector<Value> items;
    items.reserve(static_cast<size_t>(at.count));
    for (int64_t i = 0; i < at.count; ++i)
      items.push_back(list->items[static_cast<size_t>(at.start + i * at.step)]);
    return make_list(std::move(items), list->tuple);
  }
  if (object.is_undefined()) return fail(ErrorCode::kInvalidArgument, "{}", object.undefined_message());
  const Text* text = object.text();
  if (text == nullptr)
    return fail(ErrorCode::kInvalidArgument, "a slice: expected a str or a list, found {}",
                object.type_name());
  ATELIER_CHECK_OK(budget.spend_bytes(3 * text->size()));
  const std::string_view bytes = text->bytes();
  const auto length = static_cast<int64_t>(count_chars(bytes));
  ATELIER_TRY(const Indices at, indices(start, stop, step, length));
  if (at.count == 0) return Value(Text());
  if (at.step == 1) {
    const size_t begin = byte_of_char(bytes, static_cast<size_t>(at.start));
    const size_t size = byte_of_char(bytes.substr(begin), static_cast<size_t>(at.count));
    return Value(text->slice(begin, begin + size));
  }
  ATELIER_CHECK_OK(budget.spend(static_cast<uint64_t>(length)));
  std::vector<size_t> offsets;
  for (size_t byte = 0; byte < bytes.size(); byte += char_at(bytes, byte).length) offsets.push_back(byte);
  offsets.push_back(bytes.size());
  TextBuilder out;
  for (int64_t i = 0; i < at.count; ++i) {
    const auto index = static_cast<size_t>(at.start + i * at.step);
    out.append(*text, offsets[index], offsets[index + 1]);
  }
  return Value(out.take());
}

}  // namespace atelier::chat::jinja
