// The values of the template language: Python's, as far as templates can tell.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "chat/json_text.h"
#include "chat/template/budget.h"
#include "chat/template/text.h"

namespace atelier::chat::jinja {

class Value;
struct List;
class Dict;
struct Namespace;
struct LoopState;
struct Callable;

// What a missing name or member evaluates to: prints as nothing, is false, and fails when it is used.
struct Undefined {
  std::shared_ptr<const std::string> what;  // "'x' is undefined"
};
struct None {};

// Immutable, except for namespaces and the counters of loops. Copies are cheap. Namespaces belong to the
// interpreter, so that no value can own itself.
class Value {
 public:
  Value() = default;  // undefined
  Value(None) : is_(None{}) {}
  // Templates, so that no pointer turns into a bool and no int into either of its neighbours.
  Value(std::same_as<bool> auto value) : is_(value) {}
  Value(std::same_as<int64_t> auto value) : is_(value) {}
  Value(std::same_as<double> auto value) : is_(value) {}
  Value(Text text) : is_(std::move(text)) {}
  Value(std::shared_ptr<const List> list) : is_(std::move(list)) {}
  Value(std::shared_ptr<const Dict> dict) : is_(std::move(dict)) {}
  Value(Namespace* space) : is_(space) {}
  Value(std::shared_ptr<LoopState> loop) : is_(std::move(loop)) {}
  Value(std::shared_ptr<const Callable> callable) : is_(std::move(callable)) {}
  static Value undefined(std::string what);
  static Value data(std::string_view text) { return Text::data(std::string(text)); }

  template <class T>
  const T* get() const {
    return std::get_if<T>(&is_);
  }
  bool is_undefined() const { return std::holds_alternative<Undefined>(is_); }
  bool is_none() const { return std::holds_alternative<None>(is_); }
  const Text* text() const { return get<Text>(); }
  const List* list() const;  // also of a tuple
  const Dict* dict() const;
  Namespace* space() const;
  LoopState* loop() const;
  const Callable* callable() const;
  // A number that stands for an index or a count: an int or a bool.
  std::optional<int64_t> integer() const;
  std::optional<double> number() const;  // bool, int or float

  bool truthy() const;
  int depth() const;                   // 0 for what holds no other values
  std::string_view type_name() const;  // "str", "dict", …
  // "'x' is undefined"
  std::string undefined_message() const;

 private:
  std::variant<Undefined, None, bool, int64_t, double, Text, std::shared_ptr<const List>,
               std::shared_ptr<const Dict>, Namespace*, std::shared_ptr<LoopState>,
               std::shared_ptr<const Callable>>
      is_;
};

struct List {
  std::vector<Value> items;
  bool tuple = false;
  int depth = 1;
};

// Keeps the order in which keys were first entered.
class Dict {
 public:
  struct Item {
    Value key;
    Value value;
  };
  const std::vector<Item>& items() const { return items_; }
  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  int depth() const { return depth_; }

  // A key entered again changes its value and keeps its place. kInvalidArgument for a key that cannot be one
  // (a list, a dict).
  Status set(Value key, Value value);
  void set(std::string_view key, Value value);

 private:
  std::vector<Item> items_;
  std::unordered_map<std::string, size_t> index_;  // by hash_key
  int depth_ = 1;
};

struct Namespace {
  Dict members;
};

// kLimit for values nested deeper than kMaxValueDepth.
Result<Value> make_list(std::vector<Value> items, bool tuple = false);
Result<Value> make_dict(Dict dict);
// Of scalars and texts, which cannot be too deep.
Value list_of(std::vector<Value> items, bool tuple = false);

// Python's ==, with 1 == 1.0 == True.
Result<bool> equal(const Value& a, const Value& b, Budget& budget);
// Negative, zero or positive. kInvalidArgument for types that have no order among each other.
Result<int> compare(const Value& a, const Value& b, Budget& budget);

// The order in which `keys` stand sorted; equal ones keep theirs, also in reverse. Safe whatever compare()
// says.
Result<std::vector<size_t>> sorted_order(const std::vector<Value>& keys, bool reverse, Budget& budget);

// JSON data as values; strings as data that no template wrote. `json` is nested at most kMaxJsonDepth deep.
Value from_json(const Json& json);

}  // namespace atelier::chat::jinja
