// Parsing JSON that comes from untrusted files, within stated bounds and without exceptions.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace atelier {

struct JsonLimits {
  size_t max_bytes = 8u << 20;
  size_t max_depth = 64;        // of nested arrays and objects
  size_t max_values = 100'000;  // of scalars, arrays and objects together: about 100 bytes of memory each
};

// Checks only size, nesting and the number of values, in one pass and without allocating; a text that passes
// may still not be JSON. Errors: kLimit.
Status check_json_limits(std::string_view text, const JsonLimits& limits);

// Errors: kLimit; kCorrupt with the byte where the text stops being JSON. Of keys that appear twice the last
// counts.
Result<nlohmann::json> parse_json(std::string_view text, const JsonLimits& limits = {});

// parse_json of a regular file, its path in front of any message.
Result<nlohmann::json> read_json_file(const std::filesystem::path& path, const JsonLimits& limits = {});

}  // namespace atelier
