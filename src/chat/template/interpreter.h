// Runs a parsed template. One object renders once.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/template/ast.h"
#include "chat/template/budget.h"
#include "chat/template/callable.h"
#include "chat/template/value.h"

namespace atelier::chat::jinja {

// The names of a template, a loop's turn, a macro's call.
class Scope {
 public:
  Scope() = default;
  explicit Scope(Scope* parent) : parent_(parent) {}

  const Value* find_here(std::string_view name) const;
  const Value* find(std::string_view name) const;  // here or further out
  void set(std::string_view name, Value value);    // `name` must live as long as the template
  // A macro was defined here: it may look names up after the scope has ended.
  void capture();
  bool captured() const { return captured_; }
  Scope* parent() const { return parent_; }
  void reset(Scope* parent);

 private:
  Scope* parent_ = nullptr;
  std::vector<std::pair<std::string_view, Value>> names_;
  bool captured_ = false;
};

struct LoopState {
  std::shared_ptr<const List> items;
  size_t index = 0;
  std::shared_ptr<const List> last_changed;  // once loop.changed() was asked

  // A loop with a condition looks no further ahead than it is asked to: what its turns do may change what the
  // condition says of later items.
  std::shared_ptr<List> passed;        // = items; grows
  std::shared_ptr<const List> source;  // what is left to ask begins at `next`
  size_t next = 0;
  const For* node = nullptr;  // null once there is nothing left to ask
  Scope* scope = nullptr;     // around the loop
};

class Interpreter {
 public:
  // `variables` must outlive it. `date`: what strftime_now tells, "2025-06-28"; empty: the template has no
  // strftime_now.
  Interpreter(const Dict& variables, const RenderLimits& limits, std::string date);

  Result<Text> render(const Block& block);

  // For filters, tests and functions.
  Budget& budget() { return budget_; }
  const RenderLimits& limits() const { return limits_; }
  const std::string& date() const { return date_; }
  Result<Value> call(const Value& callee, const Arguments& arguments);
  Result<Value> filtered(std::string_view name, const Value& value, const Arguments& arguments);
  Result<bool> tested(std::string_view name, const Value& value, const Arguments& arguments);
  Result<Value> attribute(const Value& object, std::string_view name);  // object.name
  Result<Value> item(const Value& object, const Value& index);          // object[index]
  // The values a loop goes through. kInvalidArgument for what has none.
  Result<std::shared_ptr<const List>> items_of(const Value& value);
  Namespace* new_namespace();
  Result<bool> contains(const Value& container, const Value& value);

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };

  // Statements.
  Result<Flow> run(const Block& block);
  Result<Flow> run(const Statement& statement);
  Result<Flow> exec(const Output& node);
  Result<Flow> exec(const Print& node);
  Result<Flow> exec(const If& node);
  Result<Flow> exec(const For& node);
  Result<Flow> exec(const Set& node);
  Result<Flow> exec(const SetBlock& node);
  Result<Flow> exec(const Macro& node);
  Result<Flow> exec(const CallBlock& node);
  Result<Flow> exec(const FilterBlock& node);
  Result<Flow> exec(const With& node);
  Result<Flow> exec(const Generation& node);
  Result<Flow> exec(const Break&) { return Flow::kBreak; }
  Result<Flow> exec(const Continue&) { return Flow::kContinue; }
  Status emit(const Text& text);
  Status assign(const Target& target, const Value& value);
  Result<std::shared_ptr<LoopState>> begin_loop(const For& node);
  // Makes loop.items hold more than `index` items if there are as many.
  Status look_ahead(LoopState& loop, size_t index);
  Result<Value> loop_attribute(LoopState& loop, std::string_view name);
  template <class T>
  Result<T> placed(Result<T> result, Position at);
  // What a block writes, as text of its own, in a scope of its own.
  Result<Text> captured(const Block& block);

  // Expressions.
  Result<Value> eval(const Expression& expression);
  Result<Value> eval(const Constant& node);
  Result<Value> eval(const Name& node);
  Result<Value> eval(const ListDisplay& node);
  Result<Value> eval(const DictDisplay& node);
  Result<Value> eval(const Attribute& node);
  Result<Value> eval(const Item& node);
  Result<Value> eval(const Slice& node);
  Result<Value> eval(const Call& node);
  Result<Value> eval(const Filter& node);
  Result<Value> eval(const Test& node);
  Result<Value> eval(const Not& node);
  Result<Value> eval(const Sign& node);
  Result<Value> eval(const Binary& node);
  Result<Value> eval(const Concatenation& node);
  Result<Value> eval(const Comparisons& node);
  Result<Value> eval(const Logical& node);
  Result<Value> eval(const Conditional& node);
  Result<Arguments> evaluated(const CallArguments& arguments);
  Result<Value> apply_filters(const Expression& filters, Text text);
  Result<bool> compared(Comparison op, const Value& left, const Value& right);
  Result<Value> call_macro(const Callable& macro, const Arguments& arguments);

  Scope* push_scope(Scope* parent);
  void pop_scope(Scope* scope);

  const Dict& variables_;
  RenderLimits limits_;
  Budget budget_;
  std::string date_;
  int depth_ = 0;
  bool error_placed_ = false;  // the error on its way up says where it happened

  std::deque<Scope> scopes_;
  std::vector<Scope*> free_scopes_;
  std::deque<Namespace> namespaces_;
  Scope* scope_ = nullptr;
  TextBuilder* out_ = nullptr;
  const Text* piped_ = nullptr;  // what the innermost filter of a filter block works on
};

// Functions every template has: range, dict, namespace, raise_exception, strftime_now. Undefined for others.
Value global_function(std::string_view name, const Interpreter& interpreter);
Result<Value> call_function(Interpreter& interpreter, std::string_view name, const Arguments& arguments);

// Methods of texts, dicts and lists. nullopt where the type has none of this name.
bool has_method(const Value& object, std::string_view name);
Result<Value> call_method(Interpreter& interpreter, const Value& object, std::string_view name,
                          const Arguments& arguments);

}  // namespace atelier::chat::jinja
