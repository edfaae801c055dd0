// What turns one piece of text (a word, a run of spaces) into tokens.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

#include "text/vocab.h"

namespace atelier {

// Where pieces of the text at hand that took work were encoded first: the same words come again. An entry
// points at the piece in the text and at its ids in the output, so the text must stay where it is, and ids
// may only be appended.
class PieceCache {
 public:
  static constexpr size_t kMaxPieceBytes = 255;

  struct Entry {
    uint64_t key = 0;  // 0: free
    const char* piece = nullptr;
    uint32_t first_id = 0;
    uint16_t n_ids = 0;
    uint16_t length = 0;
    bool holds(uint64_t wanted, std::string_view bytes) const {
      return key == wanted && length == bytes.size() && std::memcmp(piece, bytes.data(), bytes.size()) == 0;
    }
  };

  // `text_bytes`: size of the text that pieces will be of.
  explicit PieceCache(size_t text_bytes)
      : entries_(std::bit_ceil(std::clamp<size_t>(text_bytes / 32, 1, 4096))) {}
  Entry& at(size_t hash) { return entries_[hash & (entries_.size() - 1)]; }

 private:
  std::vector<Entry> entries_;
};

class PieceModel {
 public:
  // How many pieces encode() is given at most.
  static constexpr size_t kMaxBatch = 32;

  virtual ~PieceModel() = default;
  // Appends the ids of each piece, none of which is empty, in order. Safe to call from several threads.
  virtual void encode(std::span<const std::string_view> pieces, PieceCache& cache,
                      std::vector<TokenId>& ids) const = 0;
  // The token that stands for exactly these bytes, or kNoToken.
  virtual TokenId find(std::string_view bytes) const = 0;
};

}  // namespace atelier
