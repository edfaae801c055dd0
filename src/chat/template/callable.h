// What can be called, and what it is called with.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/template/value.h"

namespace atelier::chat::jinja {

struct MacroDefinition;
class Scope;

struct Callable {
  enum class Kind : uint8_t { kFunction, kMethod, kMacro };
  Kind kind = Kind::kFunction;
  std::string name;  // of the function or method
  Value receiver;    // kMethod
  const MacroDefinition* macro = nullptr;
  Scope* scope = nullptr;  // kMacro: where it was defined; the interpreter keeps it alive
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// Arguments by the names of their parameters; those that were not given are empty.
class BoundArguments {
 public:
  // kInvalidArgument: more than there are parameters, a name that is none, one given twice, or one of the
  // first `n_required` missing.
  static Result<BoundArguments> bind(std::string_view function, const Arguments& arguments,
                                     std::initializer_list<std::string_view> parameters,
                                     size_t n_required = 0);

  const Value* get(size_t parameter) const { return values_[parameter] ? &*values_[parameter] : nullptr; }
  const Value& operator[](size_t parameter) const { return *values_[parameter]; }
  bool flag(size_t parameter, bool fallback) const {
    const Value* value = get(parameter);
    return value ? value->truthy() : fallback;
  }
  // An int that fits, or the fallback if not given (or None).
  Result<int64_t> integer(size_t parameter, int64_t fallback) const;
  // A str, or an empty one if not given (or None).
  Result<Text> text(size_t parameter, std::string_view fallback = {}) const;

 private:
  std::string function_;
  std::vector<std::string_view> names_;
  std::vector<std::optional<Value>> values_;
};

}  // namespace atelier::chat::jinja
