#include "text/bpe_builder.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "text/byte_alphabet.h"

namespace atelier {
namespace {

// Pending texts are copied into one buffer; a single text past this size is entered at once.
constexpr size_t kMaxPendingBytes = size_t{1} << 20;

// Tokens are cut no further behind; the longest known has some hundred bytes.
constexpr size_t kMaxCutBytes = 1024;

char32_t first_char(std::string_view text) {
  const Utf8Char c = decode_utf8(text.data(), text.data() + text.size());
  return c.valid ? c.code_point : kInvalidByte;
}

char32_t last_char(std::string_view text) {
  size_t at = text.size() - 1;
  while (at > 0 && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return first_char(text.substr(at));
}

}  // namespace

BpeBuilder::BpeBuilder(BpeSymbols symbols, TokenSpelling spelling, size_t expected_tokens)
    : symbols_(symbols), spelling_(std::move(spelling)), pieces_(expected_tokens) {
  texts_.reserve(expected_tokens);
  merges_.reserve(expected_tokens);
}

Status BpeBuilder::reserve_control(std::string_view content, TokenId id) {
  ATELIER_TRY([[maybe_unused]] const TokenId before, controls_.insert(content, id));
  return {};
}

// What `text` stands for, at the end of pending_bytes_; false, with nothing appended, if no ordinary text
// ever does.
bool BpeBuilder::append_bytes(std::string_view text) {
  if (symbols_ == BpeSymbols::kCharacters) {
    pending_bytes_ += text;
    return true;
  }
  const size_t before = pending_bytes_.size();
  if (byte_alphabet::append_bytes(text, pending_bytes_)) return true;
  pending_bytes_.resize(before);
  return false;
}

// After `text` has been entered into a table, where it had the id `before`.
Status BpeBuilder::set_text(std::string_view text, TokenId id, TokenId before) {
  if (before == id) return {};
  if (before != kNoToken) texts_.unset(before);
  if (texts_.contains(id)) return fail(ErrorCode::kCorrupt, "two tokens have the id {}", id);
  if (symbols_ == BpeSymbols::kCharacters && spelling_.spells()) {
    bytes_.clear();
    spelling_.append_to(bytes_, text);
    text = bytes_;
  }
  texts_.set(id, text);
  return {};
}

Status BpeBuilder::add_token(std::string_view text, TokenId id) {
  if (id < 0 || id > kMaxTokenId)
    return fail(ErrorCode::kLimit, "token \"{}\": expected an id from 0 to {}, found {}", text, kMaxTokenId,
                id);
  const size_t offset = pending_bytes_.size();
  const bool control = controls_.size() != 0 && controls_.find(text) != kNoToken;
  if (control || !append_bytes(text)) {
    ATELIER_TRY(const TokenId before, outside_.insert(text, id));
    return set_text(text, id, before);
  }
  const std::string_view bytes = std::string_view(pending_bytes_).substr(offset);
  pending_[n_tokens_pending_++] = {offset, bytes.size(), 0, id, pieces_.prepare(bytes), {}, {}};
  if (n_tokens_pending_ < kPending && pending_bytes_.size() < kMaxPendingBytes) return {};
  return flush_tokens();
}

Status BpeBuilder::flush_tokens() {
  if (n_tokens_pending_ == 0) return {};  // the bytes may be those of merges
  for (size_t i = 0; i < n_tokens_pending_; ++i) {
    const Pending& p = pending_[i];
    const std::string_view bytes = pending_bytes(p);
    ATELIER_TRY(const TokenId before, pieces_.insert(bytes, p.id, p.probe));
    ATELIER_CHECK_OK(set_text(bytes, p.id, before));
  }
  n_tokens_pending_ = 0;
  pending_bytes_.clear();
  return {};
}

TokenId BpeBuilder::find(std::string_view text) const {
  TokenId id = kNoToken;
  std::string bytes;
  if (symbols_ == BpeSymbols::kCharacters)
    id = pieces_.find(text);
  else if (byte_alphabet::append_bytes(text, bytes))
    id = pieces_.find(bytes);
  return id != kNoToken ? id : outside_.find(text);
}

Status BpeBuilder::add_merge(std::string_view left, std::string_view right) {
  ATELIER_CHECK_OK(flush_tokens());
  const size_t index = n_merges_++;
  const size_t offset = pending_bytes_.size();
  if (!append_bytes(left)) return add_outside_merge(left, right, index);
  const size_t left_length = pending_bytes_.size() - offset;
  if (!append_bytes(right)) {
    pending_bytes_.resize(offset);
    return add_outside_merge(left, right, index);
  }
  const std::string_view both = std::string_view(pending_bytes_).substr(offset);
  Pending& p = pending_[n_merges_pending_++];
  p = {offset,
       both.size(),
       left_length,
       static_cast<TokenId>(index),
       pieces_.prepare(both),
       pieces_.prepare(both.substr(0, left_length)),
       pieces_.prepare(both.substr(left_length))};
  if (n_merges_pending_ < kPending && pending_bytes_.size() < kMaxPendingBytes) return {};
  return flush_merges();
}

Status BpeBuilder::flush_merges() {
  std::string_view last;  // many merges in a row have the same result
  TokenId last_merged = kNoToken;
  for (size_t i = 0; i < n_merges_pending_; ++i) {
    const Pending& p = pending_[i];
    const std::string_view both = pending_bytes(p);
    const std::string_view left = both.substr(0, p.left);
    const std::string_view right = both.substr(p.left);
    const TokenId left_id = pieces_.find(left, p.left_probe);
    const TokenId right_id = pieces_.find(right, p.right_probe);
    if (both != last) last_merged = pieces_.find(both, p.probe);
    last = both;
    if (left_id == kNoToken || right_id == kNoToken || last_merged == kNoToken) {
      ATELIER_CHECK_OK(add_outside_merge(spelled(left), spelled(right), static_cast<size_t>(p.id)));
      continue;
    }
    const auto rank = static_cast<MergeTable::Rank>(merges_.size());
    ATELIER_CHECK_OK(merges_.add(left_id, right_id, last_merged));
    if (symbols_ == BpeSymbols::kCharacters)
      note_joint(left, right, left_id, right_id);
    else
      whole_characters_.note_merge(left, right, left_id, right_id, rank);
  }
  n_merges_pending_ = 0;
  pending_bytes_.clear();
  return {};
}

Status BpeBuilder::add_merges_by_score(std::span<const std::string_view> tokens,
                                       std::span<const float> scores) {
  ATELIER_CHECK_OK(flush());
  std::vector<TokenId> order(tokens.size());
  std::iota(order.begin(), order.end(), 0);
  const auto score_of = [&](TokenId id) { return scores[static_cast<size_t>(id)]; };
  std::sort(order.begin(), order.end(), [&](TokenId a, TokenId b) {
    return score_of(a) != score_of(b) ? score_of(a) > score_of(b) : a < b;
  });
  for (const TokenId id : order) {
    const std::string_view token = tokens[static_cast<size_t>(id)];
    if (token.size() >= 2 && pieces_.find(token) == id) ATELIER_CHECK_OK(add_cuts(token, id));
  }
  return {};
}

Status BpeBuilder::add_cuts(std::string_view token, TokenId id) {
  struct Cut {
    size_t at;
    StringTable::Probe left;
    StringTable::Probe right;
  };
  std::vector<Cut> cuts;
  for (size_t at = 1; at < std::min(token.size(), kMaxCutBytes); ++at)
    if ((static_cast<uint8_t>(token[at]) & 0xC0) != 0x80)
      cuts.push_back({at, pieces_.prepare(token.substr(0, at)), pieces_.prepare(token.substr(at))});
  auto ranked = MergeTable::Ranked::kNext;
  for (const Cut& cut : cuts) {
    const std::string_view left = token.substr(0, cut.at);
    const std::string_view right = token.substr(cut.at);
    const TokenId left_id = pieces_.find(left, cut.left);
    if (left_id == kNoToken) continue;
    const TokenId right_id = pieces_.find(right, cut.right);
    if (right_id == kNoToken) continue;
    ATELIER_CHECK_OK(
        merges_.add(left_id, right_id, id, std::exchange(ranked, MergeTable::Ranked::kWithPrevious)));
    note_joint(left, right, left_id, right_id);
  }
  return {};
}

// A merge with a part or a result that text never becomes can never happen; but it must make sense.
Status BpeBuilder::add_outside_merge(std::string_view left, std::string_view right, size_t index) {
  for (const std::string_view part : {left, right})
    if (find(part) == kNoToken) return fail(ErrorCode::kCorrupt, "merge {}: \"{}\" is no token", index, part);
  if (find(std::string(left).append(right)) == kNoToken)
    return fail(ErrorCode::kCorrupt, "merge {}: \"{}{}\" is no token", index, left, right);
  return {};
}

std::string BpeBuilder::spelled(std::string_view bytes) const {
  if (symbols_ == BpeSymbols::kCharacters) return std::string(bytes);
  std::string text;
  byte_alphabet::append_text(bytes, text);
  return text;
}

Status BpeBuilder::flush() {
  ATELIER_CHECK_OK(flush_tokens());
  return flush_merges();
}

void BpeBuilder::note_joint(std::string_view left, std::string_view right, TokenId left_id,
                            TokenId right_id) {
  if (left.empty() || right.empty()) return;
  joints_.push_back({last_char(left), first_char(right)});
  const auto highest = static_cast<size_t>(std::max(left_id, right_id));
  if (merged_.size() <= highest) merged_.resize(highest + 1);
  merged_[static_cast<size_t>(left_id)] = true;
  merged_[static_cast<size_t>(right_id)] = true;
}

// Fills in what cutting pieces takes.
void BpeBuilder::find_cuts(Bpe::Parts& parts, const BpeOptions& options) {
  pieces_.for_each([&](std::string_view text, TokenId id) {
    if (text.empty()) return;
    const Utf8Char c = decode_utf8(text.data(), text.data() + text.size());
    if (c.valid && c.length == text.size()) parts.characters.set(c.code_point, id);
  });
  const auto is_merged = [this](TokenId id) {
    return id != kNoToken && static_cast<size_t>(id) < merged_.size() && merged_[static_cast<size_t>(id)];
  };
  // A byte or unknown token that merges with something would join characters that no merge shows.
  if (options.unk && is_merged(*options.unk)) return;
  if (std::any_of(options.byte_tokens.begin(), options.byte_tokens.end(), is_merged)) return;
  parts.cuts_pieces = !options.ignore_merges;

  // Most merges repeat a pair: a first filter, large enough for all, leaves one of each.
  JoinablePairs seen(joints_.size());
  size_t n = 0;
  for (const Joint& joint : joints_) {
    const TokenId left = parts.characters[joint.left];
    const TokenId right = parts.characters[joint.right];
    if (left == kNoToken || right == kNoToken || seen.contains(left, right)) continue;
    seen.add(left, right);
    joints_[n++] = joint;
  }
  parts.joinable = JoinablePairs(n);
  for (const Joint& joint : std::span(joints_).first(n))
    parts.joinable.add(parts.characters[joint.left], parts.characters[joint.right]);
}

Result<std::unique_ptr<Bpe>> BpeBuilder::build(BpeOptions options) && {
  ATELIER_CHECK_OK(flush());
  Bpe::Parts parts;
  parts.symbols = symbols_;
  if (symbols_ == BpeSymbols::kCharacters) find_cuts(parts, options);
  ATELIER_CHECK_OK(merges_.finish());
  parts.pieces = std::move(pieces_);
  parts.merges = std::move(merges_);
  parts.whole_characters = std::move(whole_characters_);
  return std::unique_ptr<Bpe>(new Bpe(std::move(options), std::move(parts)));
}

}  // namespace atelier
