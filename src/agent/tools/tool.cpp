#include "agent/tools/tool.h"

#include <charconv>
#include <cmath>

namespace atelier::agent {

std::string_view plan_state_name(PlanStep::State state) {
  switch (state) {
    case PlanStep::State::kPending:
      return "pending";
    case PlanStep::State::kActive:
      return "in_progress";
    case PlanStep::State::kDone:
      return "completed";
  }
  return "pending";
}

std::string_view tool_status_name(ToolStatus status) {
  switch (status) {
    case ToolStatus::kCompleted:
      return "completed";
    case ToolStatus::kFailed:
      return "failed";
    case ToolStatus::kDeclined:
      return "declined";
  }
  return "failed";
}

ToolResult failed_result(std::string text) {
  return {.status = ToolStatus::kFailed, .text = std::move(text)};
}

const std::string* text_argument(const Json& arguments, std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const std::string* text = chat::string_member(arguments, name)) return text;
  return nullptr;
}

std::optional<size_t> size_argument(const Json& arguments, std::initializer_list<const char*> names,
                                    size_t max) {
  for (const char* name : names) {
    const Json* value = chat::member(arguments, name);
    if (value == nullptr) continue;
    if (value->is_number()) {
      const double number = value->get<double>();
      if (std::isfinite(number) && number >= 0)
        return number >= static_cast<double>(max) ? max : static_cast<size_t>(number);
    }
    if (value->is_string()) {
      const auto& text = value->get_ref<const std::string&>();
      size_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error == std::errc() && end == text.data() + text.size()) return std::min(number, max);
    }
  }
  return std::nullopt;
}

}  // namespace atelier::agent
