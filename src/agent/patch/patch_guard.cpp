#include "agent/patch/patch_guard.h"

#include <algorithm>
#include <bit>

#include "agent/patch/plan.h"
#include "chat/json_text.h"

namespace atelier::agent {
namespace {

constexpr std::string_view kPatchMember = "\"patch\"";
constexpr std::string_view kNewline = "\\n";    // as JSON spells it
constexpr std::string_view kEndMark = "*** E";  // what no other line begins with

}  // namespace

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
  // An escape is two characters or more: "\\n" is a backslash and a letter.
  for (size_t at = line_; at < bytes_.size();) {
    if (bytes_[at] != '\\') {
      ++at;
    } else {
      if (bytes_.compare(at, kNewline.size(), kNewline) == 0) line_ = at + kNewline.size();
      at += 2;
    }
  }
}

std::string PatchGuard::text_so_far() const {
  const auto text = chat::parse_json("\"" + bytes_.substr(0, line_) + "\"", "patch");
  return text && text->is_string() ? text->get<std::string>() : std::string();
}

bool PatchGuard::changes_nothing() {
  if (judged_ == line_) return nothing_;
  judged_ = line_;
  const auto patch = parse_patch(text_so_far() + "*** End Patch");
  const auto changes = patch ? planned_changes(*workspace_, *patch) : tl::unexpected<Error>(patch.error());
  return nothing_ = changes && changes->empty();
}

void PatchGuard::restrict(std::span<uint64_t> mask) {
  if (!begun_ || line_ == 0) return;
  const std::string_view line = std::string_view(bytes_).substr(line_);
  if (line.size() >= kEndMark.size() || !kEndMark.starts_with(line)) return;
  if (!changes_nothing()) return;
  std::vector<TokenId> ending;
  bool others = false;
  for (size_t word = 0; word < mask.size(); ++word)
    for (uint64_t bits = mask[word]; bits != 0; bits &= bits - 1) {
      const auto token = static_cast<TokenId>(word * 64 + static_cast<size_t>(std::countr_zero(bits)));
      const std::string all = std::string(line) + std::string(tokenizer_->token_bytes(token));
      if (all.starts_with(kEndMark))
        ending.push_back(token);
      else
        others = true;
    }
  if (!others) return;
  for (const TokenId token : ending)
    mask[static_cast<size_t>(token) / 64] &= ~(uint64_t{1} << (static_cast<size_t>(token) % 64));
}

}  // namespace atelier::agent
