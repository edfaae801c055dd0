// What expressions evaluate to.
#include <algorithm>
#include <array>

#include "chat/template/chars.h"
#include "chat/template/interpreter.h"
#include "chat/template/operators.h"
#include "chat/template/value_text.h"

namespace atelier::chat::jinja {

Result<Value> Interpreter::eval(const Expression& expression) {
  const auto refused = [&](Error error) -> Result<Value> {
    if (!error_placed_) error = error_at(expression.at, std::move(error));
    error_placed_ = true;
    return tl::unexpected<Error>(std::move(error));
  };
  if (const Status spent = budget_.spend(1); !spent) return refused(spent.error());
  if (++depth_ > limits_.depth)
    return refused(
        {ErrorCode::kLimit, fmt::format("expected calls nested at most {} deep, found more", limits_.depth)});
  Result<Value> value = std::visit([this](const auto& node) { return eval(node); }, expression.is);
  --depth_;
  return value ? std::move(value) : refused(std::move(value).error());
}

Result<Value> Interpreter::eval(const Constant& node) { return node.value; }

Result<Value> Interpreter::eval(const Name& node) {
  if (const Value* value = scope_->find(node.id)) return *value;
  if (const Value* value = variables_.find(node.id)) return *value;
  Value function = global_function(node.id, *this);
  if (!function.is_undefined()) return function;
  return Value::undefined(fmt::format("'{}' is undefined", node.id));
}

Result<Value> Interpreter::eval(const ListDisplay& node) {
  std::vector<Value> items;
  items.reserve(node.items.size());
  for (const ExpressionPtr& item : node.items) {
    ATELIER_TRY(Value value, eval(*item));
    items.push_back(std::move(value));
  }
  return make_list(std::move(items), node.tuple);
}

Result<Value> Interpreter::eval(const DictDisplay& node) {
  Dict dict;
  ATELIER_CHECK_OK(budget_.spend(kStepsPerObject * (1 + node.items.size())));
  for (const auto& [key_node, value_node] : node.items) {
    ATELIER_TRY(Value key, eval(*key_node));
    ATELIER_TRY(Value value, eval(*value_node));
    ATELIER_CHECK_OK(dict.set(std::move(key), std::move(value)));
  }
  return make_dict(std::move(dict));
}

Result<Value> Interpreter::eval(const Attribute& node) {
  ATELIER_TRY(const Value object, eval(*node.object));
  return attribute(object, node.name);
}

Result<Value> Interpreter::eval(const Item& node) {
  ATELIER_TRY(const Value object, eval(*node.object));
  ATELIER_TRY(const Value index, eval(*node.index));
  return item(object, index);
}

Result<Value> Interpreter::eval(const Slice& node) {
  ATELIER_TRY(const Value object, eval(*node.object));
  std::array<Value, 3> bounds = {None{}, None{}, None{}};
  const std::array<const ExpressionPtr*, 3> given = {&node.start, &node.stop, &node.step};
  for (size_t i = 0; i < bounds.size(); ++i)
    if (*given[i]) {
      ATELIER_TRY(bounds[i], eval(**given[i]));
    }
  return sliced(object, bounds[0], bounds[1], bounds[2], budget_);
}

Result<Arguments> Interpreter::evaluated(const CallArguments& nodes) {
  Arguments arguments;
  for (const ExpressionPtr& node : nodes.positional) {
    ATELIER_TRY(Value value, eval(*node));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, node] : nodes.named) {
    ATELIER_TRY(Value value, eval(*node));
    arguments.named.emplace_back(name, std::move(value));
  }
  if (nodes.star) {
    ATELIER_TRY(const Value list, eval(*nodes.star));
    ATELIER_TRY(const std::shared_ptr<const List> items, items_of(list));
    ATELIER_CHECK_OK(budget_.spend(items->items.size()));
    arguments.positional.insert(arguments.positional.end(), items->items.begin(), items->items.end());
  }
  if (nodes.double_star) {
    ATELIER_TRY(const Value value, eval(*nodes.double_star));
    const Dict* dict = value.dict();
    if (dict == nullptr)
      return fail(ErrorCode::kInvalidArgument, "**: expected a dict, found {}", value.type_name());
    for (const Dict::Item& item : dict->items()) {
      ATELIER_CHECK_OK(budget_.spend(1));
      if (!item.key.text())
        return fail(ErrorCode::kInvalidArgument, "**: expected keys of type str, found {}",
                    item.key.type_name());
      arguments.named.emplace_back(item.key.text()->str(), item.value);
    }
  }
  return arguments;
}

Result<Value> Interpreter::eval(const Call& node) {
  // A method is called where it is found: no value for it is made.
  if (const Attribute* member = std::get_if<Attribute>(&node.callee->is)) {
    ATELIER_TRY(const Value object, eval(*member->object));
    if (has_method(object, member->name)) {
      ATELIER_TRY(const Arguments arguments, evaluated(node.arguments));
      return call_method(*this, object, member->name, arguments);
    }
    ATELIER_TRY(const Value callee, attribute(object, member->name));
    ATELIER_TRY(const Arguments arguments, evaluated(node.arguments));
    return call(callee, arguments);
  }
  ATELIER_TRY(const Value callee, eval(*node.callee));
  ATELIER_TRY(const Arguments arguments, evaluated(node.arguments));
  return call(callee, arguments);
}

