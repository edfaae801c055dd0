// Tests: "x is defined", "x is divisibleby 3", …
#include <algorithm>
#include <array>

#include "chat/template/filters.h"
#include "chat/template/value_text.h"

namespace atelier::chat::jinja {
namespace {

using TestFunction = Result<bool> (*)(Interpreter& in, const Value& value, const Value* other);

struct TestEntry {
  std::string_view name;
  TestFunction function;
  bool takes_other = false;
};

template <bool (*holds)(const Value&)>
Result<bool> of_type(Interpreter&, const Value& value, const Value*) {
  return holds(value);
}

bool is_defined(const Value& v) { return !v.is_undefined(); }
bool is_undefined(const Value& v) { return v.is_undefined(); }
bool is_none(const Value& v) { return v.is_none(); }
bool is_boolean(const Value& v) { return v.get<bool>() != nullptr; }
bool is_true(const Value& v) { return v.get<bool>() && *v.get<bool>(); }
bool is_false(const Value& v) { return v.get<bool>() && !*v.get<bool>(); }
bool is_integer(const Value& v) { return v.get<int64_t>() != nullptr; }
bool is_float(const Value& v) { return v.get<double>() != nullptr; }
bool is_number(const Value& v) { return v.number().has_value(); }
bool is_string(const Value& v) { return v.text() != nullptr; }
bool is_mapping(const Value& v) { return v.dict() != nullptr; }
// What has a length and elements; a dict does.
bool is_sequence(const Value& v) { return v.text() || v.list() || v.dict() || v.is_undefined(); }
bool is_iterable(const Value& v) { return v.text() || v.list() || v.dict() || v.is_undefined() || v.loop(); }
bool is_callable(const Value& v) { return v.callable() != nullptr; }
bool is_escaped(const Value&) { return false; }

template <int wanted>
Result<bool> parity(Interpreter&, const Value& value, const Value*) {
  const auto integer = value.integer();
  if (!integer) return fail(ErrorCode::kInvalidArgument, "expected an int, found {}", value.type_name());
  return (*integer % 2 != 0) == (wanted == 1);
}

Result<bool> divisible_by(Interpreter&, const Value& value, const Value* other) {
  const auto a = value.integer();
  const auto b = other->integer();
  if (!a || !b || *b == 0)
    return fail(ErrorCode::kInvalidArgument, "divisibleby: expected an int and one other than 0");
  return *b == -1 || *a % *b == 0;
}

Result<bool> same_as(Interpreter& in, const Value& value, const Value* other) {
  if (value.type_name() != other->type_name()) return false;
  return equal(value, *other, in.budget());
}

Result<bool> equal_to(Interpreter& in, const Value& value, const Value* other) {
  return equal(value, *other, in.budget());
}
Result<bool> not_equal_to(Interpreter& in, const Value& value, const Value* other) {
  ATELIER_TRY(const bool same, equal(value, *other, in.budget()));
  return !same;
}

template <bool less, bool or_equal>
Result<bool> ordered(Interpreter& in, const Value& value, const Value* other) {
  ATELIER_TRY(const int order, compare(value, *other, in.budget()));
  return (less ? order < 0 : order > 0) || (or_equal && order == 0);
}

Result<bool> is_in(Interpreter& in, const Value& value, const Value* other) {
  return in.contains(*other, value);
}

template <bool upper>
Result<bool> in_case(Interpreter& in, const Value& value, const Value*) {
  ATELIER_TRY(const Text text, to_str(value, in.budget()));
  ATELIER_TRY(const Value result, call_method(in, Value(text), upper ? "isupper" : "islower", {}));
  return result.truthy();
}

Result<bool> is_filter(Interpreter&, const Value& value, const Value*) {
  const Text* name = value.text();
  return name && (find_text_filter(name->bytes()) || find_list_filter(name->bytes()) ||
                  find_value_filter(name->bytes()));
}

constexpr auto kTests = std::to_array<TestEntry>({
    {"!=", not_equal_to, true},
    {"<", ordered<true, false>, true},
    {"<=", ordered<true, true>, true},
    {"==", equal_to, true},
    {">", ordered<false, false>, true},
    {">=", ordered<false, true>, true},
    {"boolean", of_type<is_boolean>},
    {"callable", of_type<is_callable>},
    {"defined", of_type<is_defined>},
    {"divisibleby", divisible_by, true},
    {"eq", equal_to, true},
    {"equalto", equal_to, true},
    {"escaped", of_type<is_escaped>},
    {"even", parity<0>},
    {"false", of_type<is_false>},
    {"filter", is_filter},
    {"float", of_type<is_float>},
    {"ge", ordered<false, true>, true},
    {"greaterthan", ordered<false, false>, true},
    {"gt", ordered<false, false>, true},
    {"in", is_in, true},
    {"integer", of_type<is_integer>},
    {"iterable", of_type<is_iterable>},
    {"le", ordered<true, true>, true},
    {"lessthan", ordered<true, false>, true},
    {"lower", in_case<false>},
    {"lt", ordered<true, false>, true},
    {"mapping", of_type<is_mapping>},
    {"ne", not_equal_to, true},
    {"none", of_type<is_none>},
    {"number", of_type<is_number>},
    {"odd", parity<1>},
    {"sameas", same_as, true},
    {"sequence", of_type<is_sequence>},
    {"string", of_type<is_string>},
    {"true", of_type<is_true>},
    {"undefined", of_type<is_undefined>},
    {"upper", in_case<true>},
});

}  // namespace

Result<bool> Interpreter::tested(std::string_view name, const Value& value, const Arguments& arguments) {
  const auto entry =
      std::find_if(kTests.begin(), kTests.end(), [name](const TestEntry& e) { return e.name == name; });
  if (entry == kTests.end()) return fail(ErrorCode::kUnsupported, "there is no test '{}'", name);
  const size_t expected = entry->takes_other ? 1 : 0;
  if (arguments.positional.size() != expected || !arguments.named.empty())
    return fail(ErrorCode::kInvalidArgument, "is {}: expected {} arguments, found {}", name, expected,
                arguments.positional.size() + arguments.named.size());
  return entry->function(*this, value, entry->takes_other ? &arguments.positional[0] : nullptr);
}

}  // namespace atelier::chat::jinja
