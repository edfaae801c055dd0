#include "text/charsmap.h"

#include <utf8proc.h>

#include <cstring>

#include "text/unicode.h"

namespace atelier {
namespace {

// Units of darts-clone: offset to the children (10..30, times 256 where bit 9 is set), whether a value hangs
// there (8), label (0..7); a value has bit 31.
constexpr uint32_t label(uint32_t unit) { return unit & (uint32_t{1} << 31 | 0xFF); }
constexpr bool has_leaf(uint32_t unit) { return (unit >> 8 & 1) != 0; }
constexpr uint32_t value(uint32_t unit) { return unit & ((uint32_t{1} << 31) - 1); }
constexpr uint32_t offset(uint32_t unit) { return unit >> 10 << ((unit & uint32_t{1} << 9) >> 6); }

constexpr size_t kShortGrapheme = 6;  // bytes

}  // namespace

Result<Charsmap> Charsmap::parse(std::string_view bytes) {
  uint32_t trie_bytes = 0;
  if (bytes.size() < sizeof(trie_bytes))
    return fail(ErrorCode::kCorrupt, "precompiled_charsmap: expected at least {} bytes, found {}",
                sizeof(trie_bytes), bytes.size());
  std::memcpy(&trie_bytes, bytes.data(), sizeof(trie_bytes));
  bytes.remove_prefix(sizeof(trie_bytes));
  if (trie_bytes > bytes.size() || trie_bytes % sizeof(uint32_t) != 0 || trie_bytes == 0)
    return fail(ErrorCode::kCorrupt, "precompiled_charsmap: a trie of {} bytes in {}", trie_bytes,
                bytes.size());
  Charsmap charsmap;
  charsmap.units_.resize(trie_bytes / sizeof(uint32_t));
  std::memcpy(charsmap.units_.data(), bytes.data(), trie_bytes);
  charsmap.replacements_ = bytes.substr(trie_bytes);
  if (valid_utf8_prefix(charsmap.replacements_) != charsmap.replacements_.size())
    return fail(ErrorCode::kCorrupt, "precompiled_charsmap: replacements are no UTF-8");
  return charsmap;
}

std::optional<Charsmap::Rule> Charsmap::find(std::string_view text, Prefer prefer) const {
  std::optional<Rule> found;
  size_t node = offset(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<uint8_t>(text[i]);
    node ^= byte;
    if (byte == 0 || node >= units_.size() || label(units_[node]) != byte) break;
    const uint32_t unit = units_[node];
    node ^= offset(unit);
    if (!has_leaf(unit)) continue;
    if (node >= units_.size()) break;
    const size_t start = value(units_[node]);
    if (start > replacements_.size()) break;
    const size_t end = std::min(replacements_.find('\0', start), replacements_.size());
    found = Rule{i + 1, std::string_view(replacements_).substr(start, end - start)};
    if (prefer == Prefer::kShortest) break;
  }
  return found;
}

void Charsmap::append_character(std::string_view character, std::string& out) const {
  const std::optional<Rule> rule = find(character, Prefer::kShortest);
  out += rule ? rule->replacement : character;
}

void Charsmap::append_by_graphemes(std::string_view text, std::string& out) const {
  const char* at = text.data();
  const char* end = at + text.size();
  while (at != end) {
    // One cluster; bytes that are no UTF-8 stand alone.
    const char* next = at;
    utf8proc_int32_t state = 0;
    Utf8Char c = decode_utf8(next, end);
    bool valid = c.valid;
    next += c.length;
    while (valid && next != end) {
      const Utf8Char following = decode_utf8(next, end);
      if (!following.valid ||
          utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(c.code_point),
                                           static_cast<utf8proc_int32_t>(following.code_point), &state) != 0)
        break;
      c = following;
      next += c.length;
    }
    const std::string_view cluster(at, static_cast<size_t>(next - at));
    const std::optional<Rule> rule =
        cluster.size() < kShortGrapheme ? find(cluster, Prefer::kShortest) : std::nullopt;
    if (rule) {
      out += rule->replacement;
    } else {
      for (const char* p = at; p != next;) {
        const size_t length = decode_utf8(p, end).length;
        append_character({p, length}, out);
        p += length;
      }
    }
    at = next;
  }
}

}  // namespace atelier
