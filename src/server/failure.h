// A refused or failed request, and how each API family says so.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/result.h"
#include "server/http.h"

namespace atelier::server {

struct Failure {
  unsigned status = 400;
  std::string message{};
  std::string param{};  // the member of the body that is wrong, if one is
  std::string code{};   // machine-readable, e.g. "context_length_exceeded"; may be empty
  std::optional<std::chrono::seconds> retry_after{};  // 429 and 503
  std::string allow{};                                // 405: the methods that there are
};

// kInvalidArgument, kLimit and kUnsupported are the client's (400), kNotFound is 404, kOverloaded 429,
// kOutOfMemory and kInterrupted 503
// (these three with Retry-After), the rest 500. The param is what stands before ": expected".
Failure to_failure(const Error& error);

// Which shape of error object the clients of a route read.
enum class ErrorStyle { kOpenAi, kAnthropic, kOllama };

// {"error": {"message", "type", "param", "code"}}; {"type": "error", "error": {"type", "message"}};
// {"error": "message"}. As text, also for events inside a stream that has begun.
std::string failure_json(ErrorStyle style, const Failure& failure);
HttpResponse failure_response(ErrorStyle style, const Failure& failure);

}  // namespace atelier::server
