#include "chat/template/value_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "chat/template/callable.h"
#include "chat/template/chars.h"

namespace atelier::chat::jinja {
namespace {

std::string in_quotes(std::string_view text) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = char_at(text, at);
    const std::string_view bytes = text.substr(at, c.length);
    at += c.length;
    const auto code = static_cast<uint32_t>(c.code_point);
    if (bytes[0] == quote || bytes[0] == '\\') {
      out += '\\';
      out += bytes;
    } else if (code == '\n' || code == '\r' || code == '\t') {
      out += code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t";
    } else if (is_printable(c.code_point)) {
      out += bytes;
    } else if (code < 0x100) {
      out += fmt::format("\\x{:02x}", code);
    } else {
      out += code < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
    }
  }
  return out + quote;
}

Status append_list(const List& list, std::string& out, Budget& budget) {
  out += list.tuple ? '(' : '[';
  for (size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) out += ", ";
    ATELIER_CHECK_OK(append_repr(list.items[i], out, budget));
  }
  if (list.tuple && list.items.size() == 1) out += ',';
  out += list.tuple ? ')' : ']';
  return {};
}

Status append_dict(const Dict& dict, std::string& out, Budget& budget) {
  out += '{';
  bool first = true;
  for (const Dict::Item& item : dict.items()) {
    if (!first) out += ", ";
    first = false;
    ATELIER_CHECK_OK(append_repr(item.key, out, budget));
    out += ": ";
    ATELIER_CHECK_OK(append_repr(item.value, out, budget));
  }
  out += '}';
  return {};
}

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Budget& budget) : style_(style), budget_(budget) {}

  Status write(const Value& value, int depth) {
    ATELIER_CHECK_OK(budget_.spend(1));
    if (const Text* text = value.text()) return write_text(text->bytes());
    if (value.is_none()) return put("null");
    if (const bool* boolean = value.get<bool>()) return put(*boolean ? "true" : "false");
    if (const int64_t* integer = value.get<int64_t>()) return put(std::to_string(*integer));
    if (const double* real = value.get<double>()) return put(number(*real));
    if (const List* list = value.list()) return write_list(*list, depth);
    if (const Dict* dict = value.dict()) return write_dict(*dict, depth);
    if (value.is_undefined())
      return fail(ErrorCode::kInvalidArgument, "tojson: expected a value, found none: {}",
                  value.undefined_message());
    return fail(ErrorCode::kInvalidArgument, "tojson: expected data, found a {}", value.type_name());
  }

  std::string take() { return std::move(out_); }

 private:
  Status put(std::string_view text) {
    out_ += text;
    return {};
  }

  static std::string number(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return float_repr(value);
  }

  Status line(int depth) {
    if (!style_.indent) return {};
    ATELIER_CHECK_OK(budget_.spend_bytes(style_.indent->size() * static_cast<size_t>(depth)));
    out_ += '\n';
    for (int i = 0; i < depth; ++i) out_ += *style_.indent;
    return {};
  }

  Status write_text(std::string_view text) {
    ATELIER_CHECK_OK(budget_.spend_bytes(text.size()));
    out_ += '"';
    for (size_t at = 0; at < text.size();) {
      const Utf8Char c = char_at(text, at);
      const auto code = static_cast<uint32_t>(c.code_point);
      constexpr std::string_view kNamed = "\"\\\n\r\t\b\f";
      constexpr std::string_view kLetters = "\"\\nrtbf";
      const size_t named = code < 0x80 ? kNamed.find(static_cast<char>(code)) : std::string_view::npos;
      if (named != std::string_view::npos) {
        out_ += '\\';
        out_ += kLetters[named];
      } else if (code < 0x20 || (style_.ensure_ascii && code >= 0x80 && code < 0x10000)) {
        out_ += fmt::format("\\u{:04x}", code);
      } else if (style_.ensure_ascii && code >= 0x10000) {
        out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((code - 0x10000) >> 10), 0xDC00 + (code & 0x3FF));
      } else if (c.valid) {
        out_ += text.substr(at, c.length);
      } else {
        out_ += "\xEF\xBF\xBD";
      }
      at += c.length;
    }
    out_ += '"';
    return {};
  }

  Status write_list(const List& list, int depth) {
    if (list.items.empty()) return put("[]");
    out_ += '[';
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      ATELIER_CHECK_OK(line(depth + 1));
      ATELIER_CHECK_OK(write(list.items[i], depth + 1));
    }
    ATELIER_CHECK_OK(line(depth));
    return put("]");
  }

  Status write_dict(const Dict& dict, int depth) {
    if (dict.items().empty()) return put("{}");
    std::vector<const Dict::Item*> items;
    for (const Dict::Item& item : dict.items()) items.push_back(&item);
    if (style_.sort_keys) ATELIER_CHECK_OK(sort(items));
    out_ += '{';
    bool first = true;
    for (const Dict::Item* item : items) {
      if (!first) out_ += style_.item_separator;
      first = false;
      ATELIER_CHECK_OK(line(depth + 1));
      ATELIER_CHECK_OK(write_key(item->key));
      out_ += style_.key_separator;
      ATELIER_CHECK_OK(write(item->value, depth + 1));
    }
    ATELIER_CHECK_OK(line(depth));
    return put("}");
  }

  Status write_key(const Value& key) {
    if (key.text()) return write_text(key.text()->bytes());
    if (key.list())
      return fail(ErrorCode::kInvalidArgument, "tojson: a key: expected a str or a number, found a tuple");
    out_ += '"';
    ATELIER_CHECK_OK(write(key, 0));
    return put("\"");
  }

  Status sort(std::vector<const Dict::Item*>& items) {
    std::vector<Value> keys;
    for (const Dict::Item* item : items) keys.push_back(item->key);
    ATELIER_TRY(const std::vector<size_t> order, sorted_order(keys, false, budget_));
    const std::vector<const Dict::Item*> unsorted = items;
    for (size_t i = 0; i < order.size(); ++i) items[i] = unsorted[order[i]];
    return {};
  }

  const JsonStyle& style_;
  Budget& budget_;
  std::string out_;
};

}  // namespace

