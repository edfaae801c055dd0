#include "chat/template/expression_parser.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "chat/template/parser.h"

namespace atelier::chat::jinja {
namespace {

int height_of_all(const std::vector<ExpressionPtr>& expressions) {
  int height = 0;
  for (const ExpressionPtr& expression : expressions) height = std::max(height, height_of(expression));
  return height;
}

int height_of_arguments(const CallArguments& arguments) {
  int height = std::max(
      {height_of_all(arguments.positional), height_of(arguments.star), height_of(arguments.double_star)});
  for (const auto& [name, value] : arguments.named) height = std::max(height, height_of(value));
  return height;
}

Error too_deep(Position at) {
  return error_at(
      at, {ErrorCode::kLimit,
           fmt::format("expected expressions nested at most {} deep, found more", kMaxExpressionHeight)});
}

struct DepthGuard {
  int& depth;
  explicit DepthGuard(int& d) : depth(d) { ++depth; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;
  ~DepthGuard() { --depth; }
};

constexpr std::array<std::pair<std::string_view, Comparison>, 6> kComparisons = {
    {{"==", Comparison::kEqual},
     {"!=", Comparison::kNotEqual},
     {"<", Comparison::kLess},
     {"<=", Comparison::kLessOrEqual},
     {">", Comparison::kGreater},
     {">=", Comparison::kGreaterOrEqual}}};

}  // namespace

template <class Node>
Result<ExpressionPtr> ExpressionParser::make(Position at, Node node, int children_height) {
  if (children_height >= kMaxExpressionHeight) return tl::unexpected<Error>(too_deep(at));
  auto expression = std::make_unique<Expression>();
  expression->at = at;
  expression->height = children_height + 1;
  expression->is = std::move(node);
  return expression;
}

Result<ExpressionPtr> ExpressionParser::expression(bool conditional) {
  const DepthGuard guard(depth_);
  if (depth_ > kMaxExpressionHeight) return tl::unexpected<Error>(too_deep(tokens_.at()));
  ATELIER_TRY(ExpressionPtr left, either());
  while (conditional && tokens_.is_name("if")) {
    const Position at = tokens_.next().at;
    ATELIER_TRY(ExpressionPtr condition, either());
    ExpressionPtr otherwise;
    if (tokens_.skip_name("else")) {
      ATELIER_TRY(otherwise, expression());
    }
    const int height = std::max({left->height, condition->height, height_of(otherwise)});
    ATELIER_TRY(left,
                make(at, Conditional{std::move(left), std::move(condition), std::move(otherwise)}, height));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::tuple(bool conditional) {
  const Position at = tokens_.at();
  ATELIER_TRY(ExpressionPtr first, expression(conditional));
  if (!tokens_.is_operator(",")) return first;
  ListDisplay display{{}, true};
  display.items.push_back(std::move(first));
  while (tokens_.skip_operator(",")) {
    using Kind = Token::Kind;
    if (tokens_.is(Kind::kBlockEnd) || tokens_.is(Kind::kPrintEnd) || tokens_.is_operator(")") ||
        tokens_.is_operator("]") || tokens_.is_name("in"))
      break;
    ATELIER_TRY(ExpressionPtr item, expression(conditional));
    display.items.push_back(std::move(item));
  }
  const int height = height_of_all(display.items);
  return make(at, std::move(display), height);
}

Result<ExpressionPtr> ExpressionParser::either() {
  ATELIER_TRY(ExpressionPtr left, both());
  while (tokens_.is_name("or")) {
    const Position at = tokens_.next().at;
    ATELIER_TRY(ExpressionPtr right, both());
    const int height = std::max(left->height, right->height);
    ATELIER_TRY(left, make(at, Logical{false, std::move(left), std::move(right)}, height));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::both() {
  ATELIER_TRY(ExpressionPtr left, negation());
  while (tokens_.is_name("and")) {
    const Position at = tokens_.next().at;
    ATELIER_TRY(ExpressionPtr right, negation());
    const int height = std::max(left->height, right->height);
    ATELIER_TRY(left, make(at, Logical{true, std::move(left), std::move(right)}, height));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::negation() {
  if (!tokens_.is_name("not")) return comparison();
  const DepthGuard guard(depth_);
  const Position at = tokens_.next().at;
  if (depth_ > kMaxExpressionHeight) return tl::unexpected<Error>(too_deep(at));
  ATELIER_TRY(ExpressionPtr operand, negation());
  const int height = operand->height;
  return make(at, Not{std::move(operand)}, height);
}

Result<ExpressionPtr> ExpressionParser::comparison() {
  ATELIER_TRY(ExpressionPtr first, sum());
  const Position at = tokens_.at();
  Comparisons comparisons;
  int height = first->height;
  while (true) {
    std::optional<Comparison> op;
    for (const auto& [text, meaning] : kComparisons)
      if (tokens_.is_operator(text)) op = meaning;
    if (op) {
      tokens_.next();
    } else if (tokens_.skip_name("in")) {
      op = Comparison::kIn;
    } else if (tokens_.is_name("not") && tokens_.peek(1).kind == Token::Kind::kName &&
               tokens_.peek(1).text == "in") {
      tokens_.next();
      tokens_.next();
      op = Comparison::kNotIn;
    } else {
      break;
    }
    ATELIER_TRY(ExpressionPtr right, sum());
    height = std::max(height, right->height);
    comparisons.rest.emplace_back(*op, std::move(right));
  }
  if (comparisons.rest.empty()) return first;
  comparisons.first = std::move(first);
  return make(at, std::move(comparisons), height);
}

Result<ExpressionPtr> ExpressionParser::sum() {
  ATELIER_TRY(ExpressionPtr left, concatenation());
  while (tokens_.is_operator("+") || tokens_.is_operator("-")) {
    const BinaryOperator op = tokens_.is_operator("+") ? BinaryOperator::kAdd : BinaryOperator::kSubtract;
    const Position at = tokens_.next().at;
    ATELIER_TRY(ExpressionPtr right, concatenation());
    const int height = std::max(left->height, right->height);
    ATELIER_TRY(left, make(at, Binary{op, std::move(left), std::move(right)}, height));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::concatenation() {
  ATELIER_TRY(ExpressionPtr first, product());
  if (!tokens_.is_operator("~")) return first;
  const Position at = tokens_.at();
  Concatenation parts;
  parts.parts.push_back(std::move(first));
  while (tokens_.skip_operator("~")) {
    ATELIER_TRY(ExpressionPtr part, product());
    parts.parts.push_back(std::move(part));
  }
  const int height = height_of_all(parts.parts);
  return make(at, std::move(parts), height);
}

Result<ExpressionPtr> ExpressionParser::product() {
  ATELIER_TRY(ExpressionPtr left, power());
  while (true) {
    BinaryOperator op;
    if (tokens_.is_operator("*")) {
      op = BinaryOperator::kMultiply;
    } else if (tokens_.is_operator("/")) {
      op = BinaryOperator::kDivide;
    } else if (tokens_.is_operator("//")) {
      op = BinaryOperator::kFloorDivide;
    } else if (tokens_.is_operator("%")) {
      op = BinaryOperator::kModulo;
    } else {
      return left;
    }
    const Position at = tokens_.next().at;
    ATELIER_TRY(ExpressionPtr right, power());
    const int height = std::max(left->height, right->height);
    ATELIER_TRY(left, make(at, Binary{op, std::move(left), std::move(right)}, height));
  }
}

Result<ExpressionPtr> ExpressionParser::power() {
  ATELIER_TRY(ExpressionPtr left, unary(true));
  while (tokens_.is_operator("**")) {
    const Position at = tokens_.next().at;
    ATELIER_TRY(ExpressionPtr right, unary(true));
    const int height = std::max(left->height, right->height);
    ATELIER_TRY(left, make(at, Binary{BinaryOperator::kPower, std::move(left), std::move(right)}, height));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::unary(bool with_filters) {
  ExpressionPtr node;
  if (tokens_.is_operator("-") || tokens_.is_operator("+")) {
    const DepthGuard guard(depth_);
    const bool negative = tokens_.is_operator("-");
    const Position at = tokens_.next().at;
    if (depth_ > kMaxExpressionHeight) return tl::unexpected<Error>(too_deep(at));
    ATELIER_TRY(ExpressionPtr operand, unary(false));
    const int height = operand->height;
    ATELIER_TRY(node, make(at, Sign{std::move(operand), negative}, height));
  } else {
    ATELIER_TRY(node, primary());
  }
  ATELIER_TRY(node, postfix(std::move(node)));
  if (with_filters) return filters(std::move(node));
  return node;
}

Result<ExpressionPtr> ExpressionParser::primary() {
  const Token& token = tokens_.peek();
  const Position at = token.at;
  switch (token.kind) {
    case Token::Kind::kName: {
      const std::string name = tokens_.next().text;
      if (name == "true" || name == "True") return make(at, Constant{true}, 0);
      if (name == "false" || name == "False") return make(at, Constant{false}, 0);
      if (name == "none" || name == "None") return make(at, Constant{None{}}, 0);
      if (!mentions_.empty()) {
        mentions_.back().varargs |= name == "varargs";
        mentions_.back().kwargs |= name == "kwargs";
        mentions_.back().caller |= name == "caller";
      }
      return make(at, Name{name}, 0);
    }
    case Token::Kind::kString: {
      std::string text;
      while (tokens_.is(Token::Kind::kString)) text += tokens_.next().text;
      return make(at, Constant{Text::trusted(std::move(text))}, 0);
    }
    case Token::Kind::kInteger:
    case Token::Kind::kFloat:
      return number();
    case Token::Kind::kOperator:
      if (token.text == "(") return parenthesis();
      if (token.text == "[") return list();
      if (token.text == "{") return dict();
      [[fallthrough]];
    default:
      return tokens_.expected("an expression");
  }
}

Result<ExpressionPtr> ExpressionParser::number() {
  const Token token = tokens_.next();
  const char* begin = token.text.data();
  const char* end = begin + token.text.size();
  if (token.kind == Token::Kind::kFloat) {
    double value = 0;
    const auto parsed = std::from_chars(begin, end, value);
    if (parsed.ptr == end && parsed.ec != std::errc::invalid_argument)
      return make(token.at, Constant{value}, 0);
  } else {
    int base = 10;
    if (token.text.size() > 2 && token.text[0] == '0') {
      const char prefix = static_cast<char>(token.text[1] | 0x20);
      base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
      if (base != 10) begin += 2;
    }
    int64_t value = 0;
    const auto parsed = std::from_chars(begin, end, value, base);
    if (parsed.ptr == end && parsed.ec == std::errc()) return make(token.at, Constant{value}, 0);
  }
  return tl::unexpected<Error>(
      error_at(token.at, {ErrorCode::kInvalidArgument,
                          fmt::format("expected a number of at most 64 bits, found '{}'", token.text)}));
}

Result<ExpressionPtr> ExpressionParser::parenthesis() {
  const Position at = tokens_.next().at;
  if (tokens_.skip_operator(")")) return make(at, ListDisplay{{}, true}, 0);
  ATELIER_TRY(ExpressionPtr inside, tuple());
  ATELIER_CHECK_OK(tokens_.expect_operator(")"));
  return inside;
}

Result<ExpressionPtr> ExpressionParser::list() {
  const Position at = tokens_.next().at;
  ListDisplay display;
  while (!tokens_.is_operator("]")) {
    if (!display.items.empty()) ATELIER_CHECK_OK(tokens_.expect_operator(","));
    if (tokens_.is_operator("]")) break;
    ATELIER_TRY(ExpressionPtr item, expression());
    display.items.push_back(std::move(item));
  }
  tokens_.next();
  const int height = height_of_all(display.items);
  return make(at, std::move(display), height);
}

Result<ExpressionPtr> ExpressionParser::dict() {
  const Position at = tokens_.next().at;
  DictDisplay display;
  int height = 0;
  while (!tokens_.is_operator("}")) {
    if (!display.items.empty()) ATELIER_CHECK_OK(tokens_.expect_operator(","));
    if (tokens_.is_operator("}")) break;
    ATELIER_TRY(ExpressionPtr key, expression());
    ATELIER_CHECK_OK(tokens_.expect_operator(":"));
    ATELIER_TRY(ExpressionPtr value, expression());
    height = std::max({height, key->height, value->height});
    display.items.emplace_back(std::move(key), std::move(value));
  }
  tokens_.next();
  return make(at, std::move(display), height);
}

Result<ExpressionPtr> ExpressionParser::postfix(ExpressionPtr node) {
  while (true) {
    const Position at = tokens_.at();
    if (tokens_.is_operator(".") || tokens_.is_operator("[")) {
      ATELIER_TRY(node, subscript(std::move(node)));
    } else if (tokens_.is_operator("(")) {
      ATELIER_TRY(CallArguments given, arguments());
      const int height = std::max(node->height, height_of_arguments(given));
      ATELIER_TRY(node, make(at, Call{std::move(node), std::move(given)}, height));
    } else {
      return node;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::filters(ExpressionPtr node) {
  bool first = node == nullptr;  // "filter | filter": no bar in front of the first
  while (true) {
    const Position at = tokens_.at();
    if (first || tokens_.skip_operator("|")) {
      first = false;
      ATELIER_TRY(std::string name, dotted_name());
      CallArguments given;
      if (tokens_.is_operator("(")) {
        ATELIER_TRY(given, arguments());
      }
      const int height = std::max(height_of(node), height_of_arguments(given));
      ATELIER_TRY(node, make(at, Filter{std::move(node), std::move(name), std::move(given)}, height));
    } else if (tokens_.is_name("is")) {
      ATELIER_TRY(node, test(std::move(node)));
    } else if (tokens_.is_operator("(")) {
      ATELIER_TRY(CallArguments given, arguments());
      const int height = std::max(node->height, height_of_arguments(given));
      ATELIER_TRY(node, make(at, Call{std::move(node), std::move(given)}, height));
    } else {
      return node;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::test(ExpressionPtr operand) {
  const Position at = tokens_.next().at;
  const bool negated = tokens_.skip_name("not");
  ATELIER_TRY(std::string name, dotted_name());
  CallArguments given;
  using Kind = Token::Kind;
  const bool starts_operand = tokens_.is(Kind::kString) || tokens_.is(Kind::kInteger) ||
                              tokens_.is(Kind::kFloat) || tokens_.is_operator("[") ||
                              tokens_.is_operator("{") ||
                              (tokens_.is(Kind::kName) && !tokens_.is_name("else") &&
                               !tokens_.is_name("or") && !tokens_.is_name("and") && !tokens_.is_name("is"));
  if (tokens_.is_operator("(")) {
    ATELIER_TRY(given, arguments());
  } else if (starts_operand && !tokens_.is_name("if") && !tokens_.is_name("in") && !tokens_.is_name("not")) {
    ATELIER_TRY(ExpressionPtr argument, primary());
    ATELIER_TRY(argument, postfix(std::move(argument)));
    given.positional.push_back(std::move(argument));
  }
  const int height = std::max(operand->height, height_of_arguments(given));
  ATELIER_TRY(ExpressionPtr node,
              make(at, Test{std::move(operand), std::move(name), std::move(given)}, height));
  if (!negated) return node;
  return make(at, Not{std::move(node)}, height + 1);
}

Result<ExpressionPtr> ExpressionParser::subscript(ExpressionPtr object) {
  const Position at = tokens_.at();
  const int object_height = object->height;
  if (tokens_.next().text == ".") {
    if (tokens_.is(Token::Kind::kInteger)) {
      ATELIER_TRY(ExpressionPtr index, number());
      return make(at, Item{std::move(object), std::move(index)}, object_height);
    }
    ATELIER_TRY(std::string name, tokens_.expect_name("the name of a member"));
    return make(at, Attribute{std::move(object), std::move(name)}, object_height);
  }
  ExpressionPtr parts[3];
  size_t n_colons = 0;
  while (!tokens_.is_operator("]")) {
    if (n_colons < 2 && tokens_.skip_operator(":")) {
      ++n_colons;
    } else if (parts[n_colons] == nullptr) {
      ATELIER_TRY(parts[n_colons], n_colons == 0 ? tuple() : expression());
    } else {
      return tokens_.expected("']'");
    }
  }
  if (n_colons == 0 && parts[0] == nullptr) return tokens_.expected("an index");
  tokens_.next();
  const int height = std::max({object_height, height_of(parts[0]), height_of(parts[1]), height_of(parts[2])});
  if (n_colons == 0) return make(at, Item{std::move(object), std::move(parts[0])}, height);
  return make(at, Slice{std::move(object), std::move(parts[0]), std::move(parts[1]), std::move(parts[2])},
              height);
}

Result<CallArguments> ExpressionParser::arguments() {
  CallArguments given;
  ATELIER_CHECK_OK(tokens_.expect_operator("("));
  bool first = true;
  while (!tokens_.is_operator(")")) {
    if (!first) ATELIER_CHECK_OK(tokens_.expect_operator(","));
    first = false;
    if (tokens_.is_operator(")")) break;
    ATELIER_CHECK_OK(argument(given));
  }
  tokens_.next();
  return given;
}

Status ExpressionParser::argument(CallArguments& given) {
  if (tokens_.is_operator("**") || tokens_.is_operator("*")) {
    ExpressionPtr& slot = tokens_.is_operator("*") ? given.star : given.double_star;
    if (slot != nullptr) return tokens_.expected("one argument with a star at most");
    tokens_.next();
    ATELIER_TRY(slot, expression());
  } else if (tokens_.is(Token::Kind::kName) && tokens_.peek(1).kind == Token::Kind::kOperator &&
             tokens_.peek(1).text == "=") {
    std::string name = tokens_.next().text;
    tokens_.next();
    ATELIER_TRY(ExpressionPtr value, expression());
    given.named.emplace_back(std::move(name), std::move(value));
  } else {
    if (!given.named.empty() || given.double_star) return tokens_.expected("an argument with a name");
    ATELIER_TRY(ExpressionPtr value, expression());
    given.positional.push_back(std::move(value));
  }
  return {};
}

Result<std::string> ExpressionParser::dotted_name() {
  ATELIER_TRY(std::string name, tokens_.expect_name("the name of a filter or test"));
  while (tokens_.skip_operator(".")) {
    ATELIER_TRY(const std::string part, tokens_.expect_name("a name"));
    name += "." + part;
  }
  return name;
}

}  // namespace atelier::chat::jinja
