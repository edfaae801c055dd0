// JSON as the server writes it: members in the order they were added, invalid UTF-8 replaced.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace atelier::server {

using OrderedJson = nlohmann::ordered_json;

inline std::string to_text(const OrderedJson& value) {
  return value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace atelier::server