// The shortest digits that read back the same; scientific below 1e-4 and from 1e16 on.
std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::array<char, 32> buffer{};
  const double size = std::abs(value);
  const bool scientific = size != 0 && (size < 1e-4 || size >= 1e16);
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                 scientific ? std::chars_format::scientific : std::chars_format::fixed);
  std::string text(buffer.data(), end.ptr);
  if (!scientific && text.find('.') == std::string::npos) text += ".0";
  return text;
}

Status append_str(const Value& value, TextBuilder& out, Budget& budget) {
  if (const Text* text = value.text()) {
    ATELIER_CHECK_OK(budget.spend_bytes(text->size()));
    out.append(*text);
    return {};
  }
  if (value.is_undefined()) return {};
  std::string made;
  ATELIER_CHECK_OK(append_repr(value, made, budget));
  out.append_data(made);
  return {};
}

Result<Text> to_str(const Value& value, Budget& budget) {
  if (const Text* text = value.text()) return *text;
  TextBuilder out;
  ATELIER_CHECK_OK(append_str(value, out, budget));
  return out.take();
}

Status append_repr(const Value& value, std::string& out, Budget& budget) {
  ATELIER_CHECK_OK(budget.spend(1));
  if (const Text* text = value.text()) {
    ATELIER_CHECK_OK(budget.spend_bytes(text->size()));
    out += in_quotes(text->bytes());
  } else if (value.is_none()) {
    out += "None";
  } else if (const bool* boolean = value.get<bool>()) {
    out += *boolean ? "True" : "False";
  } else if (const int64_t* integer = value.get<int64_t>()) {
    out += std::to_string(*integer);
  } else if (const double* real = value.get<double>()) {
    out += float_repr(*real);
  } else if (const List* list = value.list()) {
    return append_list(*list, out, budget);
  } else if (const Dict* dict = value.dict()) {
    return append_dict(*dict, out, budget);
  } else if (const Callable* callable = value.callable()) {
    out += fmt::format("<{} {}>", callable->kind == Callable::Kind::kMacro ? "Macro" : "function",
                       in_quotes(callable->name));
  } else {
    out += value.is_undefined() ? "Undefined" : value.space() ? "<Namespace>" : "<LoopContext>";
  }
  return {};
}

Result<std::string> to_json(const Value& value, const JsonStyle& style, Budget& budget) {
  JsonWriter writer(style, budget);
  ATELIER_CHECK_OK(writer.write(value, 0));
  return writer.take();
}

}  // namespace atelier::chat::jinja
