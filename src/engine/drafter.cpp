#include "engine/drafter.h"

#include <algorithm>

#include "base/check.h"

namespace atelier {
namespace {

constexpr TokenId kSeparator = -1;  // no token
constexpr size_t kLeast = 2;        // tokens in common that make a guess
constexpr size_t kLongest = 32;     // more in common says nothing more
constexpr size_t kCandidates = 48;  // earlier places looked at
constexpr size_t kFollowed = 8;     // tokens in common after which a place is worth returning to
constexpr size_t kNearby = 160;     // tokens behind it in which text that was changed rejoins what it was
constexpr size_t kNearbyBonus = 2;  // tokens in common that being there counts for
constexpr size_t kFirstSlots = 1u << 10;
// Of the counts of guesses, a new one makes up a tenth or so.
constexpr double kKeptOfCounts = 0.9;

}  // namespace

Drafter::Drafter(std::span<const TokenId> corpus)
    : heads_(kFirstSlots, 0),
      // What is expected before anything was seen, as if from a few guesses: long matches are nearly always
      // right.
      records_{{{0.8, 2}, {1.2, 2}, {1.7, 2}, {1.9, 2}}} {
  for (const TokenId token : corpus) push(token);
  push(kSeparator);
  first_ = text_.size();
}

size_t Drafter::class_of(size_t matched) { return matched < 4 ? 0 : matched < 8 ? 1 : matched < 16 ? 2 : 3; }

uint64_t Drafter::key(TokenId before, TokenId last) {
  const uint64_t pair =
      static_cast<uint64_t>(static_cast<uint32_t>(before)) << 32 | static_cast<uint32_t>(last);
  return (pair * 0x9e3779b97f4a7c15u) >> 32;  // 2^64 by the golden ratio: Fibonacci hashing
}

// Of the pair that ends before `end`.
size_t Drafter::slot(size_t end) const { return key(text_[end - 2], text_[end - 1]) & (heads_.size() - 1); }

void Drafter::push(TokenId token) {
  text_.push_back(token);
  earlier_.push_back(0);
  if (text_.size() > heads_.size()) grow();
  index_last();
}

void Drafter::index_last() {
  const size_t end = text_.size();
  if (end < 2) return;
  uint32_t& head = heads_[slot(end)];
  earlier_[end - 1] = head;
  head = static_cast<uint32_t>(end);
}

void Drafter::grow() {
  heads_.assign(heads_.size() * 4, 0);
  for (size_t end = 2; end < text_.size(); ++end) {
    uint32_t& head = heads_[slot(end)];
    earlier_[end - 1] = head;
    head = static_cast<uint32_t>(end);
  }
}

void Drafter::read(std::span<const TokenId> tokens) {
  for (const TokenId token : tokens) push(token);
  left_at_ = 0;
  search();
}

void Drafter::append(TokenId token) {
  const bool guessed = place_ != 0;
  const bool right = guessed && text_[place_] == token;
  if (guessed) {
    Record& record = records_[class_of(matched_)];
    record.made = record.made * kKeptOfCounts + 1;
    record.right = record.right * kKeptOfCounts + (right ? 1 : 0);
  }
  push(token);
  if (right) {
    ++place_;
    ++matched_;
    return;
  }
  if (matched_ >= kFollowed) left_at_ = place_;
  search();
}

void Drafter::truncate(size_t n) {
  ATELIER_CHECK(n <= size());
  if (n == size()) return;
  while (size() > n) {
    const size_t end = text_.size();
    // The last pair stands at the head of its list.
    if (end >= 2) heads_[slot(end)] = earlier_[end - 1];
    text_.pop_back();
    earlier_.pop_back();
  }
  left_at_ = 0;
  search();
}

// How many tokens before `place` equal the end of the text, up to kLongest.
size_t Drafter::common_before(size_t place) const {
  const size_t end = text_.size();
  const size_t limit = std::min({kLongest, place, end - first_});
  size_t n = 0;
  while (n < limit && text_[place - 1 - n] == text_[end - 1 - n]) ++n;
  return n;
}

// The place with most in common. Behind a place that was followed and left, text that was changed rejoins
// what it was changed from; of equally good places the first one there is taken, else the last one of all.
void Drafter::search() {
  place_ = 0;
  matched_ = 0;
  const size_t end = text_.size();
  if (end < first_ + kLeast) return;
  size_t best = 0;
  const auto consider = [&](size_t place, size_t bonus) {
    const size_t common = common_before(place);
    if (common < kLeast || common + bonus <= best) return;
    best = common + bonus;
    place_ = place;
    matched_ = common;
  };
  if (left_at_ != 0)
    for (size_t place = left_at_ + 1; place < std::min(end, left_at_ + kNearby); ++place)
      consider(place, kNearbyBonus);
  size_t place = heads_[slot(end)];
  for (size_t i = 0; i < kCandidates && place != 0 && matched_ < kLongest; ++i) {
    if (place < end) consider(place, 0);
    place = earlier_[place - 1];
  }
}

std::span<const TokenId> Drafter::guess(size_t n) const {
  if (place_ == 0) return {};
  std::span<const TokenId> rest = std::span(text_).subspan(place_);
  rest = rest.first(std::min(n, rest.size()));
  return rest.first(static_cast<size_t>(std::ranges::find(rest, kSeparator) - rest.begin()));
}

double Drafter::confidence(size_t i) const {
  const Record& record = records_[class_of(matched_ + i)];
  return record.right / record.made;
}

}  // namespace atelier
