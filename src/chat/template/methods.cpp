// Methods of texts, dicts, lists and loops: those of Python's types that change nothing.
#include <algorithm>
#include <array>

#include "chat/template/chars.h"
#include "chat/template/format.h"
#include "chat/template/interpreter.h"
#include "chat/template/operators.h"
#include "chat/template/text_ops.h"
#include "chat/template/value_text.h"

namespace atelier::chat::jinja {
namespace {

using Method = Result<Value> (*)(Interpreter&, const Value&, const Arguments&);

struct Entry {
  std::string_view name;
  Method method;
};

template <Casing casing>
Result<Value> case_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("str", arguments, {}));
  ATELIER_TRY(Text text, with_case(*self.text(), casing, in.budget()));
  return Value(std::move(text));
}

template <bool left, bool right>
Result<Value> strip_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("strip", arguments, {"chars"}));
  ATELIER_CHECK_OK(in.budget().spend_bytes(self.text()->size()));
  if (!bound.get(0) || bound[0].is_none()) return Value(stripped(*self.text(), nullptr, left, right));
  ATELIER_TRY(const Text set, bound.text(0));
  ATELIER_CHECK_OK(in.budget().spend_bytes(set.size() * self.text()->size()));
  return Value(stripped(*self.text(), &set, left, right));
}

template <bool from_right>
Result<Value> split_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("split", arguments, {"sep", "maxsplit"}));
  ATELIER_TRY(const int64_t limit, bound.integer(1, -1));
  ATELIER_TRY(const Text separator, bound.text(0));
  const bool words = !bound.get(0) || bound[0].is_none();
  if (!words && separator.empty()) return fail(ErrorCode::kInvalidArgument, "split: the separator is empty");
  ATELIER_TRY(std::vector<Value> parts,
              split(*self.text(), words ? nullptr : &separator, limit, from_right, in.budget()));
  return make_list(std::move(parts));
}

Result<Value> splitlines_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("splitlines", arguments, {"keepends"}));
  ATELIER_TRY(std::vector<Value> lines, split_lines(*self.text(), bound.flag(0, false), in.budget()));
  return make_list(std::move(lines));
}

template <bool last>
Result<Value> partition_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("partition", arguments, {"sep"}, 1));
  ATELIER_TRY(const Text separator, bound.text(0));
  if (separator.empty()) return fail(ErrorCode::kInvalidArgument, "partition: the separator is empty");
  const Text& text = *self.text();
  ATELIER_CHECK_OK(in.budget().spend_bytes(2 * text.size()));
  const size_t at = last ? text.bytes().rfind(separator.bytes()) : text.bytes().find(separator.bytes());
  if (at == std::string_view::npos)
    return last ? list_of({Text(), Text(), text}, true) : list_of({text, Text(), Text()}, true);
  return list_of({text.slice(0, at), separator, text.slice(at + separator.size(), text.size())}, true);
}

template <bool at_end>
Result<Value> affix_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind(at_end ? "endswith" : "startswith", arguments,
                                                     {"text", "start", "end"}, 1));
  Value part = self;
  if (bound.get(1) || bound.get(2)) {
    const Value none = None{};
    ATELIER_TRY(part, sliced(self, bound.get(1) ? bound[1] : none, bound.get(2) ? bound[2] : none, none,
                             in.budget()));
  }
  const std::string_view text = part.text()->bytes();
  std::vector<Value> candidates = {bound[0]};
  if (const List* tuple = bound[0].list(); tuple && tuple->tuple) candidates = tuple->items;
  ATELIER_CHECK_OK(in.budget().spend(candidates.size()));
  for (const Value& candidate : candidates) {
    const Text* affix = candidate.text();
    if (affix == nullptr)
      return fail(ErrorCode::kInvalidArgument, "{}: expected a str or a tuple of them, found {}",
                  at_end ? "endswith" : "startswith", candidate.type_name());
    ATELIER_CHECK_OK(in.budget().spend_bytes(affix->size()));
    if (at_end ? text.ends_with(affix->bytes()) : text.starts_with(affix->bytes())) return Value(true);
  }
  return Value(false);
}

template <bool at_end>
Result<Value> remove_affix_method(Interpreter&, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("remove", arguments, {"affix"}, 1));
  ATELIER_TRY(const Text affix, bound.text(0));
  const Text& text = *self.text();
  if (at_end && text.bytes().ends_with(affix.bytes()))
    return Value(text.slice(0, text.size() - affix.size()));
  if (!at_end && text.bytes().starts_with(affix.bytes())) return Value(text.slice(affix.size(), text.size()));
  return self;
}

