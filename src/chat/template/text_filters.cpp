// Filters that make text: upper, trim, replace, indent, …
#include <algorithm>
#include <array>

#include "chat/template/chars.h"
#include "chat/template/filters.h"
#include "chat/template/operators.h"
#include "chat/template/text_ops.h"
#include "chat/template/value_text.h"

namespace atelier::chat::jinja {
namespace {

template <Casing casing>
Result<Value> case_filter(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("a filter of case", arguments, {}));
  ATELIER_TRY(const Text text, to_str(value, in.budget()));
  ATELIER_TRY(Text changed, with_case(text, casing, in.budget()));
  return Value(std::move(changed));
}

// Words begin behind white space, hyphens and opening brackets.
Result<Value> title(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("title", arguments, {}));
  ATELIER_TRY(const Text text, to_str(value, in.budget()));
  const std::string_view bytes = text.bytes();
  TextBuilder out;
  size_t begin = 0;
  const auto finish = [&](size_t end) -> Status {
    ATELIER_TRY(const Text word, with_case(text.slice(begin, end), Casing::kCapitalize, in.budget()));
    out.append(word);
    begin = end;
    return {};
  };
  for (size_t at = 0; at < bytes.size();) {
    const Utf8Char c = char_at(bytes, at);
    const bool divides = c.valid && (is_space(c.code_point) ||
                                     (c.code_point < 0x80 && std::string_view("-({[<").find(bytes[at]) < 5));
    if (divides) {
      ATELIER_CHECK_OK(finish(at));
      out.append(text, at, at + c.length);
      begin = at + c.length;
    }
    at += c.length;
  }
  ATELIER_CHECK_OK(finish(bytes.size()));
  return Value(out.take());
}

Result<Value> trim(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("trim", arguments, {"chars"}));
  ATELIER_TRY(const Text text, to_str(value, in.budget()));
  ATELIER_CHECK_OK(in.budget().spend_bytes(text.size()));
  if (!bound.get(0) || bound[0].is_none()) return Value(stripped(text, nullptr, true, true));
  ATELIER_TRY(const Text set, bound.text(0));
  ATELIER_CHECK_OK(in.budget().spend_bytes(set.size() * text.size()));
  return Value(stripped(text, &set, true, true));
}

Result<Value> replace(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("replace", arguments, {"old", "new", "count"}, 2));
  ATELIER_TRY(const Text text, to_str(value, in.budget()));
  ATELIER_TRY(const Text old, to_str(bound[0], in.budget()));
  ATELIER_TRY(const Text with, to_str(bound[1], in.budget()));
  ATELIER_TRY(const int64_t limit, bound.integer(2, -1));
  ATELIER_TRY(Text changed, replaced(text, old, with, limit, in.budget()));
  return Value(std::move(changed));
}

Result<Value> indent(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("indent", arguments, {"width", "first", "blank"}));
  if (!value.text())
    return fail(ErrorCode::kInvalidArgument, "indent: expected a str, found {}", value.type_name());
  ATELIER_TRY(Text text, indented(*value.text(), bound.get(0) ? bound[0] : Value(int64_t{4}),
                                  bound.flag(1, false), bound.flag(2, false), in.budget()));
  return Value(std::move(text));
}

Result<Value> center(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("center", arguments, {"width"}));
  ATELIER_TRY(const int64_t width, bound.integer(0, 80));
  ATELIER_TRY(const Text text, to_str(value, in.budget()));
  ATELIER_TRY(Text wide, aligned(text, width, Text::data(" "), Alignment::kCenter, in.budget()));
  return Value(std::move(wide));
}

Result<Value> join(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("join", arguments, {"d", "attribute"}));
  ATELIER_TRY(const Text between, to_str(bound.get(0) ? bound[0] : Value(), in.budget()));
  ATELIER_TRY(auto items, in.items_of(value));
  if (bound.get(1) && !bound[1].is_none()) {
    Arguments attribute;
    attribute.named.emplace_back("attribute", bound[1]);
    ATELIER_TRY(const Value mapped, in.filtered("map", value, attribute));
    ATELIER_TRY(items, in.items_of(mapped));
  }
  TextBuilder out;
  for (size_t i = 0; i < items->items.size(); ++i) {
    if (i > 0) ATELIER_CHECK_OK(append_str(between, out, in.budget()));
    ATELIER_CHECK_OK(append_str(items->items[i], out, in.budget()));
  }
  return Value(out.take());
}

Result<Value> string(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("string", arguments, {}));
  ATELIER_TRY(Text text, to_str(value, in.budget()));
  return Value(std::move(text));
}

// Nothing is escaped unless it is asked for, so that nothing has to be exempt.
Result<Value> safe(Interpreter& in, const Value& value, const Arguments& arguments) {
  return string(in, value, arguments);
}

Result<Value> escape(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("escape", arguments, {}));
  ATELIER_TRY(const Text text, to_str(value, in.budget()));
  ATELIER_CHECK_OK(in.budget().spend_bytes(6 * text.size()));
  TextBuilder out;
  for (size_t at = 0; at < text.size(); ++at) {
    constexpr std::string_view kSpecial = "&<>'\"";
    constexpr std::array<std::string_view, 5> kNamed = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    const size_t special = kSpecial.find(text.bytes()[at]);
    if (special == std::string_view::npos)
      out.append(text, at, at + 1);
    else
      out.append_like(text, at, kNamed[special]);
  }
  return Value(out.take());
}

