// A parsed template: statements and expressions, each with the place it stands at.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "chat/template/lexer.h"
#include "chat/template/value.h"

namespace atelier::chat::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

struct Constant {
  Value value;
};
struct Name {
  std::string id;
};
struct ListDisplay {
  std::vector<ExpressionPtr> items;
  bool tuple = false;
};
struct DictDisplay {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> items;
};
struct Attribute {  // object.name
  ExpressionPtr object;
  std::string name;
};
struct Item {  // object[index]
  ExpressionPtr object;
  ExpressionPtr index;
};
struct Slice {  // object[start:stop:step]; each may be missing
  ExpressionPtr object;
  ExpressionPtr start;
  ExpressionPtr stop;
  ExpressionPtr step;
};
struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr star;         // *list, may be missing
  ExpressionPtr double_star;  // **dict, may be missing
};
struct Call {
  ExpressionPtr callee;
  CallArguments arguments;
};
struct Filter {
  ExpressionPtr operand;  // missing for the innermost filter of {% filter %} and {% set x | … %}
  std::string name;
  CallArguments arguments;
};
struct Test {
  ExpressionPtr operand;
  std::string name;
  CallArguments arguments;
};
struct Not {
  ExpressionPtr operand;
};
struct Sign {  // +x, -x
  ExpressionPtr operand;
  bool negative = false;
};
enum class BinaryOperator : uint8_t { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };
struct Binary {
  BinaryOperator op = BinaryOperator::kAdd;
  ExpressionPtr left;
  ExpressionPtr right;
};
struct Concatenation {  // a ~ b ~ c
  std::vector<ExpressionPtr> parts;
};
enum class Comparison : uint8_t {
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kIn,
  kNotIn,
};
struct Comparisons {  // a < b <= c
  ExpressionPtr first;
  std::vector<std::pair<Comparison, ExpressionPtr>> rest;
};
struct Logical {  // and, or
  bool is_and = false;
  ExpressionPtr left;
  ExpressionPtr right;
};
struct Conditional {  // then if condition else otherwise
  ExpressionPtr then;
  ExpressionPtr condition;
  ExpressionPtr otherwise;  // may be missing
};

struct Expression {
  Position at;
  int height = 1;  // of the tree
  std::variant<Constant, Name, ListDisplay, DictDisplay, Attribute, Item, Slice, Call, Filter, Test, Not,
               Sign, Binary, Concatenation, Comparisons, Logical, Conditional>
      is;
};

struct Statement;
using Block = std::vector<std::unique_ptr<const Statement>>;

// What an assignment or a loop assigns to: a name, a member of a namespace, or several in parentheses.
struct Target {
  std::string name;
  std::string member;         // of the namespace `name`; empty: the name itself
  std::vector<Target> parts;  // not empty: a tuple
};

struct Parameter {
  std::string name;
  ExpressionPtr fallback;  // may be missing
};
struct MacroDefinition {
  Position at;
  std::string name;
  std::vector<Parameter> parameters;
  Block body;
  bool uses_varargs = false;
  bool uses_kwargs = false;
  bool uses_caller = false;
};

struct Output {
  Text text;
};
struct Print {
  ExpressionPtr value;
};
struct If {
  std::vector<std::pair<ExpressionPtr, Block>> branches;
  Block otherwise;
};
struct For {
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr condition;  // may be missing
  Block body;
  Block otherwise;
};
struct Set {
  Target target;
  ExpressionPtr value;
};
struct SetBlock {
  Target target;
  ExpressionPtr filters;  // may be missing
  Block body;
};
struct Macro {
  std::unique_ptr<const MacroDefinition> definition;
};
struct CallBlock {
  ExpressionPtr call;
  std::unique_ptr<const MacroDefinition> caller;
};
struct FilterBlock {
  ExpressionPtr filters;
  Block body;
};
struct With {
  std::vector<std::pair<Target, ExpressionPtr>> assignments;
  Block body;
};
struct Generation {  // what transformers' {% generation %} marks; renders its body
  Block body;
};
struct Break {};
struct Continue {};

struct Statement {
  Position at;
  std::variant<Output, Print, If, For, Set, SetBlock, Macro, CallBlock, FilterBlock, With, Generation, Break,
               Continue>
      is;
};

}  // namespace atelier::chat::jinja
