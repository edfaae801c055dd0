#include "chat/template/value.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "chat/template/callable.h"

namespace atelier::chat::jinja {
namespace {

// Equal keys have equal hash keys: 1, 1.0 and True are one key. nullopt for what cannot be a key.
std::optional<std::string> hash_key(const Value& key) {
  if (const Text* text = key.text()) return "s" + text->str();
  if (const auto integer = key.integer()) return fmt::format("n{}", *integer);
  if (const double* real = key.get<double>()) {
    if (*real == std::floor(*real) && std::abs(*real) < 1e18)
      return fmt::format("n{}", static_cast<int64_t>(*real));
    return fmt::format("f{}", *real);
  }
  if (key.is_none()) return "-";
  const List* list = key.list();
  if (list == nullptr || !list->tuple) return std::nullopt;
  std::string joined = "(";
  for (const Value& item : list->items) {
    const auto part = hash_key(item);
    if (!part) return std::nullopt;
    joined += fmt::format("{}:{}", part->size(), *part);
  }
  return joined;
}

int sign(std::strong_ordering order) { return order < 0 ? -1 : order > 0 ? 1 : 0; }

Result<bool> equal_lists(const List& a, const List& b, Budget& budget) {
  if (a.tuple != b.tuple || a.items.size() != b.items.size()) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    ATELIER_TRY(const bool same, equal(a.items[i], b.items[i], budget));
    if (!same) return false;
  }
  return true;
}

Result<bool> equal_dicts(const Dict& a, const Dict& b, Budget& budget) {
  if (a.items().size() != b.items().size()) return false;
  for (const Dict::Item& item : a.items()) {
    const Value* other = b.find(item.key);
    if (other == nullptr) return false;
    ATELIER_TRY(const bool same, equal(item.value, *other, budget));
    if (!same) return false;
  }
  return true;
}

}  // namespace

Value Value::undefined(std::string what) {
  Value value;
  value.is_ = Undefined{std::make_shared<const std::string>(std::move(what))};
  return value;
}

const List* Value::list() const {
  const auto* list = get<std::shared_ptr<const List>>();
  return list ? list->get() : nullptr;
}

const Dict* Value::dict() const {
  const auto* dict = get<std::shared_ptr<const Dict>>();
  return dict ? dict->get() : nullptr;
}

Namespace* Value::space() const {
  Namespace* const* space = get<Namespace*>();
  return space ? *space : nullptr;
}

LoopState* Value::loop() const {
  const auto* loop = get<std::shared_ptr<LoopState>>();
  return loop ? loop->get() : nullptr;
}

const Callable* Value::callable() const {
  const auto* callable = get<std::shared_ptr<const Callable>>();
  return callable ? callable->get() : nullptr;
}

std::optional<int64_t> Value::integer() const {
  if (const int64_t* integer = get<int64_t>()) return *integer;
  if (const bool* boolean = get<bool>()) return *boolean ? 1 : 0;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const double* real = get<double>()) return *real;
  if (const auto whole = integer()) return static_cast<double>(*whole);
  return std::nullopt;
}

bool Value::truthy() const {
  if (is_undefined() || is_none()) return false;
  if (const Text* t = text()) return !t->empty();
  if (const List* l = list()) return !l->items.empty();
  if (const Dict* d = dict()) return !d->items().empty();
  if (const auto value = number()) return *value != 0;
  return true;
}

int Value::depth() const {
  if (const List* l = list()) return l->depth;
  if (const Dict* d = dict()) return d->depth();
  if (const Callable* c = callable()) return c->receiver.depth();
  return 0;
}

std::string_view Value::type_name() const {
  if (const List* l = list()) return l->tuple ? "tuple" : "list";
  static constexpr std::string_view kNames[] = {"undefined", "None", "bool",      "int",  "float",   "str",
                                                "list",      "dict", "namespace", "loop", "function"};
  return kNames[is_.index()];
}

std::string Value::undefined_message() const {
  const Undefined* missing = get<Undefined>();
  return missing != nullptr && missing->what ? *missing->what : "the value is undefined";
}

const Value* Dict::find(const Value& key) const {
  const auto hash = hash_key(key);
  if (!hash) return nullptr;
  const auto found = index_.find(*hash);
  return found == index_.end() ? nullptr : &items_[found->second].value;
}

const Value* Dict::find(std::string_view key) const {
  const auto found = index_.find("s" + std::string(key));
  return found == index_.end() ? nullptr : &items_[found->second].value;
}

Status Dict::set(Value key, Value value) {
  auto hash = hash_key(key);
  if (!hash)
    return fail(ErrorCode::kInvalidArgument, "a key of a dict: expected a str or a number, found {}",
                key.type_name());
  depth_ = std::max({depth_, 1 + value.depth(), 1 + key.depth()});
  const auto [entry, fresh] = index_.try_emplace(std::move(*hash), items_.size());
  if (fresh)
    items_.push_back({std::move(key), std::move(value)});
  else
    items_[entry->second].value = std::move(value);
  return {};
}

