#include "text/bpe.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace atelier {
namespace {

size_t one_past_highest(const StringTable& pieces) {
  TokenId highest = -1;
  pieces.for_each([&](std::string_view, TokenId id) { highest = std::max(highest, id); });
  return static_cast<size_t>(highest) + 1;
}

}  // namespace

Bpe::Bpe(BpeOptions options, Parts parts)
    : options_(std::move(options)),
      symbols_(parts.symbols),
      pieces_(std::move(parts.pieces)),
      merges_(std::move(parts.merges)),
      characters_(std::move(parts.characters)),
      joinable_(std::move(parts.joinable)),
      cuts_pieces_(parts.cuts_pieces),
      whole_characters_(std::move(parts.whole_characters)) {
  if (!options_.ignore_merges) whole_ = std::make_unique<std::atomic<uint8_t>[]>(one_past_highest(pieces_));
  if (symbols_ == BpeSymbols::kCharacters) return;
  for (size_t b = 0; b < byte_ids_.size(); ++b) {
    const char byte = static_cast<char>(b);
    byte_ids_[b] = pieces_.find({&byte, 1});
  }
  byte_pair_ranks_.assign(byte_ids_.size() * byte_ids_.size(), MergeTable::kNoMerge);
  for (size_t a = 0; a < byte_ids_.size(); ++a)
    for (size_t b = 0; b < byte_ids_.size(); ++b)
      if (byte_ids_[a] != kNoToken && byte_ids_[b] != kNoToken)
        byte_pair_ranks_[a * byte_ids_.size() + b] = merges_.rank(byte_ids_[a], byte_ids_[b]);
  whole_characters_.finish(pieces_, merges_, byte_ids_);
}

template <class Push>
void Bpe::for_each_byte(std::string_view piece, Push&& push) const {
  constexpr int kNone = WholeCharacters::kNone;
  bool after_unk = false;
  TokenId before = kNoToken;
  int before_byte = kNone;  // the byte that is the last symbol
  const auto put_byte = [&](uint8_t byte) {
    TokenId id = byte_ids_[byte];
    const bool unknown = id == kNoToken;
    if (unknown) {
      if (!options_.unk || (options_.fuse_unk && after_unk)) return;
      id = *options_.unk;
    }
    MergeTable::Rank rank = MergeTable::kNoMerge;
    if (before_byte != kNone && !unknown)
      rank = byte_pair_ranks_[static_cast<size_t>(before_byte) * byte_ids_.size() + byte];
    else if (before != kNoToken)
      rank = merges_.rank(before, id);
    push(id, rank);
    before = id;
    before_byte = unknown ? kNone : byte;
    after_unk = unknown;
  };
  const auto byte_at = [](const char* at) { return static_cast<uint8_t>(*at); };
  const char* begin = piece.data();
  const char* end = begin + piece.size();
  for (const char* at = begin; at != end;) {
    if (byte_at(at) < 0x80) {
      put_byte(byte_at(at++));
      continue;
    }
    const Utf8Char c = decode_utf8(at, end);
    const char* next = at + c.length;
    TokenId id = kNoToken;
    if (c.valid)
      id = whole_characters_.find(c.code_point, at == begin ? kNone : byte_at(at - 1), byte_at(at),
                                  byte_at(next - 1), next == end ? kNone : byte_at(next));
    if (id == kNoToken) {
      while (at != next) put_byte(byte_at(at++));
      continue;
    }
    push(id, before == kNoToken ? MergeTable::kNoMerge : merges_.rank(before, id));
    before = id;
    before_byte = kNone;
    after_unk = false;
    at = next;
  }
}

