// Expressions of the template language, by Jinja's rules of precedence.
#pragma once

#include <vector>

#include "chat/template/ast.h"
#include "chat/template/token_stream.h"

namespace atelier::chat::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  // `conditional`: whether "a if b else c" may follow; in the head of a loop, "if" means something else.
  Result<ExpressionPtr> expression(bool conditional = true);
  // One expression, or several with commas between them as a tuple.
  Result<ExpressionPtr> tuple(bool conditional = true);
  // "| filter | filter" behind `operand`, or "filter | filter" without one.
  Result<ExpressionPtr> filters(ExpressionPtr operand);
  Result<ExpressionPtr> postfix(ExpressionPtr operand);
  Result<ExpressionPtr> primary();

  // Macros want to know whether their bodies mention varargs, kwargs or caller.
  struct Mentions {
    bool varargs = false;
    bool kwargs = false;
    bool caller = false;
  };
  std::vector<Mentions>& mentions() { return mentions_; }

 private:
  Result<ExpressionPtr> either();
  Result<ExpressionPtr> both();
  Result<ExpressionPtr> negation();
  Result<ExpressionPtr> comparison();
  Result<ExpressionPtr> sum();
  Result<ExpressionPtr> concatenation();
  Result<ExpressionPtr> product();
  Result<ExpressionPtr> power();
  Result<ExpressionPtr> unary(bool with_filters);
  Result<ExpressionPtr> parenthesis();
  Result<ExpressionPtr> list();
  Result<ExpressionPtr> dict();
  Result<ExpressionPtr> number();
  Result<ExpressionPtr> test(ExpressionPtr operand);
  Result<ExpressionPtr> subscript(ExpressionPtr object);
  Result<CallArguments> arguments();
  Status argument(CallArguments& arguments);
  Result<std::string> dotted_name();

  template <class Node>
  Result<ExpressionPtr> make(Position at, Node node, int children_height);

  TokenStream& tokens_;
  std::vector<Mentions> mentions_;
  int depth_ = 0;
};

// Of an expression that may be missing.
inline int height_of(const ExpressionPtr& expression) { return expression ? expression->height : 0; }

}  // namespace atelier::chat::jinja
