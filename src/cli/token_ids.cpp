#include "cli/token_ids.h"

#include <limits>
#include <nlohmann/json.hpp>

namespace atelier::cli {

Result<std::vector<TokenId>> parse_token_ids(std::string_view where, std::string_view text) {
  const nlohmann::json parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_array())
    return fail(ErrorCode::kInvalidArgument, "{}: expected a JSON array of token ids, found {}", where,
                parsed.is_discarded() ? "invalid JSON" : parsed.type_name());
  std::vector<TokenId> ids;
  ids.reserve(parsed.size());
  for (const nlohmann::json& item : parsed) {
    if (!item.is_number_integer() || item < 0 || item > std::numeric_limits<TokenId>::max())
      return fail(ErrorCode::kInvalidArgument, "{}: element {}: expected a token id, found {}", where,
                  ids.size(),
                  item.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace).substr(0, 60));
    ids.push_back(item.get<TokenId>());
  }
  return ids;
}

}  // namespace atelier::cli
