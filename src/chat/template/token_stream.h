// The tokens of a template as its parser reads them.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include "chat/template/lexer.h"

namespace atelier::chat::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
  Position at() const { return peek().at; }
  const Token& next() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }

  bool is(Token::Kind kind) const { return peek().kind == kind; }
  bool is_operator(std::string_view op) const { return is(Token::Kind::kOperator) && peek().text == op; }
  bool is_name(std::string_view name) const { return is(Token::Kind::kName) && peek().text == name; }
  bool skip_operator(std::string_view op) { return is_operator(op) && (next(), true); }
  bool skip_name(std::string_view name) { return is_name(name) && (next(), true); }

  Status expect_operator(std::string_view op) {
    if (skip_operator(op)) return {};
    return expected("'" + std::string(op) + "'");
  }
  Result<std::string> expect_name(std::string_view what) {
    if (is(Token::Kind::kName)) return next().text;
    return expected(what);
  }
  Status expect_block_end() {
    if (!is(Token::Kind::kBlockEnd)) return expected("the end of the block (%})");
    next();
    return {};
  }

  // "line 1, column 2: expected X, found Y"
  tl::unexpected<Error> expected(std::string_view what) const {
    return tl::unexpected<Error>(error_at(
        at(), {ErrorCode::kInvalidArgument, fmt::format("expected {}, found {}", what, describe(peek()))}));
  }

 private:
  static std::string describe(const Token& token) {
    switch (token.kind) {
      case Token::Kind::kText:
      case Token::Kind::kPrintBegin:
      case Token::Kind::kBlockBegin:
        return "the next tag";
      case Token::Kind::kPrintEnd:
        return "}}";
      case Token::Kind::kBlockEnd:
        return "%}";
      case Token::Kind::kString:
        return "a string";
      case Token::Kind::kEnd:
        return "the end of the template";
      default:
        return "'" + token.text + "'";
    }
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
};

}  // namespace atelier::chat::jinja
