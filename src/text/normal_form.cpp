#include "text/normal_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <span>
#include <vector>

#include "base/check.h"
#include "text/unicode.h"

namespace atelier {
namespace {

using CodePoint = utf8proc_int32_t;

utf8proc_option_t options_of(NormalForm form) {
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  return static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                        (compatible ? UTF8PROC_COMPAT : 0));
}
bool composes(NormalForm form) { return form == NormalForm::kNfc || form == NormalForm::kNfkc; }

int combining_class(CodePoint c) { return utf8proc_get_property(c)->combining_class; }

// No character decomposes into more than 18.
constexpr size_t kMaxDecomposition = 32;
std::span<const CodePoint> decompose(CodePoint c, NormalForm form,
                                     std::array<CodePoint, kMaxDecomposition>& buffer) {
  int last_boundary = 0;
  const utf8proc_ssize_t n =
      utf8proc_decompose_char(c, buffer.data(), std::ssize(buffer), options_of(form), &last_boundary);
  ATELIER_CHECK(n >= 0 && n <= std::ssize(buffer));
  return std::span(buffer).first(static_cast<size_t>(n));
}

// Characters that a form leaves alone, and across whose front nothing combines: most text is nothing else.
// Beyond the basic plane none are known to be.
class InertCharacters {
 public:
  static const InertCharacters& get() {
    static const InertCharacters table;
    return table;
  }
  bool contains(char32_t c, NormalForm form) const {
    return c < 0x80 || (c < forms_.size() && (forms_[c] >> static_cast<unsigned>(form) & 1) != 0);
  }

 private:
  InertCharacters() {
    std::vector<bool> joins(forms_.size());  // combines with a character in front of it
    std::array<CodePoint, kMaxDecomposition> buffer{};
    for (CodePoint c = 0; c < std::ssize(forms_); ++c) {
      const auto index = static_cast<size_t>(c);
      if (c >= 0xD800 && c < 0xE000) continue;
      for (const NormalForm form : {NormalForm::kNfd, NormalForm::kNfkd}) {
        const auto parts = decompose(c, form, buffer);
        const bool composed_again = form == NormalForm::kNfd && parts.size() > 1;
        if (composed_again)
          for (const CodePoint part : parts.subspan(1))
            if (static_cast<size_t>(part) < joins.size()) joins[static_cast<size_t>(part)] = true;
        if (parts.size() == 1 && parts[0] == c && combining_class(c) == 0) set(index, form);
      }
    }
    for (size_t c = 0; c < forms_.size(); ++c) {
      if (joins[c]) continue;
      if (has(c, NormalForm::kNfd)) set(c, NormalForm::kNfc);
      if (has(c, NormalForm::kNfkd)) set(c, NormalForm::kNfkc);
    }
    // Syllables decompose, and are composed again by rule.
    for (size_t c = 0xAC00; c <= 0xD7A3; ++c) {
      set(c, NormalForm::kNfc);
      set(c, NormalForm::kNfkc);
    }
  }
  void set(size_t c, NormalForm form) {
    forms_[c] = static_cast<uint8_t>(forms_[c] | 1u << static_cast<unsigned>(form));
  }
  bool has(size_t c, NormalForm form) const { return (forms_[c] >> static_cast<unsigned>(form) & 1) != 0; }
  std::array<uint8_t, 0x10000> forms_{};
};

// Characters with a combining class or a decomposition that came after Unicode 9, which is what Hugging
// Face's tokenizers know: there they are starters that nothing combines with, and so they are here.
struct CodeRange {
  char32_t first, last;
};
constexpr CodeRange kAfterUnicode9[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
    {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x1715, 0x1715},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFA},
    {0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},   {0xA82C, 0xA82C},   {0xAB69, 0xAB69},   {0x10781, 0x10785},
    {0x10787, 0x107B0}, {0x107B2, 0x107BA}, {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E},
    {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x11935, 0x11935}, {0x11938, 0x11938}, {0x1193D, 0x1193E},
    {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99},
    {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1},
    {0x1E030, 0x1E06D}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF},
    {0x1E4EC, 0x1E4EF}, {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9},
};
bool came_after_unicode_9(char32_t c) {
  const auto* range = std::ranges::lower_bound(kAfterUnicode9, c, {}, &CodeRange::last);
  return range != std::end(kAfterUnicode9) && range->first <= c;
}