// An unknown character is held back until the next known one, so that characters spelled in bytes overtake
// it: Hugging Face's BPE::merge_word does so.
template <class Push>
void Bpe::for_each_character(std::string_view piece, Push&& push) const {
  TokenId before = kNoToken;
  const auto put = [&](TokenId id) {
    push(id, before == kNoToken ? MergeTable::kNoMerge : merges_.rank(before, id));
    before = id;
  };
  bool unk_held = false;
  const auto spell = [&](std::string_view character) {
    if (options_.byte_tokens.empty()) return false;
    for (const char c : character)
      if (options_.byte_tokens[static_cast<uint8_t>(c)] == kNoToken) return false;
    for (const char c : character) put(options_.byte_tokens[static_cast<uint8_t>(c)]);
    return true;
  };
  const char* at = piece.data();
  const char* end = at + piece.size();
  while (at != end) {
    const Utf8Char c = decode_utf8(at, end);
    const TokenId id = c.valid ? characters_[c.code_point] : kNoToken;
    if (id != kNoToken) {
      if (std::exchange(unk_held, false)) put(*options_.unk);
      put(id);
    } else if (!spell({at, c.length}) && options_.unk) {
      if (unk_held && !options_.fuse_unk) put(*options_.unk);
      unk_held = true;
    }
    at += c.length;
  }
  if (unk_held) put(*options_.unk);
}

template <class Push>
void Bpe::for_each_symbol(std::string_view piece, Push&& push) const {
  if (symbols_ == BpeSymbols::kBytes)
    for_each_byte(piece, push);
  else
    for_each_character(piece, push);
}

// What becomes of the pieces of one call: all wait for memory together, first for the slots of their texts,
// then, merge by merge, for those of their pairs.
struct Bpe::Batch {
  enum class Kind : uint8_t { kToken, kCached, kJob, kLong };
  struct Piece {
    std::string_view text;
    StringTable::Probe probe;
    TokenId token;  // what is spelled like the piece, or kNoToken
    Kind kind;
    uint32_t n_ids;  // kCached: these of the ids before
    size_t first_id;
    size_t job;  // kJob
  };
  std::array<Piece, kMaxBatch> pieces;
  std::array<MergeJob, kMaxBatch> jobs;
  size_t n_jobs = 0;
};

void Bpe::encode(std::span<const std::string_view> pieces, PieceCache& cache,
                 std::vector<TokenId>& ids) const {
  ATELIER_CHECK(pieces.size() <= kMaxBatch);
  if (!cuts_pieces_) return encode_batch(pieces, cache, ids);
  for (const std::string_view piece : pieces) encode_cut(piece, cache, ids);
}

// Cuts the piece where no merge reaches across, mostly in front of a word.
void Bpe::encode_cut(std::string_view piece, PieceCache& cache, std::vector<TokenId>& ids) const {
  std::array<std::string_view, kMaxBatch> parts;
  size_t n = 0;
  const auto take = [&](const char* begin, const char* end) {
    parts[n++] = {begin, static_cast<size_t>(end - begin)};
    if (n < parts.size()) return;
    encode_batch(parts, cache, ids);
    n = 0;
  };
  const char* start = piece.data();
  const char* end = start + piece.size();
  TokenId before = kNoToken;
  for (const char* at = start; at != end;) {
    const Utf8Char c = decode_utf8(at, end);
    const TokenId id = c.valid ? characters_[c.code_point] : kNoToken;
    // Unknown characters stay with their neighbours: runs of them may become one token.
    if (id != kNoToken && before != kNoToken && !joinable_.contains(before, id)) {
      take(start, at);
      start = at;
    }
    before = id;
    at += c.length;
  }
  if (start != end) take(start, end);
  encode_batch(std::span(parts).first(n), cache, ids);
}

