#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <utility>

#include "base/check.h"
#include "text/unicode.h"

namespace atelier {
namespace {

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_compile_context* p) const { pcre2_compile_context_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

std::string describe(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

size_t next_character(std::string_view text, size_t at) {
  return at + (at < text.size() ? decode_utf8(text.data() + at, text.data() + text.size()).length : 1);
}

Status search_failed(int error, size_t at) {
  const auto over = [at](std::string_view limit, uint64_t value, std::string_view unit) {
    return fail(ErrorCode::kLimit, "the expression exceeds its {} of {}{} at byte {} of the text", limit,
                value, unit, at);
  };
  if (error == PCRE2_ERROR_MATCHLIMIT) return over("match limit", kRegexMatchLimit, " steps");
  if (error == PCRE2_ERROR_DEPTHLIMIT) return over("depth limit", kRegexDepthLimit, " levels");
  if (error == PCRE2_ERROR_HEAPLIMIT) return over("heap limit", kRegexHeapKib, " KiB");
  if (error == PCRE2_ERROR_CALLOUT)
    return fail(ErrorCode::kLimit, "the expression takes more than {} steps a byte, at byte {} of the text",
                kRegexStepsPerByte, at);
  return fail(ErrorCode::kUnsupported, "the expression fails at byte {} of the text: {}", at,
              describe(error));
}

// PCRE2's limits are for a match that begins at one place. What all of them together may take grows with the
// text only: each item of the expression that is tried is a step, and each byte it has moved by.
struct Steps {
  uint64_t left;
  size_t last_position = 0;
};

int count_step(pcre2_callout_block* block, void* data) {
  auto& steps = *static_cast<Steps*>(data);
  const size_t position = block->current_position;
  const size_t moved =
      position > steps.last_position ? position - steps.last_position : steps.last_position - position;
  steps.last_position = position;
  if (steps.left <= moved) return PCRE2_ERROR_CALLOUT;
  steps.left -= moved + 1;
  return 0;
}

}  // namespace

struct Regex::Code {
  Owned<pcre2_code> code;
};

Regex::Regex(std::unique_ptr<Code> code) : code_(std::move(code)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::compile(std::string_view pattern, RegexSyntax syntax) {
  if (pattern.size() > kMaxRegexBytes)
    return fail(ErrorCode::kLimit, "an expression: expected at most {} bytes, found {}", kMaxRegexBytes,
                pattern.size());
  std::string translated(pattern);
  if (syntax == RegexSyntax::kOniguruma) {
    ATELIER_TRY(translated, translate_oniguruma(pattern));
  }
  const Owned<pcre2_compile_context> context(pcre2_compile_context_create(nullptr));
  ATELIER_CHECK(context != nullptr);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 100);
  constexpr uint32_t kOptions =
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT;
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto code = std::make_unique<Code>();
  code->code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(), kOptions,
                                 &error, &offset, context.get()));
  if (code->code == nullptr)
    return fail(ErrorCode::kCorrupt, "the expression {}: {}", pattern, describe(error));
  return Regex(std::move(code));
}

// Every stretch of valid UTF-8 is a subject of its own. It has been checked, which PCRE2 would do again for
// each match, up to the end of the text.
Status Regex::find_all(std::string_view text, std::vector<Match>& matches) const {
  const Owned<pcre2_match_context> context(pcre2_match_context_create(nullptr));
  const Owned<pcre2_match_data> data(pcre2_match_data_create(1, nullptr));
  ATELIER_CHECK(context != nullptr && data != nullptr);
  pcre2_set_match_limit(context.get(), kRegexMatchLimit);
  pcre2_set_depth_limit(context.get(), kRegexDepthLimit);
  pcre2_set_heap_limit(context.get(), kRegexHeapKib);
  Steps steps{kRegexFreeSteps + kRegexStepsPerByte * text.size()};
  pcre2_set_callout(context.get(), count_step, &steps);
  const auto find_in = [&](size_t start, std::string_view subject) -> Status {
    size_t last_end = SIZE_MAX;
    steps.last_position = 0;
    for (size_t from = 0; from <= subject.size();) {
      const int found = pcre2_match(code_->code.get(), reinterpret_cast<PCRE2_SPTR>(subject.data()),
                                    subject.size(), from, PCRE2_NO_UTF_CHECK, data.get(), context.get());
      if (found == PCRE2_ERROR_NOMATCH) break;
      if (found < 0) return search_failed(found, start + from);
      const PCRE2_SIZE* offsets = pcre2_get_ovector_pointer(data.get());
      const size_t begin = offsets[0];
      const size_t end = offsets[1];
      if (begin > end || begin < from)
        return fail(ErrorCode::kUnsupported, "the expression matches backwards at byte {} of the text",
                    start + begin);
      if (begin == end && end == last_end) {
        from = next_character(subject, from);
        continue;
      }
      matches.push_back({start + begin, start + end});
      from = last_end = end;
    }
    return {};
  };
  for (size_t at = 0; at < text.size();) {
    const size_t n = valid_utf8_prefix(text.substr(at));
    if (n > 0) ATELIER_CHECK_OK(find_in(at, text.substr(at, n)));
    at += n;
    while (at < text.size() && !decode_utf8(text.data() + at, text.data() + text.size()).valid) ++at;
  }
  return {};
}

}  // namespace atelier
