// JSON arrays of token ids, as scripts hand them in.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace atelier::cli {

// Errors (kInvalidArgument) name `where` and the element that is no token id.
Result<std::vector<TokenId>> parse_token_ids(std::string_view where, std::string_view json);

}  // namespace atelier::cli
