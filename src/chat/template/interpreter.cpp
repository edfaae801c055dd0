// Scopes, and what statements do.
#include "chat/template/interpreter.h"

#include <algorithm>

#include "chat/template/value_text.h"

namespace atelier::chat::jinja {

const Value* Scope::find_here(std::string_view name) const {
  for (const auto& [known, value] : names_)
    if (known == name) return &value;
  return nullptr;
}

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent_)
    if (const Value* value = scope->find_here(name)) return value;
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  for (auto& [known, old] : names_)
    if (known == name) {
      old = std::move(value);
      return;
    }
  names_.emplace_back(name, std::move(value));
}

void Scope::capture() {
  for (Scope* scope = this; scope != nullptr; scope = scope->parent_) scope->captured_ = true;
}

void Scope::reset(Scope* parent) {
  parent_ = parent;
  names_.clear();
}

Interpreter::Interpreter(const Dict& variables, const RenderLimits& limits, std::string date)
    : variables_(variables), limits_(limits), budget_(limits.steps), date_(std::move(date)) {}

Scope* Interpreter::push_scope(Scope* parent) {
  if (free_scopes_.empty()) return &scopes_.emplace_back(parent);
  Scope* scope = free_scopes_.back();
  free_scopes_.pop_back();
  scope->reset(parent);
  return scope;
}

void Interpreter::pop_scope(Scope* scope) {
  if (scope->captured()) return;
  scope->reset(nullptr);
  free_scopes_.push_back(scope);
}

Namespace* Interpreter::new_namespace() { return &namespaces_.emplace_back(); }

Result<Text> Interpreter::render(const Block& block) {
  TextBuilder out;
  out_ = &out;
  scope_ = push_scope(nullptr);
  ATELIER_TRY([[maybe_unused]] const Flow flow, run(block));
  return out.take();
}

// The error of the innermost statement or expression says where it stands; those around it add nothing.
template <class T>
Result<T> Interpreter::placed(Result<T> result, Position at) {
  if (result || error_placed_) return result;
  error_placed_ = true;
  return tl::unexpected<Error>(error_at(at, std::move(result).error()));
}