void Bpe::encode_batch(std::span<const std::string_view> pieces, PieceCache& cache,
                       std::vector<TokenId>& ids) const {
  Batch batch;
  for (size_t i = 0; i < pieces.size(); ++i) {
    batch.pieces[i].text = pieces[i];
    batch.pieces[i].probe = pieces_.prepare(pieces[i]);
  }
  for (size_t i = 0; i < pieces.size(); ++i) look_up(i, batch, cache);
  std::array<MergeJob*, kMaxBatch> active;
  for (size_t i = 0; i < batch.n_jobs; ++i) active[i] = &batch.jobs[i];
  for (size_t n = batch.n_jobs; n > 0;) {
    size_t left = 0;
    for (size_t i = 0; i < n; ++i)
      if (active[i]->step(merges_)) active[left++] = active[i];
    n = left;
  }
  for (size_t i = 0; i < pieces.size(); ++i) append(i, batch, cache, ids);
}

// Decides how a piece is encoded, and starts the job if that takes one.
void Bpe::look_up(size_t piece, Batch& batch, PieceCache& cache) const {
  using Kind = Batch::Kind;
  Batch::Piece& p = batch.pieces[piece];
  p.token = pieces_.find(p.text, p.probe);
  if (p.token != kNoToken && whole_state(p.token) == kWhole) {
    p.kind = Kind::kToken;
    return;
  }
  if (p.text.size() <= PieceCache::kMaxPieceBytes) {
    const PieceCache::Entry& entry = cache.at(p.probe.slot);
    if (entry.holds(p.probe.key, p.text)) {
      p.kind = Kind::kCached;
      p.first_id = entry.first_id;
      p.n_ids = entry.n_ids;
      return;
    }
  }
  // No more symbols than bytes.
  if (p.text.size() > MergeJob::kMaxSymbols) {
    p.kind = Kind::kLong;
    return;
  }
  p.kind = Kind::kJob;
  p.job = batch.n_jobs++;
  MergeJob& job = batch.jobs[p.job];
  job.start();
  for_each_symbol(p.text, [&job](TokenId id, MergeTable::Rank rank) { job.push(id, rank); });
  job.ready();
}

void Bpe::append(size_t piece, Batch& batch, PieceCache& cache, std::vector<TokenId>& ids) const {
  const Batch::Piece& p = batch.pieces[piece];
  const size_t n = ids.size();
  switch (p.kind) {
    case Batch::Kind::kToken:
      ids.push_back(p.token);
      return;
    case Batch::Kind::kCached:
      ids.resize(n + p.n_ids);
      std::copy_n(ids.begin() + static_cast<std::ptrdiff_t>(p.first_id), p.n_ids,
                  ids.begin() + static_cast<std::ptrdiff_t>(n));
      return;
    case Batch::Kind::kJob: {
      const std::span<const TokenId> symbols = batch.jobs[p.job].symbols();
      ids.insert(ids.end(), symbols.begin(), symbols.end());
      break;
    }
    case Batch::Kind::kLong:
      merge_long(p.text, ids);
      break;
  }
  if (p.token != kNoToken) {
    const bool whole = ids.size() == n + 1 && ids.back() == p.token;
    whole_[static_cast<size_t>(p.token)].store(whole ? kWhole : kParts, std::memory_order_relaxed);
  }
  if (p.text.size() <= PieceCache::kMaxPieceBytes && ids.size() <= UINT32_MAX)
    cache.at(p.probe.slot) = {p.probe.key, p.text.data(), static_cast<uint32_t>(n),
                              static_cast<uint16_t>(ids.size() - n), static_cast<uint16_t>(p.text.size())};
}

void Bpe::merge_long(std::string_view piece, std::vector<TokenId>& ids) const {
  std::vector<TokenId> symbols;
  std::vector<MergeTable::Rank> ranks;  // [i]: of symbols i and i + 1
  symbols.reserve(piece.size());
  ranks.reserve(piece.size());
  for_each_symbol(piece, [&](TokenId id, MergeTable::Rank rank) {
    if (!symbols.empty()) ranks.push_back(rank);
    symbols.push_back(id);
  });
  if (!symbols.empty()) ranks.push_back(MergeTable::kNoMerge);
  symbols.resize(merges_.merge(symbols, ranks));
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

}  // namespace atelier
