// Sets of Unicode characters, and how they look in UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace atelier::constraint {

// Characters here are Unicode scalar values: 0 to 0x10FFFF without the surrogates.
inline constexpr char32_t kLastCodePoint = 0x10FFFF;

class CodePointSet {
 public:
  struct Range {
    char32_t first, last;  // both inside
    bool operator==(const Range&) const = default;
  };

  CodePointSet() = default;
  CodePointSet(std::initializer_list<Range> ranges) {
    for (const Range& range : ranges) add(range.first, range.last);
  }
  static CodePointSet all() { return {{0, kLastCodePoint}}; }

  // Surrogates in between are left out.
  void add(char32_t first, char32_t last);
  void add(char32_t c) { add(c, c); }
  void add(const CodePointSet& other);

  CodePointSet complement() const;
  CodePointSet intersect(const CodePointSet& other) const;
  CodePointSet minus(const CodePointSet& other) const { return intersect(other.complement()); }

  bool contains(char32_t c) const;
  bool empty() const { return ranges_.empty(); }
  size_t size() const;                                       // characters
  std::span<const Range> ranges() const { return ranges_; }  // ascending, with gaps between them
  bool operator==(const CodePointSet&) const = default;

 private:
  std::vector<Range> ranges_;
};

struct ByteRange {
  uint8_t first, last;  // both inside
  bool operator==(const ByteRange&) const = default;
};

// Calls `sequence` with 1 to 4 byte ranges at a time; together they are exactly the UTF-8 forms of the range.
void for_each_utf8_sequence(CodePointSet::Range range,
                            const std::function<void(std::span<const ByteRange>)>& sequence);

}  // namespace atelier::constraint
