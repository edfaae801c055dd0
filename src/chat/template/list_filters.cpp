// Filters that go through lists: map, select, sort, unique, …
#include <algorithm>
#include <array>
#include <charconv>

#include "chat/template/chars.h"
#include "chat/template/filters.h"
#include "chat/template/operators.h"
#include "chat/template/text_ops.h"
#include "chat/template/value_text.h"

namespace atelier::chat::jinja {
namespace {

using Items = std::shared_ptr<const List>;

// The value at "a.b.0" below `item`; the item itself where there is no path.
Result<Value> at_path(Interpreter& in, Value item, const Value* path, const Value* fallback = nullptr) {
  if (path == nullptr || path->is_none()) return item;
  std::vector<Value> parts = {*path};
  if (const Text* text = path->text()) {
    const Text dot = Text::data(".");
    ATELIER_TRY(parts, split(*text, &dot, -1, false, in.budget()));
  }
  for (Value& part : parts) {
    if (const Text* text = part.text()) {
      int64_t index = 0;
      const std::string_view digits = text->bytes();
      const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), index);
      if (parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size() && index >= 0)
        part = Value(index);
    }
    ATELIER_TRY(item, in.item(item, part));
    if (item.is_undefined() && fallback != nullptr && !fallback->is_none()) item = *fallback;
  }
  return item;
}

Result<Value> folded(Interpreter& in, Value key, bool case_sensitive) {
  if (case_sensitive || !key.text()) return key;
  ATELIER_TRY(Text lower, with_case(*key.text(), Casing::kLower, in.budget()));
  return Value(std::move(lower));
}

// What `items` are sorted or compared by.
Result<std::vector<Value>> keys_of(Interpreter& in, const std::vector<Value>& items, const Value* attribute,
                                   bool case_sensitive) {
  std::vector<Value> keys;
  keys.reserve(items.size());
  for (const Value& item : items) {
    ATELIER_TRY(Value key, at_path(in, item, attribute));
    ATELIER_TRY(key, folded(in, std::move(key), case_sensitive));
    keys.push_back(std::move(key));
  }
  return keys;
}

// `items` in the order of `keys`; equal ones keep theirs.
Result<std::vector<Value>> sorted(Interpreter& in, const std::vector<Value>& items,
                                  const std::vector<Value>& keys, bool reverse) {
  ATELIER_TRY(const std::vector<size_t> order, sorted_order(keys, reverse, in.budget()));
  std::vector<Value> out;
  out.reserve(items.size());
  for (const size_t i : order) out.push_back(items[i]);
  return out;
}

Result<Value> sort(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound,
              BoundArguments::bind("sort", arguments, {"reverse", "case_sensitive", "attribute"}));
  ATELIER_TRY(const Items items, in.items_of(value));
  ATELIER_TRY(const std::vector<Value> keys, keys_of(in, items->items, bound.get(2), bound.flag(1, false)));
  ATELIER_TRY(std::vector<Value> out, sorted(in, items->items, keys, bound.flag(0, false)));
  return make_list(std::move(out));
}

Result<Value> dictsort(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound,
              BoundArguments::bind("dictsort", arguments, {"case_sensitive", "by", "reverse"}));
  ATELIER_TRY(const Text by, bound.text(1, "key"));
  if (by.bytes() != "key" && by.bytes() != "value")
    return fail(ErrorCode::kInvalidArgument, "dictsort: by: expected key or value, found {}", by.bytes());
  ATELIER_TRY(const Value pairs, in.filtered("items", value, {}));
  ATELIER_TRY(const Items items, in.items_of(pairs));
  const Value position(int64_t{by.bytes() == "key" ? 0 : 1});
  ATELIER_TRY(const std::vector<Value> keys, keys_of(in, items->items, &position, bound.flag(0, false)));
  ATELIER_TRY(std::vector<Value> out, sorted(in, items->items, keys, bound.flag(2, false)));
  return make_list(std::move(out));
}

Result<Value> unique(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("unique", arguments, {"case_sensitive", "attribute"}));
  ATELIER_TRY(const Items items, in.items_of(value));
  ATELIER_TRY(const std::vector<Value> keys, keys_of(in, items->items, bound.get(1), bound.flag(0, false)));
  Dict seen;
  std::vector<Value> out;
  for (size_t i = 0; i < keys.size(); ++i) {
    ATELIER_CHECK_OK(in.budget().spend(kStepsPerObject));
    if (seen.find(keys[i]) != nullptr) continue;
    ATELIER_CHECK_OK(seen.set(keys[i], Value(true)));
    out.push_back(items->items[i]);
  }
  return make_list(std::move(out));
}

