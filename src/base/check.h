// CHECK is for programmer errors only: a failure is a bug in this program, never in a file or a request.
#pragma once

namespace atelier {
[[noreturn]] void check_failed(const char* file, int line, const char* expression);
}

#define ATELIER_CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::atelier::check_failed(__FILE__, __LINE__, #condition))
