// /tokenize: a text, or a conversation's prompt, as ids. /detokenize: the way back.
#include "chat/completions_body.h"
#include "io/utf8.h"
#include "server/app.h"
#include "server/model_answer.h"

namespace atelier::server {
namespace {

struct TokenizeRequest {
  std::string model, content;
  bool add_special = false, parse_special = false;
  std::optional<chat::Conversation> conversation;
};

Result<TokenizeRequest> parse_tokenize(const Json& json) {
  const Fields body(json);
  TokenizeRequest request;
  ATELIER_TRY(auto model, body.text("model"));
  request.model = model.value_or("");
  if (body.find("messages") != nullptr) {
    ATELIER_TRY(request.conversation, chat::parse_completions_body(json));
    return request;
  }
  ATELIER_TRY(request.content, body.required_text("content"));
  ATELIER_TRY(const auto add, body.boolean("add_special"));
  ATELIER_TRY(const auto parse, body.boolean("parse_special"));
  request.add_special = add.value_or(false);
  request.parse_special = parse.value_or(false);
  return request;
}

std::unique_ptr<Answer> tokenize(App& app, const HttpRequest& http) {
  const Result<Json> body = parse_body(http.body);
  Result<TokenizeRequest> request = body ? parse_tokenize(*body) : tl::unexpected<Error>(body.error());
  if (!request) return ready(failure_response(ErrorStyle::kOpenAi, to_failure(request.error())));
  const std::string model = request->model;
  return std::make_unique<ModelAnswer>(
      app.catalogue, model, ErrorStyle::kOpenAi,
      [&app, request = std::move(*request)](const ModelInUse& in_use) mutable -> Result<HttpResponse> {
        const Tokenizer& tokenizer = in_use.lease->engine().tokenizer();
        std::vector<TokenId> ids;
        if (request.conversation) {
          ATELIER_TRY(ids, prompt_ids(in_use, *request.conversation, app.memory));
        } else {
          if (request.add_special && tokenizer.add_bos() && tokenizer.bos()) ids.push_back(*tokenizer.bos());
          tokenizer.encode(request.content, request.parse_special ? Specials::kRecognised : Specials::kAsText,
                           ids);
        }
        return HttpResponse{.body = to_text({{"tokens", ids}, {"count", ids.size()}})};
      });
}

struct DetokenizeRequest {
  std::string model;
  std::vector<TokenId> ids;
};

Result<DetokenizeRequest> parse_detokenize(const Json& json) {
  const Fields body(json);
  DetokenizeRequest request;
  ATELIER_TRY(auto model, body.text("model"));
  request.model = model.value_or("");
  ATELIER_TRY(const Json* tokens, body.array("tokens"));
  if (tokens == nullptr) return body.wrong("tokens", "a list of ids", nullptr);
  for (const Json& id : *tokens) {
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX)
      return body.wrong("tokens", "a list of ids", &id);
    request.ids.push_back(id.get<TokenId>());
  }
  return request;
}

std::unique_ptr<Answer> detokenize(App& app, const HttpRequest& http) {
  const Result<Json> body = parse_body(http.body);
  Result<DetokenizeRequest> request = body ? parse_detokenize(*body) : tl::unexpected<Error>(body.error());
  if (!request) return ready(failure_response(ErrorStyle::kOpenAi, to_failure(request.error())));
  const std::string model = request->model;
  return std::make_unique<ModelAnswer>(
      app.catalogue, model, ErrorStyle::kOpenAi,
      [ids = std::move(request->ids)](const ModelInUse& in_use) -> Result<HttpResponse> {
        const Tokenizer& tokenizer = in_use.lease->engine().tokenizer();
        for (const TokenId id : ids)
          if (static_cast<size_t>(id) >= tokenizer.vocab_size())
            return fail(ErrorCode::kInvalidArgument, "tokens: expected ids below {}, found {}",
                        tokenizer.vocab_size(), id);
        return HttpResponse{.body = to_text({{"content", to_valid_utf8(tokenizer.decode(ids))}})};
      });
}

}  // namespace

void add_tokenizer(Router& router, App& app) {
  router.add({.method = "POST",
              .pattern = "/tokenize",
              .handler = [&app](HttpRequest http, const PathParameters&) { return tokenize(app, http); }});
  router.add({.method = "POST",
              .pattern = "/detokenize",
              .handler = [&app](HttpRequest http, const PathParameters&) { return detokenize(app, http); }});
}

}  // namespace atelier::server
