// The four normal forms of Unicode (annex 15), in time linear in the text but for the sorting of runs of
// marks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace atelier {

enum class NormalForm : uint8_t { kNfc, kNfd, kNfkc, kNfkd };

// Appends `text` in that form; bytes that are no UTF-8 stay as they are.
void append_normal_form(std::string_view text, NormalForm form, std::string& out);

// Each character's own lower case, without regard to what stands around it (Rust's char::to_lowercase).
void append_lowercase(std::string_view text, std::string& out);

}  // namespace atelier
