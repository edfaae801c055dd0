#include "io/utf8.h"

#include <simdjson.h>

#include <algorithm>

namespace atelier {

std::string to_valid_utf8(std::string_view text) {
  if (simdjson::validate_utf8(text.data(), text.size())) return std::string(text);
  std::string valid;
  valid.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    size_t length = 1;
    while (length <= 4 && at + length <= text.size() && !simdjson::validate_utf8(text.data() + at, length))
      ++length;
    if (length <= 4 && at + length <= text.size()) {
      valid.append(text.substr(at, length));
      at += length;
    } else {
      valid.append("\xEF\xBF\xBD");
      ++at;
    }
  }
  return valid;
}

}  // namespace atelier
