// The functions that transformers gives every template. None reaches a file, the environment, a clock or a
// network: the date is the conversation's.
#include <array>
#include <charconv>
#include <ctime>

#include "chat/template/interpreter.h"
#include "chat/template/value_text.h"

namespace atelier::chat::jinja {
namespace {

// "2025-06-28" as its first moment; nullopt for another spelling.
std::optional<std::tm> parse_date(const std::string& iso) {
  std::tm date{};
  if (iso.size() != 10 || iso[4] != '-' || iso[7] != '-') return std::nullopt;
  const auto number = [&](size_t at, size_t n, int& value) {
    const char* end = iso.data() + at + n;
    return std::from_chars(iso.data() + at, end, value).ptr == end;
  };
  int year = 0;
  int month = 0;
  if (!number(0, 4, year) || !number(5, 2, month) || !number(8, 2, date.tm_mday)) return std::nullopt;
  if (month < 1 || month > 12 || date.tm_mday < 1 || date.tm_mday > 31) return std::nullopt;
  date.tm_year = year - 1900;
  date.tm_mon = month - 1;
  std::tm normalised = date;
  ::timegm(&normalised);  // fills in the day of the week and of the year
  return normalised;
}

std::string_view day_name(int day) {
  constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                     "Thursday", "Friday", "Saturday"};
  return kDays[static_cast<size_t>(day)];
}

std::string_view month_name(int month) {
  constexpr std::array<std::string_view, 12> kMonths = {"January",   "February", "March",    "April",
                                                        "May",       "June",     "July",     "August",
                                                        "September", "October",  "November", "December"};
  return kMonths[static_cast<size_t>(month)];
}

// In English whatever the locale; at midnight, as a conversation has a date and no time.
std::string format_date(const std::tm& date, std::string_view pattern) {
  std::string out;
  const int year = date.tm_year + 1900;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%' || i + 1 == pattern.size()) {
      out += pattern[i];
      continue;
    }
    bool pad = true;
    if (pattern[++i] == '-' && i + 1 < pattern.size()) {
      pad = false;
      ++i;
    }
    const auto number = [pad](int value, int width) { return fmt::format("{:0{}}", value, pad ? width : 1); };
    switch (pattern[i]) {
      case 'a':
        out += day_name(date.tm_wday).substr(0, 3);
        break;
      case 'A':
        out += day_name(date.tm_wday);
        break;
      case 'b':
      case 'h':
        out += month_name(date.tm_mon).substr(0, 3);
        break;
      case 'B':
        out += month_name(date.tm_mon);
        break;
      case 'd':
        out += number(date.tm_mday, 2);
        break;
      case 'D':
        out += fmt::format("{:02}/{:02}/{:02}", date.tm_mon + 1, date.tm_mday, year % 100);
        break;
      case 'e':
        out += fmt::format("{:>{}}", date.tm_mday, pad ? 2 : 1);
        break;
      case 'F':
        out += fmt::format("{}-{:02}-{:02}", year, date.tm_mon + 1, date.tm_mday);
        break;
      case 'H':
      case 'M':
      case 'S':
        out += number(0, 2);
        break;
      case 'I':
        out += number(12, 2);
        break;
      case 'j':
        out += number(date.tm_yday + 1, 3);
        break;
      case 'm':
        out += number(date.tm_mon + 1, 2);
        break;
      case 'p':
        out += "AM";
        break;
      case 'T':
        out += "00:00:00";
        break;
      case 'u':
        out += std::to_string(date.tm_wday == 0 ? 7 : date.tm_wday);
        break;
      case 'w':
        out += std::to_string(date.tm_wday);
        break;
      case 'y':
        out += number(year % 100, 2);
        break;
      case 'Y':
        out += std::to_string(year);
        break;
      case 'z':
      case 'Z':
        break;  // a date without a time zone
      case '%':
        out += '%';
        break;
      default:
        out += fmt::format("%{}", pattern[i]);
    }
  }
  return out;
}

