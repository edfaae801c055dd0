// Members of a request's JSON, read with their type and range. Null counts as absent, as clients send it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/json_text.h"

namespace atelier::server {

using chat::Json;

// Errors are kInvalidArgument and name the member, what was expected and what was found:
//   temperature: expected a number from 0 to 2, found 1e308
class Fields {
 public:
  // `object` must outlive this and be an object; `path` is put before names ("options.").
  explicit Fields(const Json& object, std::string path = {}) : object_(&object), path_(std::move(path)) {}

  const Json& json() const { return *object_; }
  const Json* find(const char* key) const;  // null if absent or null
  std::string at(std::string_view key) const { return path_ + std::string(key); }

  Result<std::optional<double>> number(const char* key, double low, double high) const;
  // Also takes 16.0, which some languages write for 16.
  Result<std::optional<int64_t>> integer(const char* key, int64_t low, int64_t high) const;
  Result<std::optional<bool>> boolean(const char* key) const;
  Result<std::optional<std::string>> text(const char* key) const;
  Result<std::string> required_text(const char* key) const;
  // A member that must be an object or an array, if it is there.
  Result<const Json*> object(const char* key) const;
  Result<const Json*> array(const char* key) const;

  tl::unexpected<Error> wrong(std::string_view key, std::string_view expected, const Json* found) const;

 private:
  const Json* object_;
  std::string path_;
};

// A value as errors show it: short, and strings without their content's length.
std::string shown(const Json* value);

// The body as an object. kInvalidArgument, kLimit (depth, number of values).
Result<Json> parse_body(std::string_view text);

}  // namespace atelier::server
