// Errors are values: every function that can fail on input returns Result<T>.
#pragma once

#include <fmt/format.h>

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace atelier {

// What kind of failure it is, for callers that react differently; the message is for people.
enum class ErrorCode {
  kInvalidArgument,  // the caller (command line, request) asked for something that makes no sense
  kNotFound,         // a file, tensor, model or token that was named does not exist
  kCorrupt,          // a file contradicts its own format: wrong magic, truncated, offsets past the end
  kUnsupported,      // well-formed, but of an architecture, version or format we do not run
  kOutOfMemory,      // would not fit; said before allocating
  kIo,               // the operating system refused to read or write
  kLimit,            // a documented limit was exceeded (context length, nesting, sizes)
  kInterrupted,      // stopped on request
  kOverloaded,       // too much asked at once; the same may work later
};

// Names the thing, what was expected and what was found; one line, no trailing period or newline.
struct Error {
  ErrorCode code;
  std::string message;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

// return fail(ErrorCode::kCorrupt, "{}: expected magic {:#x}, found {:#x}", path, want, got);
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

// Passes an error on with the place it happened put in front of its message: "model.gguf: …".
[[nodiscard]] inline tl::unexpected<Error> fail_in(std::string_view where, Error error) {
  error.message = fmt::format("{}: {}", where, error.message);
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace atelier

// ATELIER_TRY(auto file, MappedFile::open(path)); declares `file`, or returns the error to the caller.
#define ATELIER_CONCAT_(a, b) a##b
#define ATELIER_CONCAT(a, b) ATELIER_CONCAT_(a, b)
#define ATELIER_TRY(declaration, expression) \
  ATELIER_TRY_(ATELIER_CONCAT(atelier_result_, __LINE__), declaration, expression)
#define ATELIER_TRY_(temporary, declaration, expression)                                   \
  auto temporary = (expression);                                                           \
  if (!temporary) return ::tl::unexpected<::atelier::Error>(std::move(temporary).error()); \
  declaration = std::move(*temporary)

// ATELIER_CHECK_OK(write(...)); the same for a Status.
#define ATELIER_CHECK_OK(expression)                                                \
  do {                                                                              \
    if (auto atelier_status = (expression); !atelier_status)                        \
      return ::tl::unexpected<::atelier::Error>(std::move(atelier_status).error()); \
  } while (false)
