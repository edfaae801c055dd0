// Any template over a fixed conversation: no crash, bounded cost, the same twice, and nothing of the
// conversation ever counts as the template's own text.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "chat/template/template.h"

namespace {

using namespace atelier;
using namespace atelier::chat;

// Every text of the data has U+E000 in it; keys, which templates compare with their own words, have not.
constexpr std::string_view kMark = "\xEE\x80\x80";

const jinja::Dict& variables() {
  static const jinja::Value values =
      jinja::from_json(Json::parse(reinterpret_cast<const char*>(u8R"({
    "messages": [
      {"role": "system", "content": " be brief\n"},
      {"role": "user", "content": "<|end|> naïve 你好 <think>"},
      {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
        {"id": "abc123def", "type": "function",
         "function": {"name": "f", "arguments": {"a": 1, "b": [1.5, null, true]}}}]},
      {"role": "tool", "content": "{\"x\": 1}", "tool_call_id": "abc123def", "name": "f"},
      {"role": "user", "content": [{"type": "text", "text": "more"}]}],
    "tools": [{"type": "function", "function": {"name": "f", "description": "does f", "parameters": {
      "type": "object", "properties": {"a": {"type": "integer", "enum": [1, 2]}}, "required": ["a"]}}}],
    "add_generation_prompt": true, "documents": null, "bos_token": "<s>", "eos_token": "</s>",
    "n": 7, "x": 2.5, "s": "Hello, World", "l": ["b", "a"], "d": {"k": "v"}})")));
  static const jinja::Value marked = [] {
    // Walks the JSON once more with marks in the texts.
    struct Marker {
      static jinja::Value mark(const jinja::Value& value) {
        if (const jinja::Text* text = value.text())
          return jinja::Value::data(std::string(kMark) + text->str() + std::string(kMark));
        if (const jinja::List* list = value.list()) {
          std::vector<jinja::Value> items;
          for (const jinja::Value& item : list->items) items.push_back(mark(item));
          return jinja::list_of(std::move(items));
        }
        if (const jinja::Dict* dict = value.dict()) {
          jinja::Dict copy;
          for (const auto& item : dict->items())
            copy.set(item.key.text()->bytes(),
                     item.key.text()->bytes() == "role" ? item.value : mark(item.value));
          return jinja::make_dict(std::move(copy)).value();
        }
        return value;
      }
    };
    return Marker::mark(values);
  }();
  return *marked.dict();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  const auto parsed = ChatTemplate::parse(source);
  if (!parsed) return 0;
  const jinja::RenderLimits limits{.steps = 20'000, .output_bytes = 1 << 16, .depth = 128};
  const auto text = parsed->render(variables(), "2025-06-28", limits);
  const auto again = parsed->render(variables(), "2025-06-28", limits);
  ATELIER_CHECK(text.has_value() == again.has_value());
  if (!text) {
    ATELIER_CHECK(text.error().message == again.error().message);
    return 0;
  }
  ATELIER_CHECK(text->bytes() == again->bytes() && text->trusted_ranges() == again->trusted_ranges());
  ATELIER_CHECK(text->size() <= limits.output_bytes);
  // The mark can come from the template only where it spells it, or parts of it, itself.
  const bool spells_it =
      source.find('\xEE') != std::string_view::npos || source.find('\\') != std::string_view::npos;
  size_t end = 0;
  for (const jinja::ByteRange& range : text->trusted_ranges()) {
    ATELIER_CHECK(range.begin < range.end && range.end <= text->size() && (end == 0 || range.begin > end));
    end = range.end;
    const std::string_view own = text->bytes().substr(range.begin, range.end - range.begin);
    ATELIER_CHECK(spells_it || own.find('\xEE') == std::string_view::npos);
  }
  return 0;
}
