#include "agent/patch/edit_file.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "agent/patch/seek.h"
#include "agent/patch/text.h"
#include "agent/workspace/quote.h"

namespace atelier::agent {
namespace {

using Kind = HunkLine::Kind;

// What to do to the indentation of added lines so that they fit where the block was found.
struct Shift {
  std::string add;
  std::string strip;
};

std::string_view indentation(std::string_view text) {
  return text.substr(0, text.size() - trimmed(text).size() - (text.size() - right_trimmed(text).size()));
}

class FileEditor {
 public:
  FileEditor(std::string_view path, const TextFile& file)
      : path_(path), file_(file), seeker_(file.lines), usual_end_(file.usual_end()) {}

  Status apply(const Hunk& hunk, size_t index) {
    hunk_ = &hunk;
    index_ = index;
    seek_anchors();
    std::vector<std::string_view> block;
    for (const HunkLine& line : hunk.lines)
      if (line.kind != Kind::kAdded) block.push_back(line.text);
    if (block.empty()) {
      // Lines without surroundings: after the anchor where there is one, else at the end.
      if (missing_ != nullptr) return anchor_not_found();
      copy_until(hunk.anchors.empty() || hunk.end_of_file ? file_.lines.size() : cursor_);
      return splice(hunk.lines, {});
    }
    size_t n_lines = hunk.lines.size();
    std::optional<Match> match = seek_block(block);
    if (!match && hunk.lines.back().wholly_empty) {
      // Empty lines at the end of a hunk may only separate it from what follows.
      while (n_lines > 0 && hunk.lines[n_lines - 1].wholly_empty) --n_lines, block.pop_back();
      if (block.empty()) return fail_at(hunk.line, "found nothing but empty lines");
      match = seek_block(block);
    }
    if (seeker_.exhausted())
      return fail(ErrorCode::kLimit, "{}: hunk {} (patch line {}): seeking takes too long; split the patch",
                  path_, index_ + 1, hunk.line);
    if (!match) return missing_ != nullptr ? anchor_not_found() : not_found(block);
    copy_until(match->line);
    return splice(std::span(hunk.lines).first(n_lines), shift_for(block, *match));
  }

  std::string finish() {
    copy_until(file_.lines.size());
    // Every line but the last needs an ending; the last one keeps the file's habit, unless it is an old line.
    for (size_t i = 0; i + 1 < out_.size(); ++i)
      if (out_[i].end == LineEnd::kNone) out_[i].end = usual_end_;
    if (!out_.empty() && out_.back().added)
      out_.back().end = !file_.ends_with_newline()          ? LineEnd::kNone
                        : out_.back().end == LineEnd::kNone ? usual_end_
                                                            : out_.back().end;
    std::string content;
    if (file_.byte_order_mark) content += kByteOrderMark;
    for (const OutLine& line : out_) append_line(content, line.text, line.end);
    return content;
  }

 private:
  struct OutLine {
    std::string text;
    LineEnd end;
    bool added;
  };

  template <class... Args>
  tl::unexpected<Error> fail_at(size_t patch_line, fmt::format_string<Args...> format, Args&&... args) const {
    return fail(ErrorCode::kInvalidArgument, "{}: hunk {} (patch line {}): {}", path_, index_ + 1, patch_line,
                fmt::format(format, std::forward<Args>(args)...));
  }

  // Each anchor is a line after the cursor, then the cursor stands behind it. One that was passed already
  // (two hunks in the same function) moves nothing. One that is nowhere is remembered: models make them up.
  void seek_anchors() {
    anchor_line_.reset();
    missing_ = nullptr;
    for (const Anchor& anchor : hunk_->anchors) {
      if (const auto line = seeker_.find_anchor(anchor.text, cursor_)) {
        anchor_line_ = *line;
        cursor_ = *line + 1;
      } else if (missing_ == nullptr && !seeker_.find_anchor(anchor.text, 0)) {
        missing_ = &anchor;
      }
    }
  }

  tl::unexpected<Error> anchor_not_found() const {
    const std::string_view text = missing_->text;
    std::string hint;
    if (const auto near = nearest(file_.lines, std::span(&text, 1)))
      hint = fmt::format("; nearest is line {}: {}", near->line + 1, in_quotes(file_.lines[near->line].text));
    return fail_at(missing_->line, "anchor {} not found after line {}{}", in_quotes(text), cursor_, hint);
  }

  std::optional<Match> seek_block(std::span<const std::string_view> block) {
    if (hunk_->end_of_file) return seek_end(block);
    // Without its anchor a block must tell by itself where it belongs.
    if (missing_ != nullptr) return seeker_.find_only(block, cursor_);
    if (const auto match = seeker_.find(block, cursor_)) return match;
    // The block may repeat its anchor as its first line.
    if (anchor_line_ && *anchor_line_ + 1 == cursor_) return seeker_.at(block, *anchor_line_);
    return std::nullopt;
  }

  // At the very end, or before blank lines at the end; failing that, where it stands only once.
  std::optional<Match> seek_end(std::span<const std::string_view> block) {
    const std::span<const TextLine> lines = file_.lines;
    for (size_t end = lines.size(); end >= cursor_ + block.size(); --end) {
      if (const auto match = seeker_.at(block, end - block.size())) return match;
      if (end == 0 || !trimmed(lines[end - 1].text).empty()) break;
    }
    return seeker_.find_only(block, cursor_);
  }

