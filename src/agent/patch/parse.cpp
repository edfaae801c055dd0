#include <algorithm>
#include <optional>

#include "agent/patch/patch.h"
#include "agent/patch/text.h"
#include "agent/workspace/quote.h"

namespace atelier::agent {
namespace {

constexpr std::string_view kBegin = "*** Begin Patch", kEnd = "*** End Patch";
constexpr std::string_view kAdd = "*** Add File:", kDelete = "*** Delete File:", kUpdate = "*** Update File:";
constexpr std::string_view kMove = "*** Move to:", kEndOfFile = "*** End of File";

// What follows a marker that takes an argument, if `line` is one.
std::optional<std::string_view> argument_of(std::string_view line, std::string_view marker) {
  line = trimmed(line);
  if (!line.starts_with(marker)) return std::nullopt;
  return trimmed(line.substr(marker.size()));
}

bool is_section_header(std::string_view line) {
  return argument_of(line, kAdd) || argument_of(line, kDelete) || argument_of(line, kUpdate);
}

// "-12,3 +12,4 @@ rest" of a unified diff: the rest. The numbers are a model's guess and are not looked at.
std::optional<std::string_view> after_ranges(std::string_view text) {
  const auto range = [&text](char sign) {
    size_t n = 0;
    if (text.empty() || text[0] != sign) return false;
    while (n + 1 < text.size() && (is_digit(text[n + 1]) || text[n + 1] == ',')) ++n;
    if (n == 0) return false;
    text = trimmed(text.substr(n + 1));
    return true;
  };
  if (!range('-') || !range('+') || !text.starts_with("@@")) return std::nullopt;
  return trimmed(text.substr(2));
}

class PatchParser {
 public:
  explicit PatchParser(std::string_view text) : lines_(split_lines(text)) {}

  Result<Patch> parse() {
    ATELIER_CHECK_OK(find_envelope());
    Patch patch;
    while (skip_blank(), at_ < end_) {
      if (patch.sections.size() == kMaxSections)
        return fail(ErrorCode::kLimit, "patch line {}: expected at most {} sections", number(), kMaxSections);
      ATELIER_TRY(Section section, parse_section());
      patch.sections.push_back(std::move(section));
    }
    if (patch.sections.empty())
      return fail(ErrorCode::kInvalidArgument,
                  "patch: expected a section such as \"*** Update File: PATH\", found none");
    return patch;
  }

 private:
  // Line numbers count from 1 at the patch's first line.
  size_t number(size_t at) const { return at + 1; }
  size_t number() const { return number(at_); }
  std::string_view line() const { return lines_[at_]; }
  void skip_blank() {
    while (at_ < end_ && trimmed(line()).empty()) ++at_;
  }

  Status find_envelope() {
    end_ = lines_.size();
    skip_blank();
    if (at_ == end_ || trimmed(line()) != kBegin)
      return fail(ErrorCode::kInvalidArgument, "patch line {}: expected \"{}\", found {}", number(), kBegin,
                  at_ == end_ ? std::string("nothing") : in_quotes(line()));
    while (end_ > at_ + 1 && trimmed(lines_[end_ - 1]).empty()) --end_;
    if (end_ == at_ + 1 || trimmed(lines_[end_ - 1]) != kEnd)
      return fail(ErrorCode::kInvalidArgument,
                  "patch line {}: expected \"{}\" as the last line, found {}; the patch may be cut off",
                  number(end_ - 1), kEnd, in_quotes(lines_[end_ - 1]));
    // A patch that travelled with carriage returns has them on every line.
    strip_returns_ = lines_[at_].ends_with('\r');
    if (strip_returns_)
      for (std::string_view& text : lines_)
        if (text.ends_with('\r')) text.remove_suffix(1);
    ++at_;
    --end_;
    return {};
  }

  Result<Section> parse_section() {
    Section section;
    section.line = number();
    const std::string_view header = line();
    std::optional<std::string_view> path;
    if ((path = argument_of(header, kAdd))) {
      section.kind = Section::Kind::kAdd;
    } else if ((path = argument_of(header, kDelete))) {
      section.kind = Section::Kind::kDelete;
    } else if ((path = argument_of(header, kUpdate))) {
      section.kind = Section::Kind::kUpdate;
    } else {
      return unknown_header();
    }
    if (path->empty())
      return fail(ErrorCode::kInvalidArgument, "patch line {}: expected a path after {}", number(),
                  in_quotes(header));
    section.path = *path;
    ++at_;
    if (section.kind == Section::Kind::kAdd) ATELIER_CHECK_OK(parse_new_file(section));
    if (section.kind == Section::Kind::kUpdate) ATELIER_CHECK_OK(parse_update(section));
    return section;
  }

  tl::unexpected<Error> unknown_header() const {
    const std::string_view text = trimmed(line());
    if (text == kBegin || text == kEnd)
      return fail(ErrorCode::kInvalidArgument, "patch line {}: a second \"{}\"; send one patch at a time",
                  number(), text);
    return fail(ErrorCode::kInvalidArgument,
                "patch line {}: expected \"{} PATH\", \"{} PATH\" or \"{} PATH\", found {}", number(), kAdd,
                kDelete, kUpdate, in_quotes(line()));
  }

