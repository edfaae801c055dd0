#include "agent/patch/patch_guard.h"

#include <algorithm>
#include <array>
#include <bit>

#include "agent/patch/plan.h"
#include "chat/json_text.h"

namespace atelier::agent {
namespace {

constexpr std::string_view kPatchMember = "\"patch\"";
constexpr std::string_view kLineEnd = "\\n";    // as JSON spells it
constexpr std::string_view kEndMark = "*** E";  // what no other line begins with
constexpr std::string_view kEndLine = "*** End Patch",
                           kAddHeader = "*** Add File: ", kMoveHeader = "*** Move to: ";
constexpr std::array<std::string_view, 2> kFileHeaders = {"*** Update File: ", "*** Delete File: "};

// The end of the line that begins at `at`, or npos. An escape is two characters or more: "\\n" is a backslash
// and a letter.
size_t end_of_line(std::string_view text, size_t at) {
  while (at < text.size()) {
    if (text[at] != '\\') {
      ++at;
    } else if (text.substr(at, kLineEnd.size()) == kLineEnd) {
      return at;
    } else {
      at += 2;
    }
  }
  return std::string_view::npos;
}

}  // namespace

PatchGuard::PatchGuard(const Workspace& workspace, const Tokenizer& tokenizer,
                       std::shared_ptr<const PatchScope> scope)
    : workspace_(&workspace), tokenizer_(&tokenizer) {
  for (const PatchableFile& file : scope->files)
    names_.push_back(patch_text(file.path, PatchSpelling::kJson));
  begin();
}

void PatchGuard::begin() {
  named_.assign(names_.size(), false);
  made_.clear();
  bytes_.clear();
  head_.clear();
  begun_ = false;
  line_ = 0;
  judged_ = SIZE_MAX;
}

void PatchGuard::push(std::string_view bytes) {
  if (!begun_) {
    head_ += bytes;
    const size_t member = head_.find(kPatchMember);
    if (member == std::string::npos) return;
    const size_t quote = head_.find('"', member + kPatchMember.size());
    if (quote == std::string::npos) return;
    begun_ = true;
    bytes_ = head_.substr(quote + 1);
  } else {
    bytes_ += bytes;
  }
  for (size_t end = end_of_line(bytes_, line_); end != std::string::npos; end = end_of_line(bytes_, line_)) {
    note(std::string_view(bytes_).substr(line_, end - line_));
    line_ = end + kLineEnd.size();
  }
}

void PatchGuard::note(std::string_view line) {
  for (const std::string_view header : kFileHeaders)
    if (line.starts_with(header))
      for (size_t i = 0; i < names_.size(); ++i)
        if (names_[i] == line.substr(header.size())) named_[i] = true;
  for (const std::string_view header : {kAddHeader, kMoveHeader})
    if (line.starts_with(header)) made_.emplace(line.substr(header.size()));
}

bool PatchGuard::may_be(std::string_view line, bool complete) const {
  // A backslash at the end: the first half of a line's end, or of an escape in a name.
  const auto backslashes = line.size() - (line.find_last_not_of('\\') + 1);
  if (!complete && backslashes % 2 == 1 && may_be(line.substr(0, line.size() - 1), /*complete=*/true))
    return true;
  if (!complete && (kAddHeader.starts_with(line) || kEndLine.starts_with(line))) return true;
  for (const std::string_view header : kFileHeaders) {
    const bool begun = line.starts_with(header);
    if (!begun && !(header.starts_with(line) && !complete)) continue;
    const std::string_view name = begun ? line.substr(header.size()) : std::string_view();
    for (size_t i = 0; i < names_.size(); ++i)
      if (!named_[i] && (complete ? names_[i] == name : names_[i].starts_with(name))) return true;
    return false;
  }
  for (const std::string_view header : {kAddHeader, kMoveHeader})
    if (line.starts_with(header) && (complete || backslashes % 2 == 1) &&
        made_.contains(line.substr(header.size(), line.find_last_not_of('\\') + 1 - header.size())))
      return false;
  return true;
}

bool PatchGuard::names_once(std::string_view bytes) const {
  const std::string all = std::string(line()) + std::string(bytes);
  for (size_t at = 0;;) {
    const size_t end = end_of_line(all, at);
    const bool complete = end != std::string::npos;
    if (!may_be(std::string_view(all).substr(at, end - at), complete)) return false;
    if (!complete) return true;
    at = end + kLineEnd.size();
  }
}

bool PatchGuard::changes(std::string_view patch) const {
  const auto text = chat::parse_json("\"" + std::string(patch) + "\"", "patch");
  if (!text || !text->is_string()) return false;
  const auto parsed = parse_patch(text->get<std::string>());
  const auto planned = parsed ? planned_changes(*workspace_, *parsed) : tl::unexpected<Error>(parsed.error());
  return planned && !planned->empty();
}

bool PatchGuard::ends_well(std::string_view rest) const {
  std::string all = begun_ ? bytes_ : head_;
  all += rest;
  size_t begin = 0;
  if (!begun_) {
    begin = all.find('"', std::min(all.find(kPatchMember), all.size() - 1) + kPatchMember.size());
    if (begin++ == std::string::npos) return false;
  }
  size_t end = begin;
  while (end < all.size() && all[end] != '"') end += all[end] == '\\' ? 2 : 1;
  return end < all.size() && changes(std::string_view(all).substr(begin, end - begin));
}

std::vector<std::string> PatchGuard::names_left() const {
  std::vector<std::string> endings;
  for (const std::string_view header : kFileHeaders)
    for (size_t i = 0; i < names_.size(); ++i) {
      const std::string whole = std::string(header) + names_[i];
      if (!named_[i] && begun_ && line_ > 0 && whole.starts_with(line()))
        endings.push_back(whole.substr(line().size()) + std::string(kLineEnd));
    }
  return endings;
}

bool PatchGuard::changes_nothing() {
  if (judged_ == line_) return nothing_;
  judged_ = line_;
  // A patch that cannot even be read is not this one's to judge.
  const auto text = chat::parse_json("\"" + bytes_.substr(0, line_) + "\"", "patch");
  const auto patch = text && text->is_string() ? parse_patch(text->get<std::string>() + std::string(kEndLine))
                                               : Result<Patch>(fail(ErrorCode::kInvalidArgument, "patch"));
  const auto changes = patch ? planned_changes(*workspace_, *patch) : tl::unexpected<Error>(patch.error());
  return nothing_ = changes && changes->empty();
}

void PatchGuard::restrict(std::span<uint64_t> mask) {
  // Only lines that begin with a star are looked at. No token has the end of a line and as much of the next
  // one as tells a header's kind.
  if (!begun_ || line_ == 0 || !(line().empty() || line()[0] == '*')) return;
  std::vector<TokenId> ending, named;
  bool others = false;
  for (size_t word = 0; word < mask.size(); ++word)
    for (uint64_t bits = mask[word]; bits != 0; bits &= bits - 1) {
      const auto token = static_cast<TokenId>(word * 64 + static_cast<size_t>(std::countr_zero(bits)));
      const std::string_view bytes = tokenizer_->token_bytes(token);
      if (line().empty() && bytes.find('*') == std::string_view::npos) {
        others = true;
      } else if (!names_once(bytes)) {
        named.push_back(token);
      } else if (line().size() < kEndMark.size() &&
                 (std::string(line()) + std::string(bytes)).starts_with(kEndMark)) {
        ending.push_back(token);
      } else {
        others = true;
      }
    }
  const auto remove = [&](const std::vector<TokenId>& tokens) {
    for (const TokenId token : tokens)
      mask[static_cast<size_t>(token) / 64] &= ~(uint64_t{1} << (static_cast<size_t>(token) % 64));
  };
  if (others || !ending.empty()) remove(named);
  if (others && !ending.empty() && changes_nothing()) remove(ending);
}

}  // namespace atelier::agent
