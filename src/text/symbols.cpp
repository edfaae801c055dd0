#include "text/symbols.h"

#include <bit>

#include "base/check.h"

namespace atelier {

CharMap::CharMap() { pages_.emplace_back().fill(kNoToken); }

void CharMap::set(char32_t character, TokenId id) {
  ATELIER_CHECK(character <= kMaxCodePoint);
  uint16_t& page = page_of_[character / kPageSize];
  if (page == 0) {
    page = static_cast<uint16_t>(pages_.size());
    pages_.emplace_back().fill(kNoToken);
  }
  pages_[page][character % kPageSize] = id;
}

// 16 bits a pair: three bits set in a word of four pairs say yes for no about once in 150 times.
JoinablePairs::JoinablePairs(size_t expected_pairs)
    : bits_(std::bit_ceil(expected_pairs / 4 + 1)), mask_(bits_.size() - 1) {}

}  // namespace atelier
