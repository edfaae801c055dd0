#include "text/normalizer.h"

#include <utf8proc.h>

#include "text/token_spelling.h"
#include "text/unicode.h"

namespace atelier {
namespace normalizer {
namespace {

// visit(character, its bytes) for each; bytes that are no UTF-8 are kInvalidByte and not valid.
template <class Visit>
void for_each_character(std::string_view text, Visit&& visit) {
  const char* end = text.data() + text.size();
  for (const char* at = text.data(); at != end;) {
    const Utf8Char c = decode_utf8(at, end);
    visit(c, std::string_view(at, c.length));
    at += c.length;
  }
}

bool is_space(const Utf8Char& c) { return c.valid && CharClasses::get()[c.code_point] == CharClass::kSpace; }

Status apply(NormalForm form, std::string_view in, std::string& out) {
  append_normal_form(in, form, out);
  return {};
}

Status apply(const Prepend& step, std::string_view in, std::string& out) {
  if (!in.empty()) out.append(step.text).append(in);
  return {};
}

Status apply(const ReplaceText& step, std::string_view in, std::string& out) {
  for (size_t at = 0; at < in.size();) {
    const size_t found = std::min(in.find(step.from, at), in.size());
    out += in.substr(at, found - at);
    if (found < in.size()) out += step.to;
    at = found + step.from.size();
  }
  return {};
}

Status apply(const ReplaceMatches& step, std::string_view in, std::string& out) {
  std::vector<Regex::Match> matches;
  ATELIER_CHECK_OK(step.expression.find_all(in, matches));
  size_t at = 0;
  for (const Regex::Match& match : matches) {
    out.append(in.substr(at, match.begin - at)).append(step.to);
    at = match.end;
  }
  out += in.substr(at);
  return {};
}

Status apply(const Strip& step, std::string_view in, std::string& out) {
  size_t begin = 0;
  size_t end = 0;
  bool leading = step.left;
  size_t at = 0;
  for_each_character(in, [&](const Utf8Char& c, std::string_view bytes) {
    at += bytes.size();
    if (!is_space(c)) {
      leading = false;
      end = at;
    } else if (leading) {
      begin = at;
    }
  });
  if (!step.right) end = in.size();
  if (begin < end) out += in.substr(begin, end - begin);
  return {};
}

Status apply(const Lowercase&, std::string_view in, std::string& out) {
  append_lowercase(in, out);
  return {};
}

Status apply(const StripAccents&, std::string_view in, std::string& out) {
  for_each_character(in, [&](const Utf8Char& c, std::string_view bytes) {
    const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c.code_point));
    const bool mark = category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
                      category == UTF8PROC_CATEGORY_ME;
    if (!c.valid || !mark) out += bytes;
  });
  return {};
}

// Source: huggingface/tokenizers, normalizers/unicode.rs; google/sentencepiece, nmt_nfkc.
Status apply(const Nmt&, std::string_view in, std::string& out) {
  const auto vanishes = [](char32_t c) {
    return (c >= 0x01 && c <= 0x08) || c == 0x0B || (c >= 0x0E && c <= 0x1F) || c == 0x7F || c == 0x8F ||
           c == 0x9F;
  };
  const auto becomes_space = [](char32_t c) {
    return c == 0x09 || c == 0x0A || c == 0x0C || c == 0x0D || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
           c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
  };
  for_each_character(in, [&](const Utf8Char& c, std::string_view bytes) {
    if (c.valid && vanishes(c.code_point)) return;
    if (c.valid && becomes_space(c.code_point))
      out.push_back(' ');
    else
      out += bytes;
  });
  return {};
}

Status apply(const Precompiled& step, std::string_view in, std::string& out) {
  step.charsmap.append_by_graphemes(in, out);
  return {};
}

// Source: google/sentencepiece, src/normalizer.cc, Normalizer::Normalize.
Status apply(const SentencePiece& step, std::string_view in, std::string& out) {
  std::string mapped;
  if (step.has_charsmap) {
    for (size_t at = 0; at < in.size();) {
      if (const auto rule = step.charsmap.find(in.substr(at), Charsmap::Prefer::kLongest)) {
        mapped += rule->replacement;
        at += rule->length;
      } else {
        const size_t n = decode_utf8(in.data() + at, in.data() + in.size()).length;
        mapped += in.substr(at, n);
        at += n;
      }
    }
    in = mapped;
  }
  if (step.remove_extra_spaces) {
    const size_t first = in.find_first_not_of(' ');
    if (first == std::string_view::npos) return {};
    in = in.substr(first, in.find_last_not_of(' ') + 1 - first);
  }
  if (in.empty()) return {};
  if (step.add_dummy_prefix) out += kLowerOneEighthBlock;
  bool after_space = false;
  for (const char c : in) {
    if (c != ' ') out.push_back(c);
    if (c == ' ' && !(step.remove_extra_spaces && after_space)) out += kLowerOneEighthBlock;
    after_space = c == ' ';
  }
  return {};
}

}  // namespace
}  // namespace normalizer

Status Normalizer::add(normalizer::Step step) {
  if (steps_.size() >= kMaxSteps)
    return fail(ErrorCode::kLimit, "expected at most {} normalizers", kMaxSteps);
  steps_.push_back(std::move(step));
  return {};
}

Status Normalizer::apply(std::string_view text, std::string& out) const {
  std::string in;
  out.assign(text);
  for (const normalizer::Step& step : steps_) {
    in.swap(out);
    out.clear();
    out.reserve(in.size());
    ATELIER_CHECK_OK(std::visit([&](const auto& s) { return normalizer::apply(s, in, out); }, step));
  }
  return {};
}

}  // namespace atelier