void Dict::set(std::string_view key, Value value) { (void)set(Value::data(key), std::move(value)); }

Value list_of(std::vector<Value> items, bool tuple) {
  auto list = std::make_shared<List>();
  for (const Value& item : items) list->depth = std::max(list->depth, 1 + item.depth());
  list->items = std::move(items);
  list->tuple = tuple;
  return std::shared_ptr<const List>(std::move(list));
}

Result<Value> make_list(std::vector<Value> items, bool tuple) {
  Value list = list_of(std::move(items), tuple);
  if (list.depth() > kMaxValueDepth)
    return fail(ErrorCode::kLimit, "expected values nested at most {} deep, found more", kMaxValueDepth);
  return list;
}

Result<Value> make_dict(Dict dict) {
  if (dict.depth() > kMaxValueDepth)
    return fail(ErrorCode::kLimit, "expected values nested at most {} deep, found more", kMaxValueDepth);
  return Value(std::make_shared<const Dict>(std::move(dict)));
}

Result<bool> equal(const Value& a, const Value& b, Budget& budget) {
  ATELIER_CHECK_OK(budget.spend(1));
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.text() && b.text()) {
    ATELIER_CHECK_OK(budget.spend_bytes(std::min(a.text()->size(), b.text()->size())));
    return a.text()->bytes() == b.text()->bytes();
  }
  if (const auto left = a.integer(), right = b.integer(); left && right) return *left == *right;
  if (const auto left = a.number(), right = b.number(); left && right) return *left == *right;
  if (a.list() && b.list()) return equal_lists(*a.list(), *b.list(), budget);
  if (a.dict() && b.dict()) return equal_dicts(*a.dict(), *b.dict(), budget);
  if (a.space() && b.space()) return a.space() == b.space();
  if (a.loop() && b.loop()) return a.loop() == b.loop();
  return a.callable() && a.callable() == b.callable();
}

Result<int> compare(const Value& a, const Value& b, Budget& budget) {
  ATELIER_CHECK_OK(budget.spend(1));
  if (a.text() && b.text()) {
    ATELIER_CHECK_OK(budget.spend_bytes(std::min(a.text()->size(), b.text()->size())));
    return sign(a.text()->bytes() <=> b.text()->bytes());  // UTF-8 sorts as its code points do
  }
  if (const auto left = a.integer(), right = b.integer(); left && right) return sign(*left <=> *right);
  if (const auto left = a.number(), right = b.number(); left && right)
    return *left < *right ? -1 : *left > *right ? 1 : 0;
  if (a.list() && b.list() && a.list()->tuple == b.list()->tuple) {
    const std::vector<Value>& left = a.list()->items;
    const std::vector<Value>& right = b.list()->items;
    for (size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
      ATELIER_TRY(const bool same, equal(left[i], right[i], budget));
      if (!same) return compare(left[i], right[i], budget);
    }
    return sign(left.size() <=> right.size());
  }
  for (const Value* value : {&a, &b})
    if (value->is_undefined()) return fail(ErrorCode::kInvalidArgument, "{}", value->undefined_message());
  return fail(ErrorCode::kInvalidArgument, "cannot order {} and {}", a.type_name(), b.type_name());
}

// Merges runs of 1, 2, 4, … keys.
Result<std::vector<size_t>> sorted_order(const std::vector<Value>& keys, bool reverse, Budget& budget) {
  const size_t n = keys.size();
  std::vector<size_t> order(n);
  for (size_t i = 0; i < n; ++i) order[i] = i;
  std::vector<size_t> merged(n);
  for (size_t width = 1; width < n; width *= 2) {
    for (size_t begin = 0; begin < n; begin += 2 * width) {
      const size_t middle = std::min(begin + width, n);
      const size_t end = std::min(begin + 2 * width, n);
      size_t left = begin;
      size_t right = middle;
      for (size_t out = begin; out < end; ++out) {
        bool take_right = left == middle;
        if (!take_right && right < end) {
          ATELIER_TRY(const int order_of, compare(keys[order[right]], keys[order[left]], budget));
          take_right = reverse ? order_of > 0 : order_of < 0;
        }
        merged[out] = take_right ? order[right++] : order[left++];
      }
    }
    order.swap(merged);
  }
  return order;
}

Value from_json(const Json& json) {
  if (json.is_null()) return None{};
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_string()) return Value::data(json.get_ref<const std::string&>());
  if (json.is_number_unsigned() &&
      json.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
    return json.get<double>();
  if (json.is_number_integer()) return json.get<int64_t>();
  if (json.is_number()) return json.get<double>();
  if (json.is_array()) {
    std::vector<Value> items;
    for (const Json& item : json) items.push_back(from_json(item));
    return list_of(std::move(items));
  }
  Dict dict;
  for (auto item = json.begin(); item != json.end(); ++item) dict.set(item.key(), from_json(item.value()));
  return std::make_shared<const Dict>(std::move(dict));
}

}  // namespace atelier::chat::jinja
