#include "engine/constraint/code_points.h"

#include <algorithm>
#include <array>

namespace atelier::constraint {
namespace {

constexpr char32_t kFirstSurrogate = 0xD800, kLastSurrogate = 0xDFFF;

struct Encoded {
  std::array<uint8_t, 4> bytes;
  size_t size;
};

Encoded encode(char32_t c) {
  const auto tail = [c](int shift) { return static_cast<uint8_t>(0x80 | (c >> shift & 0x3F)); };
  if (c < 0x80) return {{static_cast<uint8_t>(c)}, 1};
  if (c < 0x800) return {{static_cast<uint8_t>(0xC0 | c >> 6), tail(0)}, 2};
  if (c < 0x10000) return {{static_cast<uint8_t>(0xE0 | c >> 12), tail(6), tail(0)}, 3};
  return {{static_cast<uint8_t>(0xF0 | c >> 18), tail(12), tail(6), tail(0)}, 4};
}

}  // namespace

void CodePointSet::add(char32_t first, char32_t last) {
  last = std::min(last, kLastCodePoint);
  if (first > last) return;
  if (first <= kLastSurrogate && last >= kFirstSurrogate) {
    if (first < kFirstSurrogate) add(first, kFirstSurrogate - 1);
    if (last > kLastSurrogate) add(kLastSurrogate + 1, last);
    return;
  }
  // Neighbours merge, also across the hole of the surrogates' two sides: they stay two ranges.
  auto at = std::ranges::lower_bound(ranges_, first, {}, [](const Range& r) { return r.last + 1; });
  auto end = at;
  while (end != ranges_.end() && end->first <= last + 1) {
    first = std::min(first, end->first);
    last = std::max(last, end->last);
    ++end;
  }
  at = ranges_.erase(at, end);
  ranges_.insert(at, {first, last});
}

void CodePointSet::add(const CodePointSet& other) {
  for (const Range& range : other.ranges_) add(range.first, range.last);
}

CodePointSet CodePointSet::complement() const {
  CodePointSet out;
  char32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) out.add(next, range.first - 1);
    next = range.last + 1;
  }
  if (next <= kLastCodePoint) out.add(next, kLastCodePoint);
  return out;
}

CodePointSet CodePointSet::intersect(const CodePointSet& other) const {
  CodePointSet out;
  size_t i = 0, j = 0;
  while (i < ranges_.size() && j < other.ranges_.size()) {
    const Range& a = ranges_[i];
    const Range& b = other.ranges_[j];
    const char32_t first = std::max(a.first, b.first), last = std::min(a.last, b.last);
    if (first <= last) out.ranges_.push_back({first, last});
    if (a.last < b.last) {
      ++i;
    } else {
      ++j;
    }
  }
  return out;
}

bool CodePointSet::contains(char32_t c) const {
  const auto at = std::ranges::lower_bound(ranges_, c, {}, &Range::last);
  return at != ranges_.end() && at->first <= c;
}

size_t CodePointSet::size() const {
  size_t n = 0;
  for (const Range& range : ranges_) n += range.last - range.first + 1;
  return n;
}

// Splits at the lengths of the encoding, then so that in every piece each byte runs through a range of its
// own: only the first byte that differs may be anything but a constant or the full range of tails.
void for_each_utf8_sequence(CodePointSet::Range range,
                            const std::function<void(std::span<const ByteRange>)>& sequence) {
  std::vector<CodePointSet::Range> work = {range};
  while (!work.empty()) {
    auto [first, last] = work.back();
    work.pop_back();
    bool split = false;
    for (const char32_t limit : {U'\x7F', U'\u07FF', U'\uFFFF'}) {
      if (first > limit || last <= limit) continue;
      work.push_back({limit + 1, last});
      work.push_back({first, limit});
      split = true;
      break;
    }
    if (split) continue;
    const size_t n = encode(first).size;
    for (size_t tails = 1; tails < n && !split; ++tails) {
      const char32_t mask = (char32_t{1} << (6 * tails)) - 1;
      if ((first & ~mask) == (last & ~mask)) continue;
      if ((first & mask) != 0) {
        work.push_back({(first | mask) + 1, last});
        work.push_back({first, first | mask});
        split = true;
      } else if ((last & mask) != mask) {
        work.push_back({last & ~mask, last});
        work.push_back({first, (last & ~mask) - 1});
        split = true;
      }
    }
    if (split) continue;
    const Encoded low = encode(first), high = encode(last);
    std::array<ByteRange, 4> bytes{};
    for (size_t i = 0; i < n; ++i) bytes[i] = {low.bytes[i], high.bytes[i]};
    sequence(std::span(bytes).first(n));
  }
}

}  // namespace atelier::constraint