  tl::unexpected<Error> not_found(std::span<const std::string_view> block) {
    if (hunk_->end_of_file) {
      if (const auto match = seeker_.find(block, cursor_))
        return fail_at(hunk_->line,
                       "expected {} at the end of the file, found it more than once, first at line {}",
                       in_quotes(block[0]), match->line + 1);
    }
    if (const auto match = seeker_.find(block, 0))
      return fail_at(
          hunk_->line,
          "its lines stand at line {}, before line {} where the hunk before it or its anchor ends; "
          "hunks must be in the order of the file",
          match->line + 1, cursor_ + 1);
    std::string hint;
    if (const auto near = nearest(file_.lines, block)) {
      const size_t at = near->line + near->differing;
      hint = fmt::format("; nearest is line {}", near->line + 1);
      if (near->differing < block.size())
        hint += fmt::format(
            ", where line {} differs: expected {}, found {}", at + 1, in_quotes(block[near->differing]),
            at < file_.lines.size() ? in_quotes(file_.lines[at].text) : "the end of the file");
    }
    return fail_at(hunk_->line,
                   "context not found after line {}: {} lines beginning with {}; tried exact, right-trimmed, "
                   "trimmed and folded{}",
                   cursor_, block.size(), in_quotes(block[0]), hint);
  }

  // The one difference in indentation between all of the block's lines and the file's; none if they differ
  // differently.
  Shift shift_for(std::span<const std::string_view> block, const Match& match) const {
    if (match.pass != Pass::kTrimmed && match.pass != Pass::kFolded) return {};
    std::optional<Shift> all;
    for (size_t j = 0; j < block.size(); ++j) {
      if (trimmed(block[j]).empty()) continue;
      const std::string_view theirs = indentation(block[j]),
                             ours = indentation(file_.lines[match.line + j].text);
      Shift shift;
      if (ours.ends_with(theirs)) {
        shift.add = ours.substr(0, ours.size() - theirs.size());
      } else if (theirs.ends_with(ours)) {
        shift.strip = theirs.substr(0, theirs.size() - ours.size());
      } else {
        return {};
      }
      if (all && (all->add != shift.add || all->strip != shift.strip)) return {};
      all = std::move(shift);
    }
    return all.value_or(Shift{});
  }

  void copy_until(size_t line) {
    for (; copied_ < line; ++copied_)
      out_.push_back({std::string(file_.lines[copied_].text), file_.lines[copied_].end, false});
    cursor_ = std::max(cursor_, copied_);
  }

  // Replaces the file's lines from copied_ on by what `lines` make of them.
  Status splice(std::span<const HunkLine> lines, const Shift& shift) {
    std::vector<LineEnd> removed;  // endings of removed lines that no added line has taken over yet
    size_t taken = 0;
    for (const HunkLine& line : lines) {
      if (line.kind == Kind::kContext) {
        copy_until(copied_ + 1);
        removed.clear();
        taken = 0;
      } else if (line.kind == Kind::kRemoved) {
        removed.push_back(file_.lines[copied_++].end);
      } else {
        const LineEnd end = taken < removed.size() ? removed[taken++] : neighbour_end();
        add_line(line.text, end, shift);
      }
    }
    cursor_ = std::max(cursor_, copied_);
    return {};
  }

  LineEnd neighbour_end() const {
    if (!out_.empty() && out_.back().end != LineEnd::kNone) return out_.back().end;
    if (copied_ < file_.lines.size() && file_.lines[copied_].end != LineEnd::kNone)
      return file_.lines[copied_].end;
    return usual_end_;
  }

  void add_line(std::string_view text, LineEnd end, const Shift& shift) {
    if (end == LineEnd::kCrLf && text.ends_with('\r')) text.remove_suffix(1);
    std::string shifted(text);
    if (!trimmed(text).empty()) {
      shifted.insert(0, shift.add);
      if (!shift.strip.empty() && shifted.starts_with(shift.strip)) shifted.erase(0, shift.strip.size());
    }
    out_.push_back({std::move(shifted), end, true});
  }

  std::string_view path_;
  const TextFile& file_;
  LineSeeker seeker_;
  LineEnd usual_end_;
  std::vector<OutLine> out_;
  size_t copied_ = 0;                  // lines of the file that are in out_ or removed
  size_t cursor_ = 0;                  // the next hunk's lines stand at or after this line
  std::optional<size_t> anchor_line_;  // of the last anchor that was found ahead
  const Anchor* missing_ = nullptr;    // the first that was not found at all
  const Hunk* hunk_ = nullptr;
  size_t index_ = 0;
};

}  // namespace

Result<std::string> apply_hunks(std::string_view path, std::string_view content,
                                std::span<const Hunk> hunks) {
  ATELIER_TRY(const TextFile file, TextFile::parse(path, content));
  FileEditor editor(path, file);
  for (size_t i = 0; i < hunks.size(); ++i) ATELIER_CHECK_OK(editor.apply(hunks[i], i));
  return editor.finish();
}

}  // namespace atelier::agent