  Status parse_new_file(Section& section) {
    size_t gap = 0;  // empty lines, which are the file's only if more of it follows
    for (; at_ < end_; ++at_) {
      const std::string_view text = line();
      if (text.starts_with('+')) {
        section.lines.insert(section.lines.end(), gap, std::string());
        section.lines.emplace_back(text.substr(1));
        gap = 0;
      } else if (trimmed(text).empty()) {
        ++gap;
      } else if (is_section_header(text)) {
        return {};
      } else if (trimmed(text) != kEndOfFile) {
        return fail(ErrorCode::kInvalidArgument,
                    "patch line {}: {}: every line of a new file starts with \"+\", found {}", number(),
                    section.path, in_quotes(text));
      }
    }
    return {};
  }

  Status parse_update(Section& section) {
    skip_blank();
    if (at_ < end_)
      if (const auto to = argument_of(line(), kMove)) {
        if (to->empty())
          return fail(ErrorCode::kInvalidArgument, "patch line {}: expected a path after {}", number(),
                      in_quotes(line()));
        section.move_to = *to;
        ++at_;
      }
    while (skip_gap(section), at_ < end_ && !line().starts_with("*** ")) {
      if (++n_hunks_ > kMaxHunks)
        return fail(ErrorCode::kLimit, "patch line {}: expected at most {} hunks", number(), kMaxHunks);
      ATELIER_CHECK_OK(parse_hunk(section));
    }
    if (at_ < end_ && !is_section_header(line())) return unknown_header();
    if (section.hunks.empty() && section.move_to.empty())
      return fail(ErrorCode::kInvalidArgument,
                  "patch line {}: {}: expected hunks after the header, found none", section.line,
                  section.path);
    return {};
  }

  // Blank lines before the first hunk, and after one that "*** End of File" closed, belong to nothing.
  void skip_gap(const Section& section) {
    if (section.hunks.empty() || section.hunks.back().end_of_file) {
      while (at_ < end_ && line().empty()) ++at_;
    }
    // A header with blanks in front of it, where no hunk has begun, can be nothing else.
    if (section.hunks.empty() && at_ < end_ && is_section_header(line())) lines_[at_] = trimmed(line());
  }

  Status parse_hunk(Section& section) {
    Hunk hunk;
    hunk.line = number();
    const size_t begin = at_;
    for (; at_ < end_ && line().starts_with("@@"); ++at_) {
      std::string_view text = trimmed(line().substr(2));
      if (const auto rest = after_ranges(text)) text = *rest;
      if (text.ends_with("@@")) text = trimmed(text.substr(0, text.size() - 2));
      if (!text.empty()) hunk.anchors.push_back({std::string(text), number()});
    }
    const bool headed = at_ > begin;
    for (; at_ < end_; ++at_) {
      const std::string_view text = line();
      if (text.starts_with("@@") || (text.starts_with("*** ") && trimmed(text) != kEndOfFile)) break;
      if (trimmed(text) == kEndOfFile && text.starts_with('*')) {
        hunk.end_of_file = true;
        ++at_;
        break;
      }
      ATELIER_CHECK_OK(add_line(hunk, text, headed));
    }
    if (hunk.lines.empty())
      return fail(ErrorCode::kInvalidArgument,
                  "patch line {}: {}: the hunk is empty: expected lines that start "
                  "with \" \", \"-\" or \"+\"",
                  hunk.line, section.path);
    section.hunks.push_back(std::move(hunk));
    return {};
  }

  Status add_line(Hunk& hunk, std::string_view text, bool headed) const {
    using Kind = HunkLine::Kind;
    if (text.empty()) {
      hunk.lines.push_back({Kind::kContext, {}, true});
      return {};
    }
    const char prefix = text[0];
    if (prefix != ' ' && prefix != '-' && prefix != '+')
      return fail(ErrorCode::kInvalidArgument,
                  "patch line {}: expected {}a line that starts with \" \", \"-\" or \"+\", found {}",
                  number(), hunk.lines.empty() && !headed ? "\"@@\" or " : "", in_quotes(text));
    const Kind kind = prefix == ' ' ? Kind::kContext : prefix == '-' ? Kind::kRemoved : Kind::kAdded;
    hunk.lines.push_back({kind, std::string(text.substr(1)), false});
    return {};
  }

  std::vector<std::string_view> lines_;
  size_t at_ = 0, end_ = 0;  // the line to be read, and the one past the last
  size_t n_hunks_ = 0;
  bool strip_returns_ = false;
};

}  // namespace

Result<Patch> parse_patch(std::string_view text) {
  if (text.size() > kMaxPatchBytes)
    return fail(ErrorCode::kLimit, "patch: expected at most {} bytes, found {}", kMaxPatchBytes, text.size());
  return PatchParser(text).parse();
}

}  // namespace atelier::agent
