#include "agent/patch/seek.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <unordered_map>

#include "agent/patch/text.h"

namespace atelier::agent {
namespace {

uint64_t hash_line(Pass pass, std::string_view text) {
  const std::hash<std::string_view> hash;
  switch (pass) {
    case Pass::kExact:
      return hash(text);
    case Pass::kRightTrimmed:
      return hash(right_trimmed(text));
    case Pass::kTrimmed:
      return hash(trimmed(text));
    case Pass::kFolded:
      return hash(folded(text));
  }
  return 0;
}

// For each i, the length of the longest proper prefix of pattern[0..i] that is also its suffix
// (Knuth, Morris and Pratt 1977).
std::vector<size_t> borders(std::span<const uint64_t> pattern) {
  std::vector<size_t> border(pattern.size(), 0);
  for (size_t i = 1, k = 0; i < pattern.size(); ++i) {
    while (k > 0 && pattern[i] != pattern[k]) k = border[k - 1];
    if (pattern[i] == pattern[k]) ++k;
    border[i] = k;
  }
  return border;
}

// How alike two lines are, from 0 to 1: twice the pairs of neighbouring bytes they share, over all they have
// (Dice's coefficient).
double likeness(std::string_view a, std::string_view b) {
  if (a == b) return 1;
  if (a.size() < 2 || b.size() < 2) return 0;
  std::unordered_map<uint16_t, int> pairs;
  const auto pair = [](std::string_view text, size_t i) {
    return static_cast<uint16_t>(static_cast<uint8_t>(text[i]) << 8 | static_cast<uint8_t>(text[i + 1]));
  };
  for (size_t i = 0; i + 1 < a.size(); ++i) ++pairs[pair(a, i)];
  size_t shared = 0;
  for (size_t i = 0; i + 1 < b.size(); ++i)
    if (const auto found = pairs.find(pair(b, i)); found != pairs.end() && found->second-- > 0) ++shared;
  return 2.0 * static_cast<double>(shared) / static_cast<double>(a.size() + b.size() - 2);
}

// How many lines `nearest` compares closely, and how much of each: an error message may not take a second.
constexpr size_t kMaxCompared = 20'000;
constexpr size_t kMaxComparedBytes = 200;
constexpr double kAlike = 0.6;

}  // namespace

std::string_view pass_name(Pass pass) {
  switch (pass) {
    case Pass::kExact:
      return "exact";
    case Pass::kRightTrimmed:
      return "right-trimmed";
    case Pass::kTrimmed:
      return "trimmed";
    case Pass::kFolded:
      return "folded";
  }
  return "";
}

bool same_line(Pass pass, std::string_view a, std::string_view b) {
  switch (pass) {
    case Pass::kExact:
      return a == b;
    case Pass::kRightTrimmed:
      return right_trimmed(a) == right_trimmed(b);
    case Pass::kTrimmed:
      return trimmed(a) == trimmed(b);
    case Pass::kFolded:
      return folded(a) == folded(b);
  }
  return false;
}

std::span<const uint64_t> LineSeeker::hashes(Pass pass) {
  std::vector<uint64_t>& known = hashes_[static_cast<size_t>(pass)];
  if (known.size() != lines_.size()) {
    known.reserve(lines_.size());
    for (const TextLine& line : lines_) known.push_back(hash_line(pass, line.text));
  }
  return known;
}

std::vector<size_t> LineSeeker::find_all(Pass pass, std::span<const std::string_view> block, size_t begin,
                                         size_t limit) {
  std::vector<size_t> places;
  if (block.empty() || begin > lines_.size() || block.size() > lines_.size() - begin) return places;
  spent_ += lines_.size() - begin + block.size();
  if (exhausted()) return places;
  const std::span<const uint64_t> file = hashes(pass);
  std::vector<uint64_t> pattern;
  for (const std::string_view line : block) pattern.push_back(hash_line(pass, line));
  const std::vector<size_t> border = borders(pattern);
  for (size_t i = begin, k = 0; i < file.size() && places.size() < limit; ++i) {
    while (k > 0 && file[i] != pattern[k]) k = border[k - 1];
    if (file[i] == pattern[k]) ++k;
    if (k < pattern.size()) continue;
    const size_t first = i + 1 - k;
    k = border[k - 1];
    // Equal hashes are not yet equal lines.
    bool same = true;
    for (size_t j = 0; same && j < block.size(); ++j)
      same = same_line(pass, lines_[first + j].text, block[j]);
    spent_ += block.size();
    if (exhausted()) return places;
    if (same) places.push_back(first);
  }
  return places;
}

std::optional<Match> LineSeeker::find(std::span<const std::string_view> block, size_t begin) {
  for (const Pass pass : kPasses)
    if (const auto places = find_all(pass, block, begin, 1); !places.empty()) return Match{places[0], pass};
  return std::nullopt;
}

std::optional<Match> LineSeeker::find_only(std::span<const std::string_view> block, size_t begin) {
  for (const Pass pass : kPasses)
    if (const auto places = find_all(pass, block, begin, 2); !places.empty())
      return places.size() == 1 ? std::optional(Match{places[0], pass}) : std::nullopt;
  return std::nullopt;
}

std::optional<size_t> LineSeeker::find_anchor(std::string_view text, size_t begin) {
  if (const auto match = find(std::span(&text, 1), begin)) return match->line;
  std::optional<size_t> containing;
  for (size_t i = begin; i < lines_.size(); ++i) {
    spent_ += 1 + lines_[i].text.size() / 64;
    if (exhausted()) return std::nullopt;
    const size_t at = trimmed(lines_[i].text).find(text);
    if (at == 0) return i;
    if (at != std::string_view::npos && !containing) containing = i;
  }
  return containing;
}

std::optional<Match> LineSeeker::at(std::span<const std::string_view> block, size_t line) {
  if (line > lines_.size() || block.size() > lines_.size() - line) return std::nullopt;
  for (const Pass pass : kPasses) {
    spent_ += block.size();
    if (exhausted()) return std::nullopt;
    bool same = true;
    for (size_t j = 0; same && j < block.size(); ++j) same = same_line(pass, lines_[line + j].text, block[j]);
    if (same) return Match{line, pass};
  }
  return std::nullopt;
}

// Every line of the block that stands in the file votes for the place the block would then begin at. Blank
// lines have no vote. Without any vote, the block's longest line is compared with the file's, letter by
// letter.
std::optional<Nearest> nearest(std::span<const TextLine> lines, std::span<const std::string_view> block) {
  std::unordered_map<std::string, std::vector<size_t>> places;
  for (size_t i = 0; i < lines.size(); ++i)
    if (std::string text = folded(lines[i].text); !text.empty()) {
      auto& known = places[std::move(text)];
      if (known.size() < 64) known.push_back(i);
    }
  std::unordered_map<size_t, size_t> votes;
  for (size_t j = 0; j < block.size() && j < kMaxCompared; ++j)
    if (const auto found = places.find(folded(block[j])); found != places.end())
      for (const size_t i : found->second)
        if (i >= j) ++votes[i - j];
  Nearest best;
  size_t most = 0;
  for (const auto& [line, n] : votes)
    if (n > most || (n == most && line < best.line)) most = n, best.line = line;
  if (most == 0) {
    if (block.empty()) return std::nullopt;
    const auto longest =
        std::max_element(block.begin(), block.end(), [](auto a, auto b) { return a.size() < b.size(); });
    const auto j = static_cast<size_t>(longest - block.begin());
    double highest = kAlike;
    const std::string wanted = folded(longest->substr(0, kMaxComparedBytes));
    for (size_t i = j; i < lines.size() && i < j + kMaxCompared; ++i) {
      const double alike = likeness(wanted, folded(lines[i].text.substr(0, kMaxComparedBytes)));
      if (alike > highest) highest = alike, best.line = i - j;
    }
    if (highest == kAlike) return std::nullopt;
  }
  while (best.differing < block.size() && best.line + best.differing < lines.size() &&
         same_line(Pass::kFolded, lines[best.line + best.differing].text, block[best.differing]))
    ++best.differing;
  return best;
}

}  // namespace atelier::agent
