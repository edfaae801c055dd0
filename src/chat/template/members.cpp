// object.name and object[index].
#include <algorithm>

#include "chat/template/chars.h"
#include "chat/template/interpreter.h"

namespace atelier::chat::jinja {
namespace {

Value bound_method(const Value& object, std::string_view name) {
  auto method = std::make_shared<Callable>();
  method->kind = Callable::Kind::kMethod;
  method->name = name;
  method->receiver = object;
  return std::shared_ptr<const Callable>(std::move(method));
}

Value no_attribute(const Value& object, std::string_view name) {
  return Value::undefined(fmt::format("'{} object' has no attribute '{}'", object.type_name(), name));
}

// The element `index` counts from the end where it is negative; npos if there is none.
size_t position(int64_t index, size_t size) {
  const auto count = static_cast<int64_t>(size);
  if (index < -count || index >= count) return std::string_view::npos;
  return static_cast<size_t>(index < 0 ? index + count : index);
}

}  // namespace

Result<Value> Interpreter::loop_attribute(LoopState& loop, std::string_view name) {
  const auto number = [](size_t value) { return Value(static_cast<int64_t>(value)); };
  const size_t index = loop.index;
  const std::vector<Value>& items = loop.items->items;
  if (name == "index") return number(index + 1);
  if (name == "index0") return number(index);
  if (name == "first") return Value(index == 0);
  if (name == "depth") return number(1);
  if (name == "depth0") return number(0);
  if (name == "previtem") {
    if (index > 0) return items[index - 1];
    return Value::undefined("there is no previous item");
  }
  const bool next_only = name == "last" || name == "nextitem";
  if (!next_only && name != "length" && name != "revindex" && name != "revindex0")
    return Value::undefined(fmt::format("'loop' has no attribute '{}'", name));
  ATELIER_CHECK_OK(look_ahead(loop, next_only ? index + 1 : SIZE_MAX));
  const bool has_next = index + 1 < items.size();
  if (name == "last") return Value(!has_next);
  if (name == "nextitem") return has_next ? items[index + 1] : Value::undefined("there is no next item");
  if (name == "length") return number(items.size());
  return number(items.size() - std::min(index, items.size()) - (name == "revindex0" ? 1 : 0));
}

Result<Value> Interpreter::attribute(const Value& object, std::string_view name) {
  if (object.is_undefined()) return fail(ErrorCode::kInvalidArgument, "{}", object.undefined_message());
  if (has_method(object, name)) {
    ATELIER_CHECK_OK(budget_.spend(kStepsPerObject));
    return bound_method(object, name);
  }
  if (const Dict* dict = object.dict()) {
    if (const Value* value = dict->find(name)) return *value;
  } else if (const Namespace* space = object.space()) {
    if (const Value* value = space->members.find(name)) return *value;
  } else if (LoopState* loop = object.loop()) {
    return loop_attribute(*loop, name);
  } else if (const Callable* callable = object.callable(); callable && callable->macro && name == "name") {
    return Value::data(callable->macro->name);
  }
  return no_attribute(object, name);
}

Result<Value> Interpreter::item(const Value& object, const Value& index) {
  if (object.is_undefined()) return fail(ErrorCode::kInvalidArgument, "{}", object.undefined_message());
  if (const Dict* dict = object.dict())
    if (const Value* value = dict->find(index)) return *value;
  if (const Text* name = index.text()) return attribute(object, name->bytes());
  if (const auto at = index.integer()) {
    if (const List* list = object.list()) {
      const size_t found = position(*at, list->items.size());
      if (found != std::string_view::npos) return list->items[found];
    } else if (const Text* text = object.text()) {
      ATELIER_CHECK_OK(budget_.spend_bytes(2 * text->size()));
      const size_t found = position(*at, count_chars(text->bytes()));
      if (found != std::string_view::npos) {
        const size_t begin = byte_of_char(text->bytes(), found);
        return Value(text->slice(begin, begin + char_at(text->bytes(), begin).length));
      }
    }
    return Value::undefined(fmt::format("{} object has no element {}", object.type_name(), *at));
  }
  return Value::undefined(fmt::format("{} object has no such element", object.type_name()));
}

}  // namespace atelier::chat::jinja
