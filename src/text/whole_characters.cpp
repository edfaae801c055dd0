#include "text/whole_characters.h"

#include <algorithm>
#include <array>

namespace atelier {
namespace {

constexpr bool is_continuation(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

// Bytes of the character that `lead` begins; 0 if it begins none, and for ASCII.
constexpr size_t promised_bytes(char lead) {
  const auto byte = static_cast<uint8_t>(lead);
  if (byte < 0xC2 || byte > 0xF4) return 0;
  return byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// One lead byte with fewer continuation bytes than it promises, and nothing else.
bool is_unfinished(std::string_view bytes) {
  return bytes.size() < promised_bytes(bytes[0]) &&
         std::all_of(bytes.begin() + 1, bytes.end(), is_continuation);
}

bool is_end(std::string_view bytes) {
  return bytes.size() <= 3 && std::all_of(bytes.begin(), bytes.end(), is_continuation);
}

bool is_character(std::string_view bytes) {
  return bytes.size() >= 2 && bytes.size() <= 4 &&
         decode_utf8(bytes.data(), bytes.data() + bytes.size()).length == bytes.size();
}

}  // namespace

WholeCharacters::WholeCharacters()
    : joins_front_(256 * 256, MergeTable::kNoMerge), joins_back_(256 * 256, MergeTable::kNoMerge) {}

void WholeCharacters::note_merge(std::string_view left, std::string_view right, TokenId left_id,
                                 TokenId right_id, Rank rank) {
  if (left.empty() || right.empty()) return;
  const size_t joint = index(static_cast<uint8_t>(left.back()), static_cast<uint8_t>(right.front()));
  if (is_unfinished(right)) joins_front_[joint] = std::min(joins_front_[joint], rank);
  if (is_end(left)) joins_back_[joint] = std::min(joins_back_[joint], rank);
  note_use(left, left_id, rank);
  note_use(right, right_id, rank);
}

void WholeCharacters::note_use(std::string_view part, TokenId id, Rank rank) {
  if (!is_character(part)) return;
  const auto i = static_cast<size_t>(id);
  if (i >= first_uses_.size()) first_uses_.resize(i + 1, MergeTable::kNoMerge);
  first_uses_[i] = std::min(first_uses_[i], rank);
}

WholeCharacters::Rank WholeCharacters::first_use(TokenId id) const {
  const auto i = static_cast<size_t>(id);
  return i < first_uses_.size() ? first_uses_[i] : MergeTable::kNoMerge;
}

void WholeCharacters::finish(const StringTable& pieces, const MergeTable& merges,
                             std::span<const TokenId, 256> byte_ids) {
  // Bytes that are no tokens may vanish: what stands beside a character is then something else.
  for (int byte = 0; byte < 256; ++byte) {
    if (byte_ids[static_cast<size_t>(byte)] != kNoToken) continue;
    for (int other = 0; other < 256; ++other)
      joins_front_[index(byte, other)] = joins_back_[index(other, byte)] = 0;
  }
  pieces.for_each([&](std::string_view bytes, TokenId token) {
    if (!is_character(bytes)) return;
    std::array<TokenId, 4> symbols{};
    for (size_t i = 0; i < bytes.size(); ++i) {
      symbols[i] = byte_ids[static_cast<uint8_t>(bytes[i])];
      if (symbols[i] == kNoToken) return;
    }
    Rank highest = 0;
    for (size_t n = bytes.size(); n > 1; --n) {
      size_t best = 0;
      Rank best_rank = MergeTable::kNoMerge;
      for (size_t i = 0; i + 1 < n; ++i) {
        const Rank rank = merges.rank(symbols[i], symbols[i + 1]);
        if (rank < best_rank) {
          best_rank = rank;
          best = i;
        }
      }
      if (best_rank == MergeTable::kNoMerge) return;
      symbols[best] = merges.merged(best_rank);
      std::copy(symbols.begin() + best + 2, symbols.begin() + n, symbols.begin() + best + 1);
      highest = std::max(highest, best_rank);
    }
    if (symbols[0] != token || first_use(token) <= highest) return;
    const char32_t character = decode_utf8(bytes.data(), bytes.data() + bytes.size()).code_point;
    ids_.set(character, token);
    ranks_.set(character, static_cast<TokenId>(highest));
  });
  first_uses_ = {};
}

}  // namespace atelier
