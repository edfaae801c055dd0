#include "io/chat_template.h"

#include <nlohmann/json.hpp>

#include "base/file.h"

namespace atelier {
namespace {

constexpr size_t kMaxTemplateBytes = size_t{1} << 20;

std::string text_or_empty(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

// A string, or a list of {"name", "template"}.
std::string from_tokenizer_config(const nlohmann::json& config) {
  const auto found = config.find("chat_template");
  if (found == config.end()) return {};
  if (!found->is_array()) return text_or_empty(*found);
  std::string fallback;
  for (const nlohmann::json& entry : *found) {
    if (!entry.is_object() || !entry.contains("template")) continue;
    const std::string text = text_or_empty(entry["template"]);
    if (entry.contains("name") && entry["name"] == "default") return text;
    if (fallback.empty()) fallback = text;
  }
  return fallback;
}

}  // namespace

std::string chat_template_of(const Checkpoint& checkpoint) {
  if (checkpoint.dialect() == Dialect::kGguf) {
    const auto found = checkpoint.metadata().find("tokenizer.chat_template");
    return found == checkpoint.metadata().end() ? std::string() : text_or_empty(*found);
  }
  const nlohmann::json* config = checkpoint.tokenizer_config();
  if (config != nullptr && config->is_object()) {
    std::string text = from_tokenizer_config(*config);
    if (!text.empty()) return text;
  }
  const std::filesystem::path folder = checkpoint.tokenizer_json().parent_path();
  if (folder.empty()) return {};
  return read_file(folder / "chat_template.jinja", kMaxTemplateBytes).value_or(std::string());
}

}  // namespace atelier
