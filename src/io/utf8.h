// Text from files made safe for JSON and for the terminal's decoder.
#pragma once

#include <string>
#include <string_view>

namespace atelier {

// `text` itself where it is valid UTF-8; otherwise each byte outside a valid character becomes U+FFFD.
std::string to_valid_utf8(std::string_view text);

}  // namespace atelier
