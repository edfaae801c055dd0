#include "chat/text_parser.h"

#include <algorithm>

namespace atelier::chat {
namespace {

// The length of the JSON object or array that `text` begins with, by its brackets; npos if it never closes
// or nests deeper than we read.
size_t json_extent(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) return std::string_view::npos;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

bool append_call(const Json& value, std::vector<CalledFunction>& calls) {
  const std::string* name = string_member(value, "name");
  const Json* arguments = member(value, "arguments");
  if (!arguments) arguments = member(value, "parameters");
  if (!name || name->empty() || !arguments) return false;
  const bool is_text = arguments->is_string();  // some models quote the object once more
  calls.push_back({*name, is_text ? arguments->get<std::string>() : compact_json(*arguments)});
  return true;
}

bool append_calls(const Json& value, std::vector<CalledFunction>& calls) {
  if (!value.is_array()) return append_call(value, calls);
  return std::ranges::all_of(value, [&](const Json& item) { return append_call(item, calls); });
}

}  // namespace

size_t partial_tag_bytes(std::string_view text, std::string_view tag) {
  for (size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n)
    if (text.ends_with(tag.substr(0, n))) return n;
  return 0;
}

std::vector<CalledFunction> read_calls(std::string_view text) {
  std::vector<CalledFunction> calls;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n;"), text.size()));
    if (text.empty()) return calls;
    if (text[0] != '{' && text[0] != '[') return {};
    const size_t extent = json_extent(text);
    if (extent == std::string_view::npos) return {};
    const auto value = parse_json(text.substr(0, extent), "tool call");
    if (!value || !append_calls(*value, calls)) return {};
    text.remove_prefix(extent);
  }
}

std::optional<CalledFunction> read_cut_call(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto skip_space = [&] { text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size())); };
  // Behind `key` and its colon; nothing is left if it does not come.
  const auto skip_to_value = [&](std::string_view key) {
    const size_t at = text.find(key);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + key.size());
    skip_space();
    if (text.starts_with(':')) text.remove_prefix(1);
    skip_space();
  };
  skip_space();
  CalledFunction call;
  if (text.empty()) return call;
  if ((text[0] != '{' && text[0] != '[') || json_extent(text) != std::string_view::npos) return std::nullopt;
  text.remove_prefix(std::min(text.find_first_not_of("{[ \t\r\n"), text.size()));
  if (!text.starts_with("\"name\"")) return call;
  skip_to_value("\"name\"");
  const size_t end = text.starts_with('"') ? text.find('"', 1) : std::string_view::npos;
  if (end == std::string_view::npos) return call;
  call.name = text.substr(1, end - 1);
  text.remove_prefix(end + 1);
  skip_to_value(text.find("\"arguments\"") == std::string_view::npos ? "\"parameters\"" : "\"arguments\"");
  call.arguments = text;
  return call;
}

bool TextParser::tell_cut_call(std::string_view body, std::vector<Delta>& out) {
  if (ended_) return false;
  const std::optional<CalledFunction> call = read_cut_call(body);
  if (!call) return false;
  if (call->name.empty()) return true;
  turn_.begin_call(call->name, out);
  turn_.arguments(call->arguments, out);
  turn_.end_call(false, out);
  return true;
}

void TextParser::push(TokenId id, std::vector<Delta>& out) {
  if (ended_) return;
  if (std::ranges::find(stops_, id) != stops_.end()) {
    ended_ = true;
  } else if (tokenizer_.is_special(id)) {
    on_special(id, out);
  } else {
    const std::string text = decoder_.push(id);
    text_ += text;
    on_text(text, out);
  }
}

Message TextParser::finish(std::vector<Delta>& out) {
  const std::string rest = decoder_.finish();
  text_ += rest;
  on_text(rest, out);
  on_end(out);
  turn_.message_end(out);
  raw_.push_back({"assistant", {}, {}, {}, std::move(text_)});
  if (ended_) reason_ = turn_.has_calls() ? FinishReason::kToolCalls : FinishReason::kStop;
  ended_ = true;
  return turn_.take();
}

}  // namespace atelier::chat
