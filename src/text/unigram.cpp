#include "text/unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"
#include "text/unicode.h"

namespace atelier {
namespace {

// How much less likely than the least likely token an unknown character is. Source: google/sentencepiece,
// src/unigram_model.cc, kUnkPenalty.
constexpr double kUnkPenalty = 10.0;

}  // namespace

// The best way to spell the piece up to here: its last token and where that starts.
struct Unigram::Node {
  double score = 0;
  size_t start = SIZE_MAX;  // SIZE_MAX: nothing ends here
  TokenId id = kNoToken;
};

struct Unigram::Scratch {
  std::vector<Node> nodes;  // [i]: what ends at byte i
  std::vector<size_t> ends;
};

Result<std::unique_ptr<Unigram>> Unigram::create(std::span<const UnigramToken> tokens,
                                                 UnigramOptions options) {
  if (options.unk < 0 || static_cast<size_t>(options.unk) >= tokens.size())
    return fail(ErrorCode::kCorrupt, "unk_id: expected an id below {}, found {}", tokens.size(), options.unk);
  std::unique_ptr<Unigram> model(new Unigram);
  model->options_ = std::move(options);
  model->pieces_ = StringTable(tokens.size());
  model->scores_.reserve(tokens.size());
  double lowest = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < tokens.size(); ++i) {
    const UnigramToken& token = tokens[i];
    if (!std::isfinite(token.score))
      return fail(ErrorCode::kCorrupt, "token \"{}\": its score is not a number", token.text);
    if (token.in_text && token.text.size() > kMaxUnigramTokenBytes)
      return fail(ErrorCode::kLimit, "token {}: expected at most {} bytes, found {}", i,
                  kMaxUnigramTokenBytes, token.text.size());
    lowest = std::min(lowest, token.score);
    model->scores_.push_back(token.score);
    if (!token.in_text || token.text.empty()) continue;
    ATELIER_TRY([[maybe_unused]] const TokenId before,
                model->pieces_.insert(token.text, static_cast<TokenId>(i)));
  }
  model->unk_score_ = lowest - kUnkPenalty;
  std::vector<ByteTrie::Entry> entries;
  entries.reserve(model->pieces_.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (tokens[i].in_text && !tokens[i].text.empty() && model->pieces_.find(tokens[i].text) == id)
      entries.push_back({tokens[i].text, id});
  }
  ATELIER_TRY(model->trie_, ByteTrie::build(std::move(entries)));
  return model;
}

void Unigram::encode(std::span<const std::string_view> pieces, PieceCache& cache,
                     std::vector<TokenId>& ids) const {
  Scratch scratch;
  for (const std::string_view piece : pieces) {
    const StringTable::Probe probe = pieces_.prepare(piece);
    const size_t n = ids.size();
    if (piece.size() > PieceCache::kMaxPieceBytes) {
      encode_piece(piece, scratch, ids);
      continue;
    }
    PieceCache::Entry& entry = cache.at(probe.slot);
    if (entry.holds(probe.key, piece)) {
      ids.resize(n + entry.n_ids);
      std::copy_n(ids.begin() + static_cast<std::ptrdiff_t>(entry.first_id), entry.n_ids,
                  ids.begin() + static_cast<std::ptrdiff_t>(n));
      continue;
    }
    encode_piece(piece, scratch, ids);
    if (ids.size() <= UINT32_MAX)
      entry = {probe.key, piece.data(), static_cast<uint32_t>(n), static_cast<uint16_t>(ids.size() - n),
               static_cast<uint16_t>(piece.size())};
  }
}

// Fills nodes[i] for every i at which a character ends.
void Unigram::find_best(std::string_view piece, std::vector<Node>& nodes) const {
  nodes.assign(piece.size() + 1, Node{});
  const char* begin = piece.data();
  const char* end = begin + piece.size();
  const auto offer = [&](size_t start, size_t length, TokenId id, double score) {
    Node& node = nodes[start + length];
    const double sum = score + nodes[start].score;
    if (node.start == SIZE_MAX || sum > node.score) node = {sum, start, id};
  };
  for (size_t at = 0; at < piece.size();) {
    const size_t character = decode_utf8(begin + at, end).length;
    bool known = false;
    trie_.for_each_prefix(piece.substr(at), [&](size_t length, TokenId id) {
      offer(at, length, id, scores_[static_cast<size_t>(id)]);
      known |= length == character;
    });
    if (!known) offer(at, character, options_.unk, unk_score_);
    at += character;
  }
}

void Unigram::encode_piece(std::string_view piece, Scratch& scratch, std::vector<TokenId>& ids) const {
  find_best(piece, scratch.nodes);
  scratch.ends.clear();
  for (size_t at = piece.size(); at > 0; at = scratch.nodes[at].start) scratch.ends.push_back(at);
  size_t start = 0;
  size_t unknown_from = 0;
  bool unknown = false;
  const auto flush = [&] {
    if (std::exchange(unknown, false)) append_unknown(piece.substr(unknown_from, start - unknown_from), ids);
  };
  while (!scratch.ends.empty()) {
    const size_t end = scratch.ends.back();
    scratch.ends.pop_back();
    const TokenId id = scratch.nodes[end].id;
    if (id == options_.unk) {
      if (!std::exchange(unknown, true)) unknown_from = start;
    } else {
      flush();
      ids.push_back(id);
    }
    start = end;
  }
  flush();
}

// A run of unknown characters: together they may be a token after all, or be spelled in bytes.
void Unigram::append_unknown(std::string_view text, std::vector<TokenId>& ids) const {
  if (const TokenId id = pieces_.find(text); id != kNoToken) {
    ids.push_back(id);
    return;
  }
  const auto missing = [this](char c) { return options_.byte_tokens[static_cast<uint8_t>(c)] == kNoToken; };
  if (options_.byte_tokens.empty() || std::any_of(text.begin(), text.end(), missing)) {
    ids.push_back(options_.unk);
    return;
  }
  for (const char c : text) ids.push_back(options_.byte_tokens[static_cast<uint8_t>(c)]);
}

}  // namespace atelier
