#include "server/failure.h"

#include <nlohmann/json.hpp>

#include "server/json_out.h"

namespace atelier::server {
namespace {

using namespace std::chrono_literals;

// What is short now is usually there again after one answer.
constexpr auto kRetryAfter = 2s;

std::string_view openai_type(unsigned status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

std::string_view anthropic_type(unsigned status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

// "messages[2].content" of "messages[2].content: expected a string, found number".
std::string param_of(const std::string& message) {
  const size_t end = message.find(": expected");
  if (end == std::string::npos || message.substr(0, end).find(' ') != std::string::npos) return {};
  return message.substr(0, end);
}

unsigned status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kLimit:
    case ErrorCode::kUnsupported:
      return 400;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kOverloaded:
      return 429;
    case ErrorCode::kOutOfMemory:
    case ErrorCode::kInterrupted:
      return 503;
    case ErrorCode::kCorrupt:
    case ErrorCode::kIo:
      return 500;
  }
  return 500;
}

}  // namespace

Failure to_failure(const Error& error) {
  Failure failure{.status = status_of(error.code), .message = error.message};
  if (failure.status == 400) failure.param = param_of(error.message);
  if (failure.status == 503 || failure.status == 429) failure.retry_after = kRetryAfter;
  return failure;
}

std::string failure_json(ErrorStyle style, const Failure& failure) {
  OrderedJson body;
  switch (style) {
    case ErrorStyle::kOpenAi: {
      OrderedJson& error = body["error"];
      error["message"] = failure.message;
      error["type"] = openai_type(failure.status);
      error["param"] = failure.param.empty() ? OrderedJson() : OrderedJson(failure.param);
      error["code"] = failure.code.empty() ? OrderedJson() : OrderedJson(failure.code);
      break;
    }
    case ErrorStyle::kAnthropic:
      body["type"] = "error";
      body["error"] = {{"type", anthropic_type(failure.status)}, {"message", failure.message}};
      break;
    case ErrorStyle::kOllama:
      body["error"] = failure.message;
      break;
  }
  return to_text(body);
}

HttpResponse failure_response(ErrorStyle style, const Failure& failure) {
  HttpResponse response{.status = failure.status, .body = failure_json(style, failure)};
  if (failure.retry_after)
    response.headers.push_back({"retry-after", std::to_string(failure.retry_after->count())});
  if (!failure.allow.empty()) response.headers.push_back({"allow", failure.allow});
  if (failure.status == 401) response.headers.push_back({"www-authenticate", "Bearer"});
  return response;
}

}  // namespace atelier::server
