#include "chat/template/parser.h"

#include <algorithm>
#include <array>
#include <initializer_list>

#include "chat/template/expression_parser.h"

namespace atelier::chat::jinja {
namespace {

using Kind = Token::Kind;

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)), expressions_(tokens_) {}

  Result<Block> run() { return body({}); }

 private:
  // Statements up to a tag that is one of `ends` (whose name is then next), or to the end of the template
  // where there are none.
  Result<Block> body(std::initializer_list<std::string_view> ends) {
    if (++depth_ > kMaxBlockDepth)
      return tl::unexpected<Error>(error_at(
          tokens_.at(), {ErrorCode::kLimit,
                         fmt::format("expected blocks nested at most {} deep, found more", kMaxBlockDepth)}));
    Block block;
    while (!tokens_.is(Kind::kEnd)) {
      const Position at = tokens_.at();
      if (tokens_.is(Kind::kText)) {
        block.push_back(make(at, Output{Text::trusted(tokens_.next().text)}));
      } else if (tokens_.is(Kind::kPrintBegin)) {
        tokens_.next();
        ATELIER_TRY(ExpressionPtr value, expressions_.tuple());
        if (!tokens_.is(Kind::kPrintEnd)) return tokens_.expected("the end of the expression (}})");
        tokens_.next();
        block.push_back(make(at, Print{std::move(value)}));
      } else {
        tokens_.next();  // {%
        for (const std::string_view end : ends)
          if (tokens_.is_name(end)) {
            --depth_;
            return block;
          }
        ATELIER_TRY(auto statement, this->statement(at));
        block.push_back(std::move(statement));
      }
    }
    --depth_;
    if (ends.size() > 0) return tokens_.expected("{% " + std::string(*ends.begin()) + " %}");
    return block;
  }

  // The same, and past "%}" behind the one name that ends it.
  Result<Block> body_until(std::string_view end) {
    ATELIER_CHECK_OK(tokens_.expect_block_end());
    ATELIER_TRY(Block block, body({end}));
    tokens_.next();
    if (end == "endmacro" && tokens_.is(Kind::kName)) tokens_.next();
    ATELIER_CHECK_OK(tokens_.expect_block_end());
    return block;
  }

  template <class Node>
  static std::unique_ptr<const Statement> make(Position at, Node node) {
    return std::make_unique<const Statement>(Statement{at, std::move(node)});
  }

  using StatementResult = Result<std::unique_ptr<const Statement>>;

  StatementResult statement(Position at) {
    ATELIER_TRY(const std::string tag, tokens_.expect_name("a tag"));
    if (tag == "if") return if_statement(at);
    if (tag == "for") return for_statement(at);
    if (tag == "set") return set_statement(at);
    if (tag == "macro") return macro_statement(at);
    if (tag == "call") return call_statement(at);
    if (tag == "filter") return filter_statement(at);
    if (tag == "with") return with_statement(at);
    if (tag == "generation") {
      ATELIER_TRY(Block block, body_until("endgeneration"));
      return make(at, Generation{std::move(block)});
    }
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0)
        return tl::unexpected<Error>(error_at(
            at, {ErrorCode::kInvalidArgument, "expected a loop around {% " + tag + " %}, found none"}));
      ATELIER_CHECK_OK(tokens_.expect_block_end());
      return tag == "break" ? make(at, Break{}) : make(at, Continue{});
    }
    for (const std::string_view reading : {"include", "import", "from", "extends", "block"})
      if (tag == reading)
        return tl::unexpected<Error>(error_at(
            at, {ErrorCode::kUnsupported, "{% " + tag + " %}: a chat template cannot read other templates"}));
    return tl::unexpected<Error>(
        error_at(at, {ErrorCode::kInvalidArgument, "expected a tag, found '" + tag + "'"}));
  }

  StatementResult if_statement(Position at) {
    If node;
    while (true) {
      ATELIER_TRY(ExpressionPtr condition, expressions_.tuple(false));
      ATELIER_CHECK_OK(tokens_.expect_block_end());
      ATELIER_TRY(Block block, body({"endif", "else", "elif"}));
      node.branches.emplace_back(std::move(condition), std::move(block));
      if (!tokens_.skip_name("elif")) break;
    }
    if (tokens_.skip_name("else")) {
      ATELIER_TRY(node.otherwise, body_until("endif"));
    } else {
      tokens_.next();
      ATELIER_CHECK_OK(tokens_.expect_block_end());
    }
    return make(at, std::move(node));
  }

  StatementResult for_statement(Position at) {
    For node;
    ATELIER_TRY(node.target, targets());
    if (!tokens_.skip_name("in")) return tokens_.expected("'in'");
    ATELIER_TRY(node.iterable, expressions_.tuple(false));
    if (tokens_.skip_name("if")) {
      ATELIER_TRY(node.condition, expressions_.expression());
    }
    if (tokens_.is_name("recursive"))
      return tl::unexpected<Error>(
          error_at(tokens_.at(), {ErrorCode::kUnsupported, "recursive loops are not supported"}));
    ATELIER_CHECK_OK(tokens_.expect_block_end());
    ++loops_;
    ATELIER_TRY(node.body, body({"endfor", "else"}));
    --loops_;
    if (tokens_.skip_name("else")) {
      ATELIER_TRY(node.otherwise, body_until("endfor"));
    } else {
      tokens_.next();
      ATELIER_CHECK_OK(tokens_.expect_block_end());
    }
    return make(at, std::move(node));
  }

  // "a", "a, b", "(a, b), c"
  Result<Target> targets() {
    ATELIER_TRY(Target first, target());
    if (!tokens_.is_operator(",")) return first;
    Target tuple;
    tuple.parts.push_back(std::move(first));
    while (tokens_.skip_operator(",") && !tokens_.is_name("in") && !tokens_.is_operator("=") &&
           !tokens_.is_operator(")")) {
      ATELIER_TRY(Target next, target());
      tuple.parts.push_back(std::move(next));
    }
    return tuple;
  }

  Result<Target> target() {
    if (tokens_.is_operator("(")) {
      if (++depth_ > kMaxBlockDepth) return tokens_.expected("fewer parentheses");
      tokens_.next();
      ATELIER_TRY(Target inside, targets());
      ATELIER_CHECK_OK(tokens_.expect_operator(")"));
      --depth_;
      return inside;
    }
    Target target;
    const Position at = tokens_.at();
    ATELIER_TRY(target.name, tokens_.expect_name("a name"));
    constexpr std::array<std::string_view, 6> kConstants = {"true", "false", "none", "True", "False", "None"};
    if (std::find(kConstants.begin(), kConstants.end(), target.name) != kConstants.end())
      return tl::unexpected<Error>(error_at(
          at, {ErrorCode::kInvalidArgument, "expected a name to assign to, found '" + target.name + "'"}));
    if (tokens_.skip_operator(".")) {
      ATELIER_TRY(target.member, tokens_.expect_name("the name of a member"));
    }
    return target;
  }

  StatementResult set_statement(Position at) {
    ATELIER_TRY(Target target, targets());
    if (tokens_.skip_operator("=")) {
      ATELIER_TRY(ExpressionPtr value, expressions_.tuple());
      ATELIER_CHECK_OK(tokens_.expect_block_end());
      return make(at, Set{std::move(target), std::move(value)});
    }
    ExpressionPtr filters;
    if (tokens_.skip_operator("|")) {
      ATELIER_TRY(filters, expressions_.filters(nullptr));
    }
    const auto outer_loops = std::exchange(loops_, 0);
    ATELIER_TRY(Block block, body_until("endset"));
    loops_ = outer_loops;
    return make(at, SetBlock{std::move(target), std::move(filters), std::move(block)});
  }

  Result<std::vector<Parameter>> parameters() {
    std::vector<Parameter> list;
    ATELIER_CHECK_OK(tokens_.expect_operator("("));
    while (!tokens_.is_operator(")")) {
      if (!list.empty()) ATELIER_CHECK_OK(tokens_.expect_operator(","));
      if (tokens_.is_operator(")")) break;
      Parameter parameter;
      ATELIER_TRY(parameter.name, tokens_.expect_name("the name of a parameter"));
      if (tokens_.skip_operator("=")) {
        ATELIER_TRY(parameter.fallback, expressions_.expression());
      } else if (!list.empty() && list.back().fallback) {
        return tokens_.expected("a default, as the parameter before has one");
      }
      list.push_back(std::move(parameter));
    }
    tokens_.next();
    return list;
  }

  // The body of a macro or of {% call %}, up to `end`.
  Status macro_body(MacroDefinition& macro, std::string_view end) {
    const auto outer_loops = std::exchange(loops_, 0);
    expressions_.mentions().push_back({});
    ATELIER_TRY(macro.body, body_until(end));
    const ExpressionParser::Mentions mentions = expressions_.mentions().back();
    expressions_.mentions().pop_back();
    loops_ = outer_loops;
    macro.uses_varargs = mentions.varargs;
    macro.uses_kwargs = mentions.kwargs;
    macro.uses_caller = mentions.caller;
    return {};
  }

  StatementResult macro_statement(Position at) {
    auto macro = std::make_unique<MacroDefinition>();
    macro->at = at;
    ATELIER_TRY(macro->name, tokens_.expect_name("the name of the macro"));
    ATELIER_TRY(macro->parameters, parameters());
    ATELIER_CHECK_OK(macro_body(*macro, "endmacro"));
    return make(at, Macro{std::move(macro)});
  }

  StatementResult call_statement(Position at) {
    auto caller = std::make_unique<MacroDefinition>();
    caller->at = at;
    caller->name = "caller";
    if (tokens_.is_operator("(")) {
      ATELIER_TRY(caller->parameters, parameters());
    }
    ATELIER_TRY(ExpressionPtr call, expressions_.expression());
    if (!std::holds_alternative<Call>(call->is))
      return tl::unexpected<Error>(error_at(
          call->at, {ErrorCode::kInvalidArgument, "{% call %}: expected a call, found something else"}));
    ATELIER_CHECK_OK(macro_body(*caller, "endcall"));
    return make(at, CallBlock{std::move(call), std::move(caller)});
  }

  StatementResult filter_statement(Position at) {
    ATELIER_TRY(ExpressionPtr filters, expressions_.filters(nullptr));
    const auto outer_loops = std::exchange(loops_, 0);
    ATELIER_TRY(Block block, body_until("endfilter"));
    loops_ = outer_loops;
    return make(at, FilterBlock{std::move(filters), std::move(block)});
  }

  StatementResult with_statement(Position at) {
    With node;
    while (!tokens_.is(Kind::kBlockEnd)) {
      if (!node.assignments.empty()) ATELIER_CHECK_OK(tokens_.expect_operator(","));
      ATELIER_TRY(Target to, target());
      ATELIER_CHECK_OK(tokens_.expect_operator("="));
      ATELIER_TRY(ExpressionPtr value, expressions_.expression());
      node.assignments.emplace_back(std::move(to), std::move(value));
    }
    ATELIER_TRY(node.body, body_until("endwith"));
    return make(at, std::move(node));
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int depth_ = 0;
  int loops_ = 0;  // around what is being parsed, within the macro
};

}  // namespace

Result<Block> parse(std::string_view source) {
  ATELIER_TRY(std::vector<Token> tokens, tokenize(source));
  return Parser(std::move(tokens)).run();
}

}  // namespace atelier::chat::jinja
