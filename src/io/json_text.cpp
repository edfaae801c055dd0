#include "io/json_text.h"

#include <string>

#include "base/file.h"

namespace atelier {
namespace {

// Accepts everything and remembers where parsing failed.
class ErrorLocator : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    position_ = position;
    return false;
  }
  size_t position() const { return position_; }

 private:
  size_t position_ = 0;
};

}  // namespace

Status check_json_limits(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes)
    return fail(ErrorCode::kLimit, "expected at most {} bytes of JSON, found {}", limits.max_bytes,
                text.size());
  size_t depth = 0, values = 1;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == ']' || c == '}') depth -= depth > 0 ? 1 : 0;
    if (c == '[' || c == '{') ++depth;
    // A value follows each of these; an empty array or object is counted once too often, which does no harm.
    if (c == '[' || c == '{' || c == ',') ++values;
    if (depth > limits.max_depth)
      return fail(ErrorCode::kLimit, "byte {}: expected JSON nested at most {} deep, found more", i,
                  limits.max_depth);
    if (values > limits.max_values)
      return fail(ErrorCode::kLimit, "byte {}: expected at most {} JSON values, found more", i,
                  limits.max_values);
  }
  return {};
}

Result<nlohmann::json> parse_json(std::string_view text, const JsonLimits& limits) {
  ATELIER_CHECK_OK(check_json_limits(text, limits));
  nlohmann::json json = nlohmann::json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    ErrorLocator locator;
    nlohmann::json::sax_parse(text.begin(), text.end(), &locator);
    return fail(ErrorCode::kCorrupt, "expected JSON, found something else at byte {}", locator.position());
  }
  return json;
}

Result<nlohmann::json> read_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  ATELIER_TRY(const std::string text, read_file(path, limits.max_bytes));
  Result<nlohmann::json> json = parse_json(text, limits);
  if (!json) return fail_in(path.string(), std::move(json).error());
  return json;
}

}  // namespace atelier
