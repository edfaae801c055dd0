// What Python's str can do, on texts that keep their origin. Shared by methods and filters.
#pragma once

#include <vector>

#include "chat/template/budget.h"
#include "chat/template/text.h"
#include "chat/template/value.h"

namespace atelier::chat::jinja {

enum class Casing : uint8_t { kUpper, kLower, kCapitalize, kTitle, kSwap };
Result<Text> with_case(const Text& text, Casing casing, Budget& budget);

// `set`: characters that go from the ends; nullptr: white space.
Text stripped(const Text& text, const Text* set, bool left, bool right);

// At most `limit` splits where it is not negative. `separator` is not empty; nullptr splits at runs of white
// space. `from_right` counts the limit from the end.
Result<std::vector<Value>> split(const Text& text, const Text* separator, int64_t limit, bool from_right,
                                 Budget& budget);
// At line ends, which go unless `keep_ends`.
Result<std::vector<Value>> split_lines(const Text& text, bool keep_ends, Budget& budget);

// The first `limit` times where it is not negative; an empty `old` stands before every character.
Result<Text> replaced(const Text& text, const Text& old, const Text& with, int64_t limit, Budget& budget);

// To `width` characters with `fill`. kCenter puts the odd blank where Python does.
enum class Alignment : uint8_t { kLeft, kRight, kCenter };
Result<Text> aligned(const Text& text, int64_t width, const Text& fill, Alignment alignment, Budget& budget);

// `width` blanks, or `width` itself if it is a text, before every line but the first.
Result<Text> indented(const Text& text, const Value& width, bool first, bool blank, Budget& budget);

}  // namespace atelier::chat::jinja