// Sorts each run of marks by combining class, those of one class staying in order.
void order_marks(std::vector<CodePoint>& points) {
  struct Mark {
    int combining;
    size_t position;
    CodePoint point;
  };
  std::vector<Mark> marks;
  for (size_t i = 0; i < points.size(); ++i) {
    marks.clear();
    bool sorted = true;
    for (; i < points.size(); ++i) {
      const int combining = combining_class(points[i]);
      if (combining == 0) break;
      sorted &= marks.empty() || marks.back().combining <= combining;
      marks.push_back({combining, i, points[i]});
    }
    if (sorted) continue;
    const size_t first = marks[0].position;
    std::sort(marks.begin(), marks.end(), [](const Mark& a, const Mark& b) {
      return a.combining != b.combining ? a.combining < b.combining : a.position < b.position;
    });
    for (size_t k = 0; k < marks.size(); ++k) points[first + k] = marks[k].point;
  }
}

void append_run(std::string_view run, NormalForm form, std::vector<CodePoint>& points, std::string& out) {
  points.clear();
  std::array<CodePoint, kMaxDecomposition> buffer{};
  const char* end = run.data() + run.size();
  for (const char* at = run.data(); at != end;) {
    const Utf8Char c = decode_utf8(at, end);
    const auto parts = decompose(static_cast<CodePoint>(c.code_point), form, buffer);
    points.insert(points.end(), parts.begin(), parts.end());
    at += c.length;
  }
  order_marks(points);
  auto n = std::ssize(points);
  if (composes(form)) {
    n = utf8proc_normalize_utf32(points.data(), n,
                                 static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    ATELIER_CHECK(n >= 0);
  }
  for (const CodePoint c : std::span(points).first(static_cast<size_t>(n)))
    append_utf8(static_cast<char32_t>(c), out);
}

}  // namespace

void append_normal_form(std::string_view text, NormalForm form, std::string& out) {
  const InertCharacters& inert = InertCharacters::get();
  std::vector<CodePoint> points;
  const char* end = text.data() + text.size();
  const char* copied = text.data();  // up to where `out` has the text
  const char* last = nullptr;        // the inert character in front of `at`, if there is one
  for (const char* at = text.data(); at != end;) {
    const Utf8Char c = decode_utf8(at, end);
    if (!c.valid || inert.contains(c.code_point, form)) {
      last = c.valid ? at : nullptr;
      at += c.length;
      continue;
    }
    if (came_after_unicode_9(c.code_point)) {
      last = nullptr;
      at += c.length;
      continue;
    }
    const char* begin = last != nullptr ? last : at;
    out.append(copied, begin);
    const char* run_end = at + c.length;
    for (; run_end != end;) {
      const Utf8Char next = decode_utf8(run_end, end);
      if (!next.valid || inert.contains(next.code_point, form) || came_after_unicode_9(next.code_point))
        break;
      run_end += next.length;
    }
    append_run({begin, static_cast<size_t>(run_end - begin)}, form, points, out);
    at = copied = run_end;
    last = nullptr;
  }
  out.append(copied, end);
}

void append_lowercase(std::string_view text, std::string& out) {
  const char* end = text.data() + text.size();
  for (const char* at = text.data(); at != end;) {
    const Utf8Char c = decode_utf8(at, end);
    if (!c.valid) {
      out.append(at, c.length);
    } else if (c.code_point == 0x130) {  // İ: the only one whose lower case has two characters
      out += "i\xCC\x87";
    } else {
      append_utf8(static_cast<char32_t>(utf8proc_tolower(static_cast<CodePoint>(c.code_point))), out);
    }
    at += c.length;
  }
}

}  // namespace atelier