Result<Value> range(Interpreter& in, const Arguments& arguments) {
  ATELIER_TRY(const auto bound, BoundArguments::bind("range", arguments, {"start", "stop", "step"}, 1));
  ATELIER_TRY(int64_t start, bound.integer(0, 0));
  ATELIER_TRY(int64_t stop, bound.integer(1, 0));
  ATELIER_TRY(const int64_t step, bound.integer(2, 1));
  if (!bound.get(1)) stop = std::exchange(start, 0);
  if (step == 0) return fail(ErrorCode::kInvalidArgument, "range: expected a step other than 0");
  std::vector<Value> items;
  for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<int64_t>(items.size()) == in.limits().range_items)
      return fail(ErrorCode::kLimit, "range: expected at most {} items, found more", in.limits().range_items);
    items.push_back(Value(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  ATELIER_CHECK_OK(in.budget().spend(items.size()));
  return make_list(std::move(items));
}

// What dict() and namespace() are called with: pairs or a dict, then names.
Result<Dict> members(Interpreter& in, std::string_view function, const Arguments& arguments) {
  Dict dict;
  if (arguments.positional.size() > 1)
    return fail(ErrorCode::kInvalidArgument, "{}: expected at most 1 argument without a name, found {}",
                function, arguments.positional.size());
  if (!arguments.positional.empty()) {
    const Value& first = arguments.positional[0];
    if (first.dict()) {
      ATELIER_CHECK_OK(in.budget().spend(kStepsPerObject * first.dict()->items().size()));
      dict = *first.dict();
    } else {
      ATELIER_TRY(const auto pairs, in.items_of(first));
      ATELIER_CHECK_OK(in.budget().spend(kStepsPerObject * pairs->items.size()));
      for (const Value& entry : pairs->items) {
        ATELIER_TRY(const auto pair, in.items_of(entry));
        if (pair->items.size() != 2)
          return fail(ErrorCode::kInvalidArgument, "{}: expected pairs, found {} items", function,
                      pair->items.size());
        ATELIER_CHECK_OK(dict.set(pair->items[0], pair->items[1]));
      }
    }
  }
  ATELIER_CHECK_OK(in.budget().spend(kStepsPerObject * arguments.named.size()));
  for (const auto& [name, value] : arguments.named) dict.set(name, value);
  return dict;
}

Result<Value> make_namespace(Interpreter& in, const Arguments& arguments) {
  ATELIER_CHECK_OK(in.budget().spend(4 * kStepsPerObject));
  ATELIER_TRY(Dict dict, members(in, "namespace", arguments));
  for (const Dict::Item& item : dict.items())
    if (item.key.text() && item.key.text()->bytes().starts_with('_'))
      return fail(ErrorCode::kInvalidArgument, "namespace: expected names without '_' in front, found {}",
                  item.key.text()->bytes());
  Namespace* space = in.new_namespace();
  space->members = std::move(dict);
  return Value(space);
}

constexpr std::array<std::string_view, 5> kFunctions = {"range", "dict", "namespace", "raise_exception",
                                                        "strftime_now"};

}  // namespace

Value global_function(std::string_view name, const Interpreter& interpreter) {
  for (const std::string_view known : kFunctions) {
    if (known != name || (name == "strftime_now" && interpreter.date().empty())) continue;
    auto function = std::make_shared<Callable>();
    function->name = name;
    return std::shared_ptr<const Callable>(std::move(function));
  }
  return {};
}

Result<Value> call_function(Interpreter& in, std::string_view name, const Arguments& arguments) {
  if (name == "range") return range(in, arguments);
  if (name == "namespace") return make_namespace(in, arguments);
  if (name == "dict") {
    ATELIER_TRY(Dict dict, members(in, "dict", arguments));
    return make_dict(std::move(dict));
  }
  if (name == "raise_exception") {
    ATELIER_TRY(const auto bound, BoundArguments::bind("raise_exception", arguments, {"message"}, 1));
    ATELIER_TRY(const Text message, to_str(bound[0], in.budget()));
    return fail(ErrorCode::kInvalidArgument, "{}", message.bytes());
  }
  ATELIER_TRY(const auto bound, BoundArguments::bind("strftime_now", arguments, {"format"}, 1));
  ATELIER_TRY(const Text pattern, bound.text(0));
  const auto date = parse_date(in.date());
  if (!date)
    return fail(ErrorCode::kInvalidArgument, "strftime_now: expected a date like 2025-06-28, found {}",
                in.date());
  ATELIER_CHECK_OK(in.budget().spend_bytes(16 * pattern.size()));
  return Value(Text::data(format_date(*date, pattern.bytes())));
}

}  // namespace atelier::chat::jinja