Result<Value> truncate(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound,
              BoundArguments::bind("truncate", arguments, {"length", "killwords", "end", "leeway"}));
  ATELIER_TRY(const int64_t length, bound.integer(0, 255));
  ATELIER_TRY(const Text end, bound.text(2, "..."));
  ATELIER_TRY(const int64_t leeway, bound.integer(3, 5));
  ATELIER_TRY(const Text text, to_str(value, in.budget()));
  ATELIER_CHECK_OK(in.budget().spend_bytes(2 * text.size()));
  const auto end_length = static_cast<int64_t>(count_chars(end.bytes()));
  if (length < end_length || leeway < 0)
    return fail(ErrorCode::kInvalidArgument, "truncate: expected a length of at least {}, found {}",
                end_length, length);
  const auto have = static_cast<int64_t>(count_chars(text.bytes()));
  if (have - leeway <= length) return Value(text);
  size_t kept = byte_of_char(text.bytes(), static_cast<size_t>(length - end_length));
  if (!bound.flag(1, false)) {
    const size_t blank = text.bytes().substr(0, kept).rfind(' ');
    if (blank != std::string_view::npos) kept = blank;
  }
  TextBuilder out;
  out.append(text, 0, kept);
  out.append(end);
  return Value(out.take());
}

Result<Value> format(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const Text pattern, to_str(value, in.budget()));
  if (!arguments.named.empty() && !arguments.positional.empty())
    return fail(ErrorCode::kInvalidArgument, "format: expected values with names or without, found both");
  Value values;
  if (arguments.named.empty()) {
    ATELIER_TRY(values, make_list(arguments.positional, /*tuple=*/true));
  } else {
    Dict dict;
    for (const auto& [name, named] : arguments.named) dict.set(name, named);
    ATELIER_TRY(values, make_dict(std::move(dict)));
  }
  ATELIER_TRY(Text text, percent_format(pattern, values, in.budget()));
  return Value(std::move(text));
}

Result<Value> tojson(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("tojson", arguments,
                                                     {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ensure_ascii = bound.flag(0, false);
  style.sort_keys = bound.flag(3, false);
  if (const Value* indent = bound.get(1); indent && !indent->is_none()) {
    if (indent->text()) {
      style.indent = indent->text()->str();
    } else {
      ATELIER_TRY(const int64_t blanks, bound.integer(1, 0));
      style.indent = std::string(static_cast<size_t>(std::clamp<int64_t>(blanks, 0, 64)), ' ');
    }
    style.item_separator = ",";
  }
  if (const Value* separators = bound.get(2); separators && !separators->is_none()) {
    const List* pair = separators->list();
    if (!pair || pair->items.size() != 2 || !pair->items[0].text() || !pair->items[1].text())
      return fail(ErrorCode::kInvalidArgument, "tojson: separators: expected two texts");
    style.item_separator = pair->items[0].text()->str();
    style.key_separator = pair->items[1].text()->str();
  }
  ATELIER_TRY(std::string text, to_json(value, style, in.budget()));
  ATELIER_CHECK_OK(in.budget().spend_bytes(text.size()));
  return Value(Text::data(std::move(text)));
}

// Words are runs of letters, digits and '_'.
Result<Value> wordcount(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("wordcount", arguments, {}));
  ATELIER_TRY(const Text text, to_str(value, in.budget()));
  ATELIER_CHECK_OK(in.budget().spend_bytes(4 * text.size()));
  int64_t count = 0;
  bool inside = false;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = char_at(text.bytes(), at);
    const bool word = c.valid && (is_alpha(c.code_point) || is_digit(c.code_point) || c.code_point == '_');
    count += word && !inside ? 1 : 0;
    inside = word;
    at += c.length;
  }
  return Value(count);
}

Result<Value> urlencode(Interpreter& in, const Value& value, const Arguments& arguments) {
  ATELIER_CHECK_OK(BoundArguments::bind("urlencode", arguments, {}));
  ATELIER_TRY(const Text text, to_str(value, in.budget()));
  ATELIER_CHECK_OK(in.budget().spend_bytes(3 * text.size()));
  std::string out;
  for (const char c : text.bytes()) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       std::string_view("_.-~/").find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return Value(Text::data(std::move(out)));
}

constexpr auto kTextFilters = std::to_array<FilterEntry>({
    {"capitalize", case_filter<Casing::kCapitalize>},
    {"center", center},
    {"e", escape},
    {"escape", escape},
    {"format", format},
    {"indent", indent},
    {"join", join},
    {"lower", case_filter<Casing::kLower>},
    {"replace", replace},
    {"safe", safe},
    {"string", string},
    {"title", title},
    {"tojson", tojson},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", case_filter<Casing::kUpper>},
    {"urlencode", urlencode},
    {"wordcount", wordcount},
});

}  // namespace

FilterFunction find_text_filter(std::string_view name) { return look_up_filter(kTextFilters, name); }

}  // namespace atelier::chat::jinja