Result<Interpreter::Flow> Interpreter::run(const Block& block) {
  for (const auto& statement : block) {
    ATELIER_TRY(const Flow flow, run(*statement));
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::run(const Statement& statement) {
  if (const Status spent = budget_.spend(1); !spent)
    return placed(Result<Flow>(tl::unexpected<Error>(spent.error())), statement.at);
  if (++depth_ > limits_.depth)
    return placed(Result<Flow>(fail(ErrorCode::kLimit, "expected calls nested at most {} deep, found more",
                                    limits_.depth)),
                  statement.at);
  Result<Flow> flow = std::visit([this](const auto& node) { return exec(node); }, statement.is);
  --depth_;
  return placed(std::move(flow), statement.at);
}

Status Interpreter::emit(const Text& text) {
  ATELIER_CHECK_OK(budget_.spend_bytes(text.size()));
  if (out_->size() + text.size() > limits_.output_bytes)
    return fail(ErrorCode::kLimit, "expected a prompt of at most {} bytes, found more", limits_.output_bytes);
  out_->append(text);
  return {};
}

Result<Interpreter::Flow> Interpreter::exec(const Output& node) {
  ATELIER_CHECK_OK(emit(node.text));
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::exec(const Print& node) {
  ATELIER_TRY(const Value value, eval(*node.value));
  ATELIER_TRY(const Text text, to_str(value, budget_));
  ATELIER_CHECK_OK(emit(text));
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::exec(const If& node) {
  for (const auto& [condition, block] : node.branches) {
    ATELIER_TRY(const Value value, eval(*condition));
    if (value.truthy()) return run(block);
  }
  return run(node.otherwise);
}

Result<std::shared_ptr<LoopState>> Interpreter::begin_loop(const For& node) {
  ATELIER_TRY(const Value iterable, eval(*node.iterable));
  ATELIER_TRY(std::shared_ptr<const List> items, items_of(iterable));
  auto loop = std::make_shared<LoopState>();
  if (node.condition) {
    loop->passed = std::make_shared<List>();
    loop->items = loop->passed;
    loop->source = std::move(items);
    loop->node = &node;
    loop->scope = scope_;
  } else {
    loop->items = std::move(items);
  }
  return loop;
}

Status Interpreter::look_ahead(LoopState& loop, size_t index) {
  Scope* const current = scope_;
  while (loop.node != nullptr && loop.items->items.size() <= index) {
    if (loop.next == loop.source->items.size()) {
      loop.node = nullptr;
      break;
    }
    const Value& item = loop.source->items[loop.next++];
    scope_ = push_scope(loop.scope);
    ATELIER_CHECK_OK(assign(loop.node->target, item));
    ATELIER_TRY(const Value wanted, eval(*loop.node->condition));
    pop_scope(scope_);
    scope_ = current;
    if (wanted.truthy()) loop.passed->items.push_back(item);
  }
  return {};
}

Result<Interpreter::Flow> Interpreter::exec(const For& node) {
  ATELIER_TRY(const std::shared_ptr<LoopState> loop, begin_loop(node));
  Scope* const outer = scope_;
  bool any_to_the_end = false;  // as Jinja has it, a turn that breaks or continues does not count
  for (Flow flow = Flow::kNext; flow != Flow::kBreak; ++loop->index) {
    ATELIER_CHECK_OK(look_ahead(*loop, loop->index));
    if (loop->index >= loop->items->items.size()) break;
    ATELIER_CHECK_OK(budget_.spend(1));
    scope_ = push_scope(outer);
    scope_->set("loop", loop);
    ATELIER_CHECK_OK(assign(node.target, loop->items->items[loop->index]));
    ATELIER_TRY(flow, run(node.body));
    pop_scope(scope_);
    scope_ = outer;
    any_to_the_end = any_to_the_end || flow == Flow::kNext;
  }
  loop->node = nullptr;  // whoever kept `loop` asks for nothing more
  if (any_to_the_end || node.otherwise.empty()) return Flow::kNext;
  scope_ = push_scope(outer);
  ATELIER_TRY(const Flow flow, run(node.otherwise));
  pop_scope(scope_);
  scope_ = outer;
  return flow;
}

Status Interpreter::assign(const Target& target, const Value& value) {
  if (!target.parts.empty()) {
    ATELIER_TRY(const std::shared_ptr<const List> items, items_of(value));
    if (items->items.size() != target.parts.size())
      return fail(ErrorCode::kInvalidArgument, "expected {} values to assign, found {}", target.parts.size(),
                  items->items.size());
    for (size_t i = 0; i < target.parts.size(); ++i)
      ATELIER_CHECK_OK(assign(target.parts[i], items->items[i]));
    return {};
  }
  if (target.member.empty()) {
    scope_->set(target.name, value);
    return {};
  }
  const Value* object = scope_->find(target.name);
  if (object == nullptr) object = variables_.find(target.name);
  Namespace* space = object ? object->space() : nullptr;
  if (space == nullptr)
    return fail(ErrorCode::kInvalidArgument, "{}.{} =: expected a namespace, found {}", target.name,
                target.member, object ? object->type_name() : "undefined");
  if (target.member.starts_with('_'))
    return fail(ErrorCode::kInvalidArgument, "{}.{} =: expected a name without '_' in front", target.name,
                target.member);
  space->members.set(target.member, value);
  return {};
}

Result<Interpreter::Flow> Interpreter::exec(const Set& node) {
  ATELIER_TRY(const Value value, eval(*node.value));
  ATELIER_CHECK_OK(assign(node.target, value));
  return Flow::kNext;
}

Result<Text> Interpreter::captured(const Block& block) {
  TextBuilder text;
  TextBuilder* const outer_out = std::exchange(out_, &text);
  Scope* const outer = scope_;
  scope_ = push_scope(outer);
  const auto flow = run(block);
  out_ = outer_out;
  if (!flow) return tl::unexpected<Error>(flow.error());
  pop_scope(scope_);
  scope_ = outer;
  return text.take();
}

Result<Value> Interpreter::apply_filters(const Expression& filters, Text text) {
  const Text* const outer = std::exchange(piped_, &text);
  auto value = eval(filters);
  piped_ = outer;
  return value;
}

Result<Interpreter::Flow> Interpreter::exec(const SetBlock& node) {
  ATELIER_TRY(Text text, captured(node.body));
  Value value = text;
  if (node.filters) {
    ATELIER_TRY(value, apply_filters(*node.filters, std::move(text)));
  }
  ATELIER_CHECK_OK(assign(node.target, value));
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::exec(const FilterBlock& node) {
  ATELIER_TRY(Text text, captured(node.body));
  ATELIER_TRY(const Value value, apply_filters(*node.filters, std::move(text)));
  ATELIER_TRY(const Text shown, to_str(value, budget_));
  ATELIER_CHECK_OK(emit(shown));
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::exec(const Macro& node) {
  ATELIER_CHECK_OK(budget_.spend(4 * kStepsPerObject));
  auto macro = std::make_shared<Callable>();
  macro->kind = Callable::Kind::kMacro;
  macro->name = node.definition->name;
  macro->macro = node.definition.get();
  macro->scope = scope_;
  scope_->capture();
  scope_->set(node.definition->name, std::shared_ptr<const Callable>(std::move(macro)));
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::exec(const CallBlock& node) {
  const Call& call_node = std::get<Call>(node.call->is);
  ATELIER_TRY(const Value callee, eval(*call_node.callee));
  ATELIER_TRY(Arguments arguments, evaluated(call_node.arguments));
  ATELIER_CHECK_OK(budget_.spend(4 * kStepsPerObject));
  auto caller = std::make_shared<Callable>();
  caller->kind = Callable::Kind::kMacro;
  caller->name = "caller";
  caller->macro = node.caller.get();
  caller->scope = scope_;
  scope_->capture();
  arguments.named.emplace_back("caller", std::shared_ptr<const Callable>(std::move(caller)));
  ATELIER_TRY(const Value value, call(callee, arguments));
  ATELIER_TRY(const Text text, to_str(value, budget_));
  ATELIER_CHECK_OK(emit(text));
  return Flow::kNext;
}

Result<Interpreter::Flow> Interpreter::exec(const With& node) {
  Scope* const outer = scope_;
  Scope* const inner = push_scope(outer);
  for (const auto& [target, expression] : node.assignments) {
    ATELIER_TRY(const Value value, eval(*expression));
    scope_ = inner;
    ATELIER_CHECK_OK(assign(target, value));
    scope_ = outer;
  }
  scope_ = inner;
  ATELIER_TRY(const Flow flow, run(node.body));
  pop_scope(inner);
  scope_ = outer;
  return flow;
}

Result<Interpreter::Flow> Interpreter::exec(const Generation& node) {
  Scope* const outer = scope_;
  scope_ = push_scope(outer);
  ATELIER_TRY(const Flow flow, run(node.body));
  pop_scope(scope_);
  scope_ = outer;
  return flow;
}

Result<Value> Interpreter::call_macro(const Callable& callable, const Arguments& arguments) {
  const MacroDefinition& macro = *callable.macro;
  const auto refuse = [&macro](std::string what) {
    return fail(ErrorCode::kInvalidArgument, "macro {}: {}", macro.name, what);
  };
  if (++depth_ > limits_.depth)
    return fail(ErrorCode::kLimit, "expected calls nested at most {} deep, found more", limits_.depth);
  const size_t n_parameters = macro.parameters.size();
  if (arguments.positional.size() > n_parameters && !macro.uses_varargs)
    return refuse(
        fmt::format("expected at most {} arguments, found {}", n_parameters, arguments.positional.size()));
  Scope* const outer = scope_;
  Scope* const inner = push_scope(callable.scope);
  for (size_t i = 0; i < std::min(n_parameters, arguments.positional.size()); ++i)
    inner->set(macro.parameters[i].name, arguments.positional[i]);
  Dict rest;
  std::optional<Value> caller;
  for (const auto& [name, value] : arguments.named) {
    const auto parameter = std::find_if(macro.parameters.begin(), macro.parameters.end(),
                                        [&name = name](const Parameter& p) { return p.name == name; });
    if (parameter != macro.parameters.end()) {
      if (inner->find_here(parameter->name)) return refuse("argument \"" + name + "\" is given twice");
      inner->set(parameter->name, value);
    } else if (name == "caller" && macro.uses_caller) {
      caller = value;
    } else if (macro.uses_kwargs) {
      rest.set(name, value);
    } else {
      return refuse("found an argument \"" + name + "\", which it does not take");
    }
  }
  scope_ = inner;
  for (const Parameter& parameter : macro.parameters) {
    if (inner->find_here(parameter.name)) continue;
    Value value = Value::undefined(fmt::format("parameter '{}' was not provided", parameter.name));
    if (parameter.fallback) {
      ATELIER_TRY(value, eval(*parameter.fallback));
    }
    inner->set(parameter.name, std::move(value));
  }
  if (macro.uses_varargs) {
    std::vector<Value> more;
    for (size_t i = n_parameters; i < arguments.positional.size(); ++i)
      more.push_back(arguments.positional[i]);
    ATELIER_TRY(Value list, make_list(std::move(more), /*tuple=*/true));
    inner->set("varargs", std::move(list));
  }
  if (macro.uses_kwargs) {
    ATELIER_TRY(Value dict, make_dict(std::move(rest)));
    inner->set("kwargs", std::move(dict));
  }
  if (macro.uses_caller && !inner->find_here("caller"))
    inner->set("caller", caller ? *caller : Value::undefined("no caller defined"));

  ATELIER_TRY(Text text, captured(macro.body));
  pop_scope(inner);
  scope_ = outer;
  --depth_;
  return Value(std::move(text));
}

}  // namespace atelier::chat::jinja
