// What the operating system refused, as an error.
#pragma once

#include <cerrno>
#include <string_view>
#include <system_error>

#include "base/result.h"

namespace atelier::agent {

// "what: Permission denied". kUnsupported is what probing for a tier expects of a kernel that will not.
inline tl::unexpected<Error> refused(std::string_view what, int error_number = errno,
                                     ErrorCode code = ErrorCode::kUnsupported) {
  return fail(code, "{}: {}", what, std::generic_category().message(error_number));
}

// The same of what should always work, as a message of the sandbox.
inline tl::unexpected<Error> broken(std::string_view what, int error_number = errno) {
  return fail(ErrorCode::kIo, "sandbox: {}: {}", what, std::generic_category().message(error_number));
}

}  // namespace atelier::agent