Result<Value> Interpreter::call(const Value& callee, const Arguments& arguments) {
  const Callable* callable = callee.callable();
  if (callable == nullptr) {
    if (callee.is_undefined()) return fail(ErrorCode::kInvalidArgument, "{}", callee.undefined_message());
    return fail(ErrorCode::kInvalidArgument, "expected something to call, found {}", callee.type_name());
  }
  switch (callable->kind) {
    case Callable::Kind::kMacro:
      return call_macro(*callable, arguments);
    case Callable::Kind::kMethod:
      return call_method(*this, callable->receiver, callable->name, arguments);
    case Callable::Kind::kFunction:
      break;
  }
  return call_function(*this, callable->name, arguments);
}

Result<Value> Interpreter::eval(const Filter& node) {
  Value operand;
  if (node.operand) {
    ATELIER_TRY(operand, eval(*node.operand));
  } else {
    operand = *piped_;
  }
  ATELIER_TRY(const Arguments arguments, evaluated(node.arguments));
  return filtered(node.name, operand, arguments);
}

Result<Value> Interpreter::eval(const Test& node) {
  ATELIER_TRY(const Value operand, eval(*node.operand));
  ATELIER_TRY(const Arguments arguments, evaluated(node.arguments));
  ATELIER_TRY(const bool result, tested(node.name, operand, arguments));
  return Value(result);
}

Result<Value> Interpreter::eval(const Not& node) {
  ATELIER_TRY(const Value operand, eval(*node.operand));
  return Value(!operand.truthy());
}

Result<Value> Interpreter::eval(const Sign& node) {
  ATELIER_TRY(const Value operand, eval(*node.operand));
  if (const double* real = operand.get<double>()) return Value(node.negative ? -*real : *real);
  return node.negative ? subtract(Value(int64_t{0}), operand) : subtract(operand, Value(int64_t{0}));
}

Result<Value> Interpreter::eval(const Binary& node) {
  ATELIER_TRY(const Value left, eval(*node.left));
  ATELIER_TRY(const Value right, eval(*node.right));
  return binary(node.op, left, right, budget_);
}

Result<Value> Interpreter::eval(const Concatenation& node) {
  TextBuilder text;
  for (const ExpressionPtr& part : node.parts) {
    ATELIER_TRY(const Value value, eval(*part));
    ATELIER_CHECK_OK(append_str(value, text, budget_));
  }
  return Value(text.take());
}

Result<bool> Interpreter::compared(Comparison op, const Value& left, const Value& right) {
  if (op == Comparison::kEqual || op == Comparison::kNotEqual) {
    ATELIER_TRY(const bool same, equal(left, right, budget_));
    return same == (op == Comparison::kEqual);
  }
  if (op == Comparison::kIn || op == Comparison::kNotIn) {
    ATELIER_TRY(const bool inside, contains(right, left));
    return inside == (op == Comparison::kIn);
  }
  ATELIER_TRY(const int order, compare(left, right, budget_));
  switch (op) {
    case Comparison::kLess:
      return order < 0;
    case Comparison::kLessOrEqual:
      return order <= 0;
    case Comparison::kGreater:
      return order > 0;
    default:
      return order >= 0;
  }
}

Result<Value> Interpreter::eval(const Comparisons& node) {
  ATELIER_TRY(Value left, eval(*node.first));
  for (const auto& [op, operand] : node.rest) {
    ATELIER_TRY(Value right, eval(*operand));
    ATELIER_TRY(const bool holds, compared(op, left, right));
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Interpreter::eval(const Logical& node) {
  ATELIER_TRY(Value left, eval(*node.left));
  if (left.truthy() != node.is_and) return left;
  return eval(*node.right);
}

Result<Value> Interpreter::eval(const Conditional& node) {
  ATELIER_TRY(const Value condition, eval(*node.condition));
  if (condition.truthy()) return eval(*node.then);
  if (node.otherwise) return eval(*node.otherwise);
  return Value::undefined("the condition is false and there is no 'else'");
}

Result<bool> Interpreter::contains(const Value& container, const Value& value) {
  if (const Text* text = container.text()) {
    if (value.is_undefined()) return fail(ErrorCode::kInvalidArgument, "in: {}", value.undefined_message());
    if (!value.text())
      return fail(ErrorCode::kInvalidArgument, "in: expected a str on the left of a str, found {}",
                  value.type_name());
    ATELIER_CHECK_OK(budget_.spend_bytes(text->size()));
    return text->bytes().find(value.text()->bytes()) != std::string_view::npos;
  }
  if (const Dict* dict = container.dict()) return dict->find(value) != nullptr;
  ATELIER_TRY(const std::shared_ptr<const List> items, items_of(container));
  for (const Value& item : items->items) {
    ATELIER_TRY(const bool same, equal(item, value, budget_));
    if (same) return true;
  }
  return false;
}

Result<std::shared_ptr<const List>> Interpreter::items_of(const Value& value) {
  if (const auto* list = value.get<std::shared_ptr<const List>>()) return *list;
  auto items = std::make_shared<List>();
  if (const Dict* dict = value.dict()) {
    ATELIER_CHECK_OK(budget_.spend(dict->items().size()));
    for (const Dict::Item& item : dict->items()) items->items.push_back(item.key);
  } else if (const Text* text = value.text()) {
    ATELIER_CHECK_OK(budget_.spend(kStepsPerObject * text->size()));
    for (size_t at = 0; at < text->size();) {
      const size_t end = at + char_at(text->bytes(), at).length;
      items->items.push_back(text->slice(at, end));
      at = end;
    }
  } else if (!value.is_undefined()) {
    return fail(ErrorCode::kInvalidArgument, "expected something to go through, found {}", value.type_name());
  }
  return items;
}

}  // namespace atelier::chat::jinja