template <bool largest>
Result<Value> extreme(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound,
              BoundArguments::bind(largest ? "max" : "min", arguments, {"case_sensitive", "attribute"}));
  ATELIER_TRY(const Items items, in.items_of(value));
  if (items->items.empty()) return Value::undefined("no item to choose from: the list is empty");
  ATELIER_TRY(const std::vector<Value> keys, keys_of(in, items->items, bound.get(1), bound.flag(0, false)));
  size_t best = 0;
  for (size_t i = 1; i < keys.size(); ++i) {
    ATELIER_TRY(const int order, compare(keys[i], keys[best], in.budget()));
    if (largest ? order > 0 : order < 0) best = i;
  }
  return items->items[best];
}

Result<Value> groupby(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound,
              BoundArguments::bind("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1));
  ATELIER_TRY(const Items items, in.items_of(value));
  std::vector<Value> keys;
  for (const Value& item : items->items) {
    ATELIER_TRY(Value key, at_path(in, item, bound.get(0), bound.get(1)));
    keys.push_back(std::move(key));
  }
  std::vector<Value> pairs;
  std::vector<Value> lowered;
  for (size_t i = 0; i < keys.size(); ++i) {
    ATELIER_TRY(Value key, folded(in, keys[i], bound.flag(2, false)));
    lowered.push_back(key);
    pairs.push_back(list_of({key, keys[i], items->items[i]}, true));
  }
  ATELIER_CHECK_OK(in.budget().spend(kStepsPerObject * pairs.size()));
  ATELIER_TRY(pairs, sorted(in, pairs, lowered, false));
  std::vector<Value> groups;
  std::vector<Value> members;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const std::vector<Value>& pair = pairs[i].list()->items;
    members.push_back(pair[2]);
    bool ends = i + 1 == pairs.size();
    if (!ends) {
      ATELIER_TRY(const bool same, equal(pair[0], pairs[i + 1].list()->items[0], in.budget()));
      ends = !same;
    }
    if (!ends) continue;
    ATELIER_TRY(const Value first_key, at_path(in, members.front(), bound.get(0), bound.get(1)));
    ATELIER_TRY(Value group, make_list(std::exchange(members, {})));
    groups.push_back(list_of({first_key, std::move(group)}, true));
  }
  return make_list(std::move(groups));
}

Result<Value> map(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const Items items, in.items_of(value));
  ATELIER_CHECK_OK(in.budget().spend(items->items.size()));
  std::vector<Value> out;
  out.reserve(items->items.size());
  if (arguments.positional.empty()) {
    ATELIER_TRY(const auto bound, BoundArguments::bind("map", arguments, {"attribute", "default"}, 1));
    for (const Value& item : items->items) {
      ATELIER_TRY(Value mapped, at_path(in, item, bound.get(0), bound.get(1)));
      out.push_back(std::move(mapped));
    }
    return make_list(std::move(out));
  }
  const Text* name = arguments.positional[0].text();
  if (name == nullptr)
    return fail(ErrorCode::kInvalidArgument, "map: expected the name of a filter, found {}",
                arguments.positional[0].type_name());
  Arguments rest;
  rest.positional.assign(arguments.positional.begin() + 1, arguments.positional.end());
  rest.named = arguments.named;
  for (const Value& item : items->items) {
    ATELIER_CHECK_OK(in.budget().spend(kStepsPerObject));
    ATELIER_TRY(Value mapped, in.filtered(name->bytes(), item, rest));
    out.push_back(std::move(mapped));
  }
  return make_list(std::move(out));
}

