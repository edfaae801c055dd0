// The way of a request up to the model: bytes → reader → access → route → body as a task of its API.
//
// The first byte says in pieces of which size the rest comes in.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "server/access.h"
#include "server/anthropic.h"
#include "server/embeddings.h"
#include "server/ollama.h"
#include "server/openai_chat.h"
#include "server/openai_completions.h"
#include "server/request_reader.h"
#include "server/responses.h"
#include "server/router.h"

using namespace atelier;
using namespace atelier::server;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

// Every refusal names what was expected; nothing else counts as an answer.
template <class Request>
void check(const Result<Request>& request) {
  if (!request) require(request.error().message.find(": expected") != std::string::npos);
}

void parse_as(std::string_view path, const Json& body, ResponseStore& store) {
  if (path == "/v1/chat/completions") return check(parse_chat_request(body));
  if (path == "/v1/completions") return check(parse_completion_request(body));
  if (path == "/v1/responses") return check(parse_responses_request(body, store));
  if (path == "/v1/messages") return check(parse_messages_request(body, false));
  if (path == "/v1/embeddings") return check(parse_embeddings(body));
  if (path == "/api/chat") return check(parse_ollama_chat(body));
  if (path == "/api/generate") return check(parse_ollama_generate(body));
  if (path == "/api/embed") return check(parse_ollama_embed(body));
}

const Router& router() {
  static const Router all = [] {
    Router out;
    for (const char* path : {"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages",
                             "/v1/embeddings", "/api/chat", "/api/generate", "/api/embed"})
      out.add({.method = "POST", .pattern = path, .handler = {}});
    out.add({.method = "GET", .pattern = "/v1/models/{model...}", .handler = {}});
    return out;
  }();
  return all;
}

void handle(const HttpRequest& request) {
  static const Access access({.api_keys = {}, .cors_origins = {"https://app.example"}, .hosts = {"box"}});
  static ResponseStore store;
  const Router::Match match = router().find(request.method, request.path);
  if (access.refuse(request, false, !request.body.empty()) || match.route == nullptr) return;
  if (const Result<Json> body = parse_body(request.body)) parse_as(match.route->pattern, *body, store);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t piece = size_t{data[0]} * 4 + 1;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  RequestReader reader;
  std::string unread;
  while (!rest.empty()) {
    unread += rest.substr(0, piece);
    rest.remove_prefix(std::min(piece, rest.size()));
    for (;;) {
      const size_t taken = reader.feed(unread);
      require(taken <= unread.size());
      unread.erase(0, taken);
      if (reader.state() == RequestReader::State::kFailed) {
        require(reader.failure().status >= 400 && !reader.failure().message.empty());
        return 0;
      }
      if (reader.state() == RequestReader::State::kComplete) {
        handle(reader.request());
        reader = RequestReader();
        if (unread.empty()) break;
        continue;
      }
      if (taken == 0 || unread.empty()) break;
    }
  }
  return 0;
}
