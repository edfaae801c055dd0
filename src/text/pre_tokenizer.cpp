#include "text/pre_tokenizer.h"

#include <algorithm>
#include <utility>

namespace atelier {
namespace pre_tokenizer {
namespace {

struct Part {
  size_t begin;
  size_t end;
  bool is_delimiter;
};

constexpr bool is_ascii_symbol(char32_t c) {
  return (c > 0x20 && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') || (c > 'z' && c < 0x7F);
}

Status find(const Regex& pattern, std::string_view text, std::vector<Regex::Match>& matches) {
  return pattern.find_all(text, matches);
}

Status find(const Literal& pattern, std::string_view text, std::vector<Regex::Match>& matches) {
  for (size_t at = text.find(pattern.text); at != std::string_view::npos;
       at = text.find(pattern.text, at + pattern.text.size()))
    matches.push_back({at, at + pattern.text.size()});
  return {};
}

Status find(const AnyOf& pattern, std::string_view text, std::vector<Regex::Match>& matches) {
  const CharClasses& classes = CharClasses::get();
  const char* begin = text.data();
  const char* end = begin + text.size();
  for (const char* at = begin; at != end;) {
    const Utf8Char c = decode_utf8(at, end);
    const bool symbol = pattern.ascii_symbols && is_ascii_symbol(c.code_point);
    if (c.valid && (symbol || contains(pattern.classes, classes[c.code_point]))) {
      const auto offset = static_cast<size_t>(at - begin);
      matches.push_back({offset, offset + c.length});
    }
    at += c.length;
  }
  return {};
}

// The whole text in order: delimiters and what lies between them.
Result<std::vector<Part>> cut(const Split& step, std::string_view text) {
  std::vector<Regex::Match> matches;
  ATELIER_CHECK_OK(
      std::visit([&](const auto& pattern) { return find(pattern, text, matches); }, step.pattern));
  std::vector<Part> parts;
  size_t at = 0;
  for (const Regex::Match& match : matches) {
    if (at != match.begin) parts.push_back({at, match.begin, step.invert});
    parts.push_back({match.begin, match.end, !step.invert});
    at = match.end;
  }
  if (at != text.size()) parts.push_back({at, text.size(), step.invert});
  return parts;
}

// Source: huggingface/tokenizers, tokenizer/normalizer.rs, NormalizedString::split.
void apply_behavior(Behavior behavior, std::vector<Part>& parts) {
  if (behavior == Behavior::kIsolated) return;
  if (behavior == Behavior::kRemoved) {
    std::erase_if(parts, [](const Part& part) { return part.is_delimiter; });
    return;
  }
  const bool backwards = behavior == Behavior::kMergedWithNext;
  if (backwards) std::reverse(parts.begin(), parts.end());
  std::vector<Part> merged;
  bool after_delimiter = false;
  for (const Part& part : parts) {
    const bool joins = behavior == Behavior::kContiguous ? part.is_delimiter == after_delimiter
                                                         : part.is_delimiter && !after_delimiter;
    after_delimiter = part.is_delimiter;
    if (!joins || merged.empty())
      merged.push_back(part);
    else if (backwards)
      merged.back().begin = part.begin;
    else
      merged.back().end = part.end;
  }
  if (backwards) std::reverse(merged.begin(), merged.end());
  parts = std::move(merged);
}

// One piece taken apart by one step.
struct Context {
  bool first;  // the piece is the beginning of what was given
  PieceArena& arena;
  std::vector<std::string_view>& out;
};

Status apply(SplitStep step, std::string_view piece, const Context& context) {
  PieceReader reader(std::span(&step, 1), piece);
  for (std::string_view part; reader.next(part);) context.out.push_back(part);
  return {};
}

Status apply(const Split& step, std::string_view piece, const Context& context) {
  ATELIER_TRY(std::vector<Part> parts, cut(step, piece));
  apply_behavior(step.behavior, parts);
  for (const Part& part : parts)
    if (part.begin != part.end) context.out.push_back(piece.substr(part.begin, part.end - part.begin));
  return {};
}

Status apply(const Metaspace& step, std::string_view piece, const Context& context) {
  std::string& text = context.arena.emplace_back();
  text.reserve(piece.size() + step.replacement.size());
  const bool wanted = step.prepend == Prepend::kAlways || (step.prepend == Prepend::kFirst && context.first);
  if (wanted && !piece.starts_with(' ') && !piece.starts_with(step.replacement)) text = step.replacement;
  for (const char c : piece) {
    if (c == ' ')
      text += step.replacement;
    else
      text.push_back(c);
  }
  if (!step.split) {
    context.out.push_back(text);
    return {};
  }
  size_t begin = 0;
  for (size_t at = text.find(step.replacement, 1); at != std::string::npos;
       at = text.find(step.replacement, at + 1)) {
    context.out.push_back(std::string_view(text).substr(begin, at - begin));
    begin = at;
  }
  context.out.push_back(std::string_view(text).substr(begin));
  return {};
}

Status apply(const PrefixSpace&, std::string_view piece, const Context& context) {
  if (piece.starts_with(' ')) {
    context.out.push_back(piece);
  } else {
    std::string& text = context.arena.emplace_back(" ");
    text += piece;
    context.out.push_back(text);
  }
  return {};
}

}  // namespace
}  // namespace pre_tokenizer

Status PreTokenizer::add(pre_tokenizer::Step step) {
  if (simple_.size() + others_.size() >= kMaxSplitSteps)
    return fail(ErrorCode::kLimit, "expected at most {} pre-tokenizers", kMaxSplitSteps);
  const auto* simple = std::get_if<SplitStep>(&step);
  if (simple != nullptr && others_.empty())
    simple_.push_back(*simple);
  else
    others_.push_back(std::move(step));
  return {};
}

Status PreTokenizer::split(std::string_view text, bool first, PieceArena& arena,
                           std::vector<std::string_view>& pieces) const {
  std::vector<std::string_view> now;
  PieceReader reader(simple_, text);
  for (std::string_view piece; reader.next(piece);) now.push_back(piece);
  std::vector<std::string_view> next;
  for (const pre_tokenizer::Step& step : others_) {
    next.clear();
    for (size_t i = 0; i < now.size(); ++i) {
      // What a step has removed in front makes a piece another than the first.
      const bool begins = first && i == 0 && now[i].data() == text.data();
      const pre_tokenizer::Context context{begins, arena, next};
      ATELIER_CHECK_OK(
          std::visit([&](const auto& s) { return pre_tokenizer::apply(s, now[i], context); }, step));
    }
    now.swap(next);
  }
  pieces.insert(pieces.end(), now.begin(), now.end());
  return {};
}

}  // namespace atelier
