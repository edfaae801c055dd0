#include "chat/template/callable.h"

#include <algorithm>

namespace atelier::chat::jinja {

Result<BoundArguments> BoundArguments::bind(std::string_view function, const Arguments& arguments,
                                            std::initializer_list<std::string_view> parameters,
                                            size_t n_required) {
  BoundArguments bound;
  bound.function_ = function;
  bound.names_ = parameters;
  bound.values_.resize(parameters.size());
  if (arguments.positional.size() > parameters.size())
    return fail(ErrorCode::kInvalidArgument, "{}: expected at most {} arguments, found {}", function,
                parameters.size(), arguments.positional.size());
  for (size_t i = 0; i < arguments.positional.size(); ++i) bound.values_[i] = arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(bound.names_.begin(), bound.names_.end(), name);
    if (found == bound.names_.end())
      return fail(ErrorCode::kInvalidArgument, "{}: found an argument \"{}\", which it does not take",
                  function, name);
    std::optional<Value>& slot = bound.values_[static_cast<size_t>(found - bound.names_.begin())];
    if (slot) return fail(ErrorCode::kInvalidArgument, "{}: argument \"{}\" is given twice", function, name);
    slot = value;
  }
  for (size_t i = 0; i < n_required; ++i)
    if (!bound.values_[i])
      return fail(ErrorCode::kInvalidArgument, "{}: expected an argument \"{}\", found none", function,
                  bound.names_[i]);
  return bound;
}

Result<int64_t> BoundArguments::integer(size_t parameter, int64_t fallback) const {
  const Value* value = get(parameter);
  if (value == nullptr || value->is_none()) return fallback;
  if (const auto whole = value->integer()) return *whole;
  return fail(ErrorCode::kInvalidArgument, "{}: {}: expected an int, found {}", function_, names_[parameter],
              value->type_name());
}

Result<Text> BoundArguments::text(size_t parameter, std::string_view fallback) const {
  const Value* value = get(parameter);
  if (value == nullptr || value->is_none()) return Text::data(std::string(fallback));
  if (const Text* text = value->text()) return *text;
  return fail(ErrorCode::kInvalidArgument, "{}: {}: expected a str, found {}", function_, names_[parameter],
              value->type_name());
}

}  // namespace atelier::chat::jinja
