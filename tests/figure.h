// What a test has counted or measured, for people: ./test.sh shows these lines below the step that ran it.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <utility>

namespace atelier::testing {

// One line. A figure is not judged by being printed: what is required of it stands in an EXPECT beside it.
template <class... Args>
void print_figure(fmt::format_string<Args...> format, Args&&... args) {
  const std::string text = fmt::format(format, std::forward<Args>(args)...);
  std::printf("figure  %s\n", text.c_str());
  std::fflush(stdout);
}

}  // namespace atelier::testing
