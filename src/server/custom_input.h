// Custom tools take free-form text, models write JSON arguments: {"input": "…"} on the way.
#pragma once

#include <string>
#include <string_view>

namespace atelier::server {

// The schema such a tool is shown to the model with, and the arguments for a text.
extern const char* const kCustomToolSchema;
std::string custom_arguments(std::string_view input);

// Unwraps the text from arguments that come in pieces. Arguments of another shape are passed on as they are.
class CustomInputReader {
 public:
  std::string push(std::string_view arguments);  // text that became complete
  std::string finish();                          // what was held back

 private:
  enum class State { kBefore, kInside, kAfter, kRaw };
  bool read_escape(std::string& out);

  State state_ = State::kBefore;
  std::string held_;
};

}  // namespace atelier::server
