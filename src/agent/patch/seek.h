// Where a hunk belongs: blocks of lines in a file, found exactly or nearly.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/patch/text_file.h"

namespace atelier::agent {

// How two lines are compared. Each pass looks through all of the rest of the file before the next one begins.
enum class Pass {
  kExact,
  kRightTrimmed,  // blanks at the end do not count
  kTrimmed,       // nor at the beginning
  kFolded,        // nor which dash, quote or space it is
};
inline constexpr std::array kPasses = {Pass::kExact, Pass::kRightTrimmed, Pass::kTrimmed, Pass::kFolded};
std::string_view pass_name(Pass pass);
bool same_line(Pass pass, std::string_view a, std::string_view b);

struct Match {
  size_t line = 0;  // in the file, from 0
  Pass pass = Pass::kExact;
};

// Seeks in one file; remembers what it computed about its lines. Time is linear in lines per pass, whatever
// repeats in them.
class LineSeeker {
 public:
  // Gives up with nullopt, and exhausted(), after comparing so many lines in all.
  static constexpr size_t kBudget = size_t{400} << 20;

  explicit LineSeeker(std::span<const TextLine> lines) : lines_(lines) {}

  // The first place at or after `begin` where `block` stands, by the strictest pass that has one.
  std::optional<Match> find(std::span<const std::string_view> block, size_t begin);
  // The same, at most `limit` places of one pass.
  std::vector<size_t> find_all(Pass pass, std::span<const std::string_view> block, size_t begin,
                               size_t limit);
  // The one place from `begin` on, by the strictest pass that has any; nothing where that pass has several.
  std::optional<Match> find_only(std::span<const std::string_view> block, size_t begin);
  // Where an anchor stands: a whole line if there is one, else a line that begins with it, else one that
  // contains it.
  std::optional<size_t> find_anchor(std::string_view text, size_t begin);
  // Whether it stands at `line`, by the strictest pass.
  std::optional<Match> at(std::span<const std::string_view> block, size_t line);

  bool exhausted() const { return spent_ > kBudget; }
  std::span<const TextLine> lines() const { return lines_; }

 private:
  std::span<const uint64_t> hashes(Pass pass);
  std::span<const TextLine> lines_;
  std::array<std::vector<uint64_t>, kPasses.size()> hashes_;
  size_t spent_ = 0;
};

// For the message of a block that is nowhere: the place that resembles it most.
struct Nearest {
  size_t line = 0;       // where the block would begin
  size_t differing = 0;  // index of the block's first line that differs there
};
// Nothing where no line of the block resembles any of the file.
std::optional<Nearest> nearest(std::span<const TextLine> lines, std::span<const std::string_view> block);

}  // namespace atelier::agent