// The place of a part in characters; -1 where it is missing.
template <bool last, bool must>
Result<Value> find_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("find", arguments, {"sub"}, 1));
  ATELIER_TRY(const Text part, bound.text(0));
  const std::string_view text = self.text()->bytes();
  ATELIER_CHECK_OK(in.budget().spend_bytes(2 * text.size()));
  const size_t at = last ? text.rfind(part.bytes()) : text.find(part.bytes());
  if (at != std::string_view::npos) return Value(static_cast<int64_t>(count_chars(text.substr(0, at))));
  if (must) return fail(ErrorCode::kInvalidArgument, "index: the part is not in the text");
  return Value(int64_t{-1});
}

Result<Value> count_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("count", arguments, {"sub"}, 1));
  ATELIER_TRY(const Text part, bound.text(0));
  const std::string_view text = self.text()->bytes();
  ATELIER_CHECK_OK(in.budget().spend_bytes(4 * text.size()));
  if (part.empty()) return Value(static_cast<int64_t>(count_chars(text) + 1));
  int64_t count = 0;
  for (size_t at = text.find(part.bytes()); at != std::string_view::npos;
       at = text.find(part.bytes(), at + part.size()))
    ++count;
  return Value(count);
}

Result<Value> replace_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("replace", arguments, {"old", "new", "count"}, 2));
  ATELIER_TRY(const Text old, bound.text(0));
  ATELIER_TRY(const Text with, bound.text(1));
  ATELIER_TRY(const int64_t limit, bound.integer(2, -1));
  ATELIER_TRY(Text text, replaced(*self.text(), old, with, limit, in.budget()));
  return Value(std::move(text));
}

Result<Value> join_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("join", arguments, {"iterable"}, 1));
  ATELIER_TRY(const auto items, in.items_of(bound[0]));
  TextBuilder out;
  for (size_t i = 0; i < items->items.size(); ++i) {
    const Value& item = items->items[i];
    if (!item.text())
      return fail(ErrorCode::kInvalidArgument, "join: expected texts, found {}", item.type_name());
    if (i > 0) ATELIER_CHECK_OK(append_str(self, out, in.budget()));
    ATELIER_CHECK_OK(append_str(item, out, in.budget()));
  }
  return Value(out.take());
}

template <Alignment alignment>
Result<Value> align_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("justify", arguments, {"width", "fillchar"}, 1));
  ATELIER_TRY(const int64_t width, bound.integer(0, 0));
  ATELIER_TRY(const Text fill, bound.text(1, " "));
  if (count_chars(fill.bytes()) != 1)
    return fail(ErrorCode::kInvalidArgument, "justify: expected one character to fill with");
  ATELIER_TRY(Text text, aligned(*self.text(), width, fill, alignment, in.budget()));
  return Value(std::move(text));
}

Result<Value> zfill_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("zfill", arguments, {"width"}, 1));
  ATELIER_TRY(const int64_t width, bound.integer(0, 0));
  const Text& text = *self.text();
  const bool sign = text.bytes().starts_with('-') || text.bytes().starts_with('+');
  ATELIER_TRY(const Text digits, aligned(text.slice(sign ? 1 : 0, text.size()), width - (sign ? 1 : 0),
                                         Text::data("0"), Alignment::kRight, in.budget()));
  TextBuilder out;
  out.append(text, 0, sign ? 1 : 0);
  out.append(digits);
  return Value(out.take());
}

Result<Value> format_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(Text text, brace_format(in, *self.text(), arguments));
  return Value(std::move(text));
}

// True if there is a character and `holds` is true of all.
template <bool (*holds)(char32_t)>
Result<Value> all_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("str", arguments, {}));
  const std::string_view text = self.text()->bytes();
  ATELIER_CHECK_OK(in.budget().spend_bytes(text.size()));
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = char_at(text, at);
    if (!c.valid || !holds(c.code_point)) return Value(false);
    at += c.length;
  }
  return Value(!text.empty());
}

bool is_alnum(char32_t c) { return is_alpha(c) || is_digit(c); }

// True if there is a cased character and none of the other case.
template <bool upper>
Result<Value> cased_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("str", arguments, {}));
  const std::string_view text = self.text()->bytes();
  ATELIER_CHECK_OK(in.budget().spend_bytes(text.size()));
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = char_at(text, at);
    if (upper ? is_lower(c.code_point) : is_upper(c.code_point)) return Value(false);
    any = any || (upper ? is_upper(c.code_point) : is_lower(c.code_point));
    at += c.length;
  }
  return Value(any);
}