template <bool wanted, bool by_attribute>
Result<Value> select(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const Items items, in.items_of(value));
  const std::vector<Value>& given = arguments.positional;
  if (by_attribute && given.empty())
    return fail(ErrorCode::kInvalidArgument, "selectattr: expected the name of a member, found none");
  constexpr size_t kTest = by_attribute ? 1 : 0;
  const Text* test = given.size() > kTest ? given[kTest].text() : nullptr;
  if (given.size() > kTest && test == nullptr)
    return fail(ErrorCode::kInvalidArgument, "select: expected the name of a test, found {}",
                given[kTest].type_name());
  Arguments rest;
  if (test) rest.positional.assign(given.begin() + kTest + 1, given.end());
  rest.named = arguments.named;
  std::vector<Value> out;
  for (const Value& item : items->items) {
    ATELIER_CHECK_OK(in.budget().spend(2));
    ATELIER_TRY(const Value key, at_path(in, item, by_attribute ? &given[0] : nullptr));
    bool holds = key.truthy();
    if (test) {
      ATELIER_TRY(holds, in.tested(test->bytes(), key, rest));
    }
    if (holds == wanted) out.push_back(item);
  }
  return make_list(std::move(out));
}

Result<Value> sum(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("sum", arguments, {"attribute", "start"}));
  ATELIER_TRY(const Items items, in.items_of(value));
  Value total = bound.get(1) ? bound[1] : Value(int64_t{0});
  if (total.text()) return fail(ErrorCode::kInvalidArgument, "sum: expected numbers, found texts");
  for (const Value& item : items->items) {
    ATELIER_CHECK_OK(in.budget().spend(1));
    ATELIER_TRY(const Value next, at_path(in, item, bound.get(0)));
    ATELIER_TRY(total, binary(BinaryOperator::kAdd, total, next, in.budget()));
  }
  return total;
}

Result<Value> list(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("list", arguments, {}));
  ATELIER_TRY(const Items items, in.items_of(value));
  if (!items->tuple) return Value(items);
  ATELIER_CHECK_OK(in.budget().spend(items->items.size()));
  return make_list(items->items);
}

template <bool last>
Result<Value> end_of(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind(last ? "last" : "first", arguments, {}));
  if (const Text* text = value.text()) {  // without a value for every character
    if (text->empty()) return Value::undefined("the text is empty");
    const size_t begin = last ? previous_char(text->bytes(), text->size()) : 0;
    return Value(text->slice(begin, begin + char_at(text->bytes(), begin).length));
  }
  ATELIER_TRY(const Items items, in.items_of(value));
  if (items->items.empty()) return Value::undefined("the list is empty");
  return last ? items->items.back() : items->items.front();
}

Result<Value> reverse(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("reverse", arguments, {}));
  const Value none = None{};
  if (value.text() || value.list()) return sliced(value, none, none, Value(int64_t{-1}), in.budget());
  ATELIER_TRY(const Items items, in.items_of(value));
  return make_list({items->items.rbegin(), items->items.rend()});
}

Result<Value> batch(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("batch", arguments, {"linecount", "fill_with"}, 1));
  ATELIER_TRY(const int64_t size, bound.integer(0, 0));
  ATELIER_TRY(const Items items, in.items_of(value));
  if (size < 1) return fail(ErrorCode::kInvalidArgument, "batch: expected at least 1, found {}", size);
  ATELIER_CHECK_OK(in.budget().spend(kStepsPerObject * items->items.size()));
  const auto width = static_cast<size_t>(size);
  std::vector<Value> rows;
  for (size_t at = 0; at < items->items.size();) {
    const size_t end = items->items.size() - at > width ? at + width : items->items.size();
    std::vector<Value> row(items->items.begin() + static_cast<std::ptrdiff_t>(at),
                           items->items.begin() + static_cast<std::ptrdiff_t>(end));
    if (bound.get(1) && !bound[1].is_none() && row.size() < width) {
      ATELIER_CHECK_OK(in.budget().spend(width - row.size()));
      row.resize(width, bound[1]);
    }
    ATELIER_TRY(Value made, make_list(std::move(row)));
    rows.push_back(std::move(made));
    at = end;
  }
  return make_list(std::move(rows));
}

constexpr auto kListFilters = std::to_array<FilterEntry>({
    {"batch", batch},
    {"dictsort", dictsort},
    {"first", end_of<false>},
    {"groupby", groupby},
    {"last", end_of<true>},
    {"list", list},
    {"map", map},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"reject", select<false, false>},
    {"rejectattr", select<false, true>},
    {"reverse", reverse},
    {"select", select<true, false>},
    {"selectattr", select<true, true>},
    {"sort", sort},
    {"sum", sum},
    {"unique", unique},
});

}  // namespace

FilterFunction find_list_filter(std::string_view name) { return look_up_filter(kListFilters, name); }

}  // namespace atelier::chat::jinja
