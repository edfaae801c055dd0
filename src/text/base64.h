// Base64 (RFC 4648, section 4).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace atelier {

// Errors: kCorrupt.
Result<std::string> decode_base64(std::string_view text);

}  // namespace atelier
