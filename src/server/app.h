// What the endpoints share, and the list of all of them.
#pragma once

#include <chrono>
#include <string>

#include "server/background.h"
#include "server/catalogue.h"
#include "server/fields.h"
#include "server/generation_answer.h"
#include "server/limits.h"
#include "server/response_store.h"
#include "server/router.h"
#include "server/turn_memory.h"

namespace atelier::server {

struct App {
  App(CatalogueOptions models, std::string version_in)
      : catalogue(std::move(models)), version(std::move(version_in)) {}

  Catalogue catalogue;
  TurnMemory memory;
  ResponseStore responses;
  const std::string version;
  const std::chrono::system_clock::time_point started = std::chrono::system_clock::now();
  Background pulls{kMaxPulls};  // last: what it runs uses the rest
};

// One function per endpoint family; `app` outlives the router.
void add_health(Router& router, App& app);
void add_openai_models(Router& router, App& app);
void add_openai_chat(Router& router, App& app);
void add_openai_completions(Router& router, App& app);
void add_responses(Router& router, App& app);
void add_anthropic(Router& router, App& app);
void add_ollama(Router& router, App& app);
void add_ollama_models(Router& router, App& app);
void add_ollama_pull(Router& router, App& app);
void add_embeddings(Router& router, App& app);
void add_tokenizer(Router& router, App& app);
void add_metrics(Router& router, App& app);
void add_page(Router& router);

Router make_router(App& app);

// A family's request, which holds a `task`, as an answer told by the family's reply.
template <class Request>
std::unique_ptr<Answer> answer_to(App& app, const HttpRequest& http, Request request,
                                  std::unique_ptr<Reply> (*make_reply)(const Request&)) {
  request.task.client = http.client;
  std::unique_ptr<Reply> reply = make_reply(request);
  return std::make_unique<GenerationAnswer>(std::move(request.task), std::move(reply), app.catalogue,
                                            app.memory);
}

// Most endpoints: the body as a request that knows how to `stream`, then its answer.
template <class Request>
std::unique_ptr<Answer> answer_with(App& app, ErrorStyle style, const HttpRequest& http,
                                    Result<Request> (*parse)(const Json&),
                                    std::unique_ptr<Reply> (*make_reply)(const Request&)) {
  const Result<Json> body = parse_body(http.body);
  if (!body) return ready(failure_response(style, to_failure(body.error())));
  Result<Request> request = parse(*body);
  if (!request) return ready(failure_response(style, to_failure(request.error())));
  return answer_to(app, http, std::move(*request), make_reply);
}

int64_t unix_seconds();

}  // namespace atelier::server
