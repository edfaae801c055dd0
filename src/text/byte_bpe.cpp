#include "text/byte_bpe.h"

#include <algorithm>

#include "base/check.h"
#include "text/byte_alphabet.h"

namespace atelier {
namespace {

// Pieces up to this size are merged in arrays on the stack.
constexpr size_t kStackSymbols = 256;

}  // namespace

ByteBpe::ByteBpe(const ByteBpeOptions& options, StringTable pieces, MergeTable merges)
    : options_(options), pieces_(std::move(pieces)), merges_(std::move(merges)) {
  TokenId highest = 0;
  pieces_.for_each([&](std::string_view, TokenId id) { highest = std::max(highest, id); });
  if (!options_.ignore_merges)
    whole_ = std::make_unique<std::atomic<uint8_t>[]>(static_cast<size_t>(highest) + 1);
  for (size_t b = 0; b < byte_ids_.size(); ++b) {
    const char byte = static_cast<char>(b);
    byte_ids_[b] = pieces_.find({&byte, 1});
  }
  byte_pair_ranks_.assign(byte_ids_.size() * byte_ids_.size(), MergeTable::kNoMerge);
  for (size_t a = 0; a < byte_ids_.size(); ++a)
    for (size_t b = 0; b < byte_ids_.size(); ++b)
      byte_pair_ranks_[a * byte_ids_.size() + b] = merges_.rank(byte_ids_[a], byte_ids_[b]);
}

void ByteBpe::encode(std::string_view piece, std::vector<TokenId>& ids) const {
  const TokenId token = pieces_.find(piece);
  if (token == kNoToken) return merge(piece, ids);
  if (options_.ignore_merges) {
    ids.push_back(token);
    return;
  }
  std::atomic<uint8_t>& state = whole_[static_cast<size_t>(token)];
  switch (state.load(std::memory_order_relaxed)) {
    case kWhole:
      ids.push_back(token);
      return;
    case kParts:
      merge(piece, ids);
      return;
    default: {
      const size_t before = ids.size();
      merge(piece, ids);
      const bool whole = ids.size() == before + 1 && ids.back() == token;
      state.store(whole ? kWhole : kParts, std::memory_order_relaxed);
    }
  }
}

void ByteBpe::merge(std::string_view piece, std::vector<TokenId>& ids) const {
  std::array<TokenId, kStackSymbols> stack_symbols;
  std::array<MergeTable::Rank, kStackSymbols> stack_ranks;
  std::vector<TokenId> heap_symbols;
  std::vector<MergeTable::Rank> heap_ranks;
  TokenId* symbols = stack_symbols.data();
  MergeTable::Rank* ranks = stack_ranks.data();
  if (piece.size() > kStackSymbols) {
    heap_symbols.resize(piece.size());
    heap_ranks.resize(piece.size());
    symbols = heap_symbols.data();
    ranks = heap_ranks.data();
  }
  size_t n = 0;
  bool after_unk = false;
  size_t previous = 0;  // byte of the last symbol
  for (const char c : piece) {
    const size_t byte = static_cast<uint8_t>(c);
    TokenId id = byte_ids_[byte];
    const bool unknown = id == kNoToken;
    if (unknown) {
      if (!options_.unk || (options_.fuse_unk && after_unk)) continue;
      id = *options_.unk;
    }
    if (n > 0)
      ranks[n - 1] = unknown || after_unk ? merges_.rank(symbols[n - 1], id)
                                          : byte_pair_ranks_[previous * byte_ids_.size() + byte];
    symbols[n++] = id;
    after_unk = unknown;
    previous = byte;
  }
  const size_t merged = merges_.merge({symbols, n}, {ranks, n});
  ids.insert(ids.end(), symbols, symbols + merged);
}

ByteBpeBuilder::ByteBpeBuilder(size_t expected_tokens, std::set<std::string, std::less<>> controls)
    : controls_(std::move(controls)), pieces_(expected_tokens) {}

Status ByteBpeBuilder::add_token(std::string_view text, TokenId id) {
  if (id < 0 || id > kMaxTokenId)
    return fail(ErrorCode::kLimit, "token \"{}\": expected an id from 0 to {}, found {}", text, kMaxTokenId,
                id);
  left_.clear();
  if (byte_alphabet::append_bytes(text, left_) && !controls_.contains(text)) return pieces_.insert(left_, id);
  return outside_.insert(text, id);
}

TokenId ByteBpeBuilder::find_spelled(std::string_view text, std::string& bytes, bool& outside) const {
  bytes.clear();
  outside = false;
  if (byte_alphabet::append_bytes(text, bytes))
    if (const TokenId id = pieces_.find(bytes); id != kNoToken) return id;
  outside = true;
  return outside_.find(text);
}

TokenId ByteBpeBuilder::find(std::string_view text) const {
  std::string bytes;
  bool outside = false;
  return find_spelled(text, bytes, outside);
}

Status ByteBpeBuilder::add_merge(std::string_view left, std::string_view right) {
  const size_t index = n_merges_++;
  bool left_outside = false;
  bool right_outside = false;
  const TokenId left_id = find_spelled(left, left_, left_outside);
  const TokenId right_id = find_spelled(right, right_, right_outside);
  if (left_id == kNoToken || right_id == kNoToken)
    return fail(ErrorCode::kCorrupt, "merge {}: \"{}\" is no token", index,
                left_id == kNoToken ? left : right);
  if (!left_outside && !right_outside) {
    left_ += right_;
    if (const TokenId merged = pieces_.find(left_); merged != kNoToken) {
      merges_.add(left_id, right_id, merged);
      return {};
    }
  }
  // With a part or a result that text never becomes, the merge can never happen; but it must make sense.
  if (outside_.find(std::string(left).append(right)) == kNoToken)
    return fail(ErrorCode::kCorrupt, "merge {}: \"{}{}\" is no token", index, left, right);
  return {};
}

Status ByteBpeBuilder::fill(TokenTexts& texts) const {
  TokenId twice = kNoToken;
  const auto enter = [&](std::string_view bytes, TokenId id) {
    if (texts.contains(id)) twice = id;
    texts.set(id, bytes);
  };
  pieces_.for_each(enter);
  outside_.for_each(enter);
  if (twice != kNoToken) return fail(ErrorCode::kCorrupt, "two tokens have the id {}", twice);
  return {};
}

Result<std::unique_ptr<ByteBpe>> ByteBpeBuilder::build(const ByteBpeOptions& options) && {
  ATELIER_CHECK_OK(merges_.finish());
  return std::unique_ptr<ByteBpe>(new ByteBpe(options, std::move(pieces_), std::move(merges_)));
}

}  // namespace atelier