constexpr auto kTextMethods = std::to_array<Entry>({
    {"capitalize", case_method<Casing::kCapitalize>},
    {"casefold", case_method<Casing::kLower>},
    {"center", align_method<Alignment::kCenter>},
    {"count", count_method},
    {"endswith", affix_method<true>},
    {"find", find_method<false, false>},
    {"format", format_method},
    {"index", find_method<false, true>},
    {"isalnum", all_method<is_alnum>},
    {"isalpha", all_method<is_alpha>},
    {"isdecimal", all_method<is_digit>},
    {"isdigit", all_method<is_digit>},
    {"islower", cased_method<false>},
    {"isnumeric", all_method<is_digit>},
    {"isspace", all_method<is_space>},
    {"isupper", cased_method<true>},
    {"join", join_method},
    {"ljust", align_method<Alignment::kLeft>},
    {"lower", case_method<Casing::kLower>},
    {"lstrip", strip_method<true, false>},
    {"partition", partition_method<false>},
    {"removeprefix", remove_affix_method<false>},
    {"removesuffix", remove_affix_method<true>},
    {"replace", replace_method},
    {"rfind", find_method<true, false>},
    {"rindex", find_method<true, true>},
    {"rjust", align_method<Alignment::kRight>},
    {"rpartition", partition_method<true>},
    {"rsplit", split_method<true>},
    {"rstrip", strip_method<false, true>},
    {"split", split_method<false>},
    {"splitlines", splitlines_method},
    {"startswith", affix_method<false>},
    {"strip", strip_method<true, true>},
    {"swapcase", case_method<Casing::kSwap>},
    {"title", case_method<Casing::kTitle>},
    {"upper", case_method<Casing::kUpper>},
    {"zfill", zfill_method},
});

Result<Value> get_method(Interpreter&, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("get", arguments, {"key", "default"}, 1));
  if (const Value* value = self.dict()->find(bound[0])) return *value;
  return bound.get(1) ? bound[1] : Value(None{});
}

enum class Part : uint8_t { kKeys, kValues, kItems };
template <Part part>
Result<Value> parts_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("dict", arguments, {}));
  const auto& items = self.dict()->items();
  ATELIER_CHECK_OK(in.budget().spend(items.size() * (part == Part::kItems ? kStepsPerObject : 1)));
  std::vector<Value> out;
  out.reserve(items.size());
  for (const Dict::Item& item : items)
    out.push_back(part == Part::kKeys     ? item.key
                  : part == Part::kValues ? item.value
                                          : list_of({item.key, item.value}, true));
  return make_list(std::move(out));
}

Result<Value> copy_method(Interpreter&, const Value& self, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("copy", arguments, {}));
  return self;
}

constexpr auto kDictMethods = std::to_array<Entry>({
    {"copy", copy_method},
    {"get", get_method},
    {"items", parts_method<Part::kItems>},
    {"keys", parts_method<Part::kKeys>},
    {"values", parts_method<Part::kValues>},
});

Result<Value> list_count_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("count", arguments, {"value"}, 1));
  int64_t count = 0;
  for (const Value& item : self.list()->items) {
    ATELIER_TRY(const bool same, equal(item, bound[0], in.budget()));
    count += same ? 1 : 0;
  }
  return Value(count);
}

Result<Value> list_index_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("index", arguments, {"value"}, 1));
  int64_t index = 0;
  for (const Value& item : self.list()->items) {
    ATELIER_TRY(const bool same, equal(item, bound[0], in.budget()));
    if (same) return Value(index);
    ++index;
  }
  return fail(ErrorCode::kInvalidArgument, "index: the value is not in the list");
}

constexpr auto kListMethods = std::to_array<Entry>({
    {"copy", copy_method},
    {"count", list_count_method},
    {"index", list_index_method},
});

Result<Value> cycle_method(Interpreter&, const Value& self, const Arguments& arguments) {
  if (arguments.positional.empty())
    return fail(ErrorCode::kInvalidArgument, "cycle: expected something to cycle through, found nothing");
  return arguments.positional[self.loop()->index % arguments.positional.size()];
}

Result<Value> changed_method(Interpreter& in, const Value& self, const Arguments& arguments) {
  LoopState& loop = *self.loop();
  const auto asked = std::make_shared<List>();
  asked->items = arguments.positional;
  bool changed = true;
  if (loop.last_changed) {
    ATELIER_TRY(const bool same,
                equal(Value(std::shared_ptr<const List>(asked)), Value(loop.last_changed), in.budget()));
    changed = !same;
  }
  loop.last_changed = asked;
  return Value(changed);
}

constexpr auto kLoopMethods = std::to_array<Entry>({{"changed", changed_method}, {"cycle", cycle_method}});

template <size_t N>
Method look_up(const std::array<Entry, N>& methods, std::string_view name) {
  for (const Entry& entry : methods)
    if (entry.name == name) return entry.method;
  return nullptr;
}

Method method_of(const Value& object, std::string_view name) {
  if (object.text()) return look_up(kTextMethods, name);
  if (object.dict()) return look_up(kDictMethods, name);
  if (object.list()) return look_up(kListMethods, name);
  if (object.loop()) return look_up(kLoopMethods, name);
  return nullptr;
}

}  // namespace

bool has_method(const Value& object, std::string_view name) { return method_of(object, name) != nullptr; }

Result<Value> call_method(Interpreter& interpreter, const Value& object, std::string_view name,
                          const Arguments& arguments) {
  return method_of(object, name)(interpreter, object, arguments);
}

}  // namespace atelier::chat::jinja
