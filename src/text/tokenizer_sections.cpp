#include "text/tokenizer_sections.h"

#include <nlohmann/json.hpp>

#include "text/base64.h"
#include "text/section_fields.h"

namespace atelier {
namespace {

using nlohmann::json;
using section::flag;
using section::list;
using section::text;
using section::type_of;

Status add_normalizer(const json& part, Normalizer& result) {
  namespace n = normalizer;
  const std::string type = type_of(part);
  if (type == "Sequence") {
    ATELIER_TRY(const json* parts, list(part, "normalizers"));
    for (const json& inner : *parts) ATELIER_CHECK_OK(add_normalizer(inner, result));
    return {};
  }
  if (type == "NFC") {
    return result.add(NormalForm::kNfc);
  }
  if (type == "NFD") {
    return result.add(NormalForm::kNfd);
  }
  if (type == "NFKC") {
    return result.add(NormalForm::kNfkc);
  }
  if (type == "NFKD") {
    return result.add(NormalForm::kNfkd);
  }
  if (type == "Lowercase") {
    return result.add(n::Lowercase{});
  }
  if (type == "StripAccents") {
    return result.add(n::StripAccents{});
  }
  if (type == "Nmt") {
    return result.add(n::Nmt{});
  }
  if (type == "Strip") {
    ATELIER_TRY(const bool left, flag(part, "strip_left", true));
    ATELIER_TRY(const bool right, flag(part, "strip_right", true));
    return result.add(n::Strip{left, right});
  }
  if (type == "Prepend") {
    ATELIER_TRY(std::string what, text(part, "prepend"));
    return result.add(n::Prepend{std::move(what)});
  }
  if (type == "Replace") {
    ATELIER_TRY(section::Pattern pattern, section::pattern(part));
    ATELIER_TRY(std::string to, text(part, "content"));
    if (pattern.is_regex) {
      ATELIER_TRY(Regex expression, Regex::compile(pattern.text));
      return result.add(n::ReplaceMatches{std::move(expression), std::move(to)});
    }
    return result.add(n::ReplaceText{std::move(pattern.text), std::move(to)});
  }
  if (type == "Precompiled") {
    ATELIER_TRY(const std::string encoded, text(part, "precompiled_charsmap"));
    ATELIER_TRY(const std::string bytes, decode_base64(encoded));
    ATELIER_TRY(Charsmap charsmap, Charsmap::parse(bytes));
    return result.add(n::Precompiled{std::move(charsmap)});
  }
  return fail(ErrorCode::kUnsupported, "normalizer \"{}\"", type);
}

Result<pre_tokenizer::Behavior> behavior_of(const json& part, std::string fallback) {
  using pre_tokenizer::Behavior;
  ATELIER_TRY(const std::string name, text(part, "behavior", std::move(fallback)));
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  return fail(ErrorCode::kCorrupt, "{}: an unknown behavior \"{}\"", type_of(part), name);
}

Result<pre_tokenizer::Step> read_split(const json& part) {
  using pre_tokenizer::Behavior;
  ATELIER_TRY(section::Pattern pattern, section::pattern(part));
  ATELIER_TRY(const bool invert, flag(part, "invert", false));
  ATELIER_TRY(const std::string behavior, text(part, "behavior"));
  ATELIER_TRY(const Behavior how, behavior_of(part, behavior));
  if (!pattern.is_regex)
    return pre_tokenizer::Split{pre_tokenizer::Literal{std::move(pattern.text)}, how, invert};
  // Removing what does not match, where everything matches, is the same as isolating what does.
  if (const std::optional<SplitStep> known = find_split_step(pattern.text))
    if ((how == Behavior::kIsolated && !invert) ||
        (how == Behavior::kRemoved && invert && covers_all_text(*known)))
      return *known;
  ATELIER_TRY(Regex expression, Regex::compile(pattern.text));
  return pre_tokenizer::Split{std::move(expression), how, invert};
}

Result<pre_tokenizer::Step> read_metaspace(const json& part) {
  using pre_tokenizer::Prepend;
  pre_tokenizer::Metaspace step;
  ATELIER_TRY(step.replacement, text(part, "replacement"));
  ATELIER_TRY(const std::string scheme, text(part, "prepend_scheme", "always"));
  ATELIER_TRY(const bool prefix, flag(part, "add_prefix_space", true));
  ATELIER_TRY(step.split, flag(part, "split", true));
  const std::string& c = step.replacement;
  if (c.empty() || decode_utf8(c.data(), c.data() + c.size()).length != c.size())
    return fail(ErrorCode::kCorrupt, "Metaspace \"replacement\": expected one character, found \"{}\"", c);
  if (scheme != "always" && scheme != "first" && scheme != "never")
    return fail(ErrorCode::kCorrupt, "Metaspace \"prepend_scheme\": \"{}\"", scheme);
  step.prepend = !prefix || scheme == "never" ? Prepend::kNever
                 : scheme == "first"          ? Prepend::kFirst
                                              : Prepend::kAlways;
  return step;
}

Status add_pre_tokenizer(const json& part, PreTokenizerSection& result) {
  namespace p = pre_tokenizer;
  PreTokenizer& steps = result.pre_tokenizer;
  const std::string type = type_of(part);
  if (result.byte_level) return fail(ErrorCode::kUnsupported, "pre-tokenizer \"{}\" behind ByteLevel", type);
  if (type == "Sequence") {
    ATELIER_TRY(const json* parts, list(part, "pretokenizers"));
    for (const json& inner : *parts) ATELIER_CHECK_OK(add_pre_tokenizer(inner, result));
    return {};
  }
  if (type == "ByteLevel") {
    ATELIER_TRY(const bool use_regex, flag(part, "use_regex", true));
    ATELIER_TRY(const bool add_prefix_space, flag(part, "add_prefix_space", true));
    result.byte_level = true;
    if (add_prefix_space) ATELIER_CHECK_OK(steps.add(p::PrefixSpace{}));
    return use_regex ? steps.add(SplitStep::kGpt2) : Status();
  }
  if (type == "Split") {
    ATELIER_TRY(p::Step step, read_split(part));
    return steps.add(std::move(step));
  }
  if (type == "Digits") {
    ATELIER_TRY(const bool individual, flag(part, "individual_digits", false));
    return steps.add(individual ? SplitStep::kIndividualDigits : SplitStep::kDigitRuns);
  }
  if (type == "Metaspace") {
    ATELIER_TRY(p::Step step, read_metaspace(part));
    return steps.add(std::move(step));
  }
  if (type == "WhitespaceSplit")
    return steps.add(p::Split{p::AnyOf{class_set(CharClass::kSpace)}, p::Behavior::kRemoved});
  if (type == "Punctuation") {
    ATELIER_TRY(const p::Behavior how, behavior_of(part, "Isolated"));
    return steps.add(p::Split{p::AnyOf{class_set(CharClass::kPunctuation), /*ascii_symbols=*/true}, how});
  }
  if (type == "CharDelimiterSplit") {
    ATELIER_TRY(std::string delimiter, text(part, "delimiter"));
    if (delimiter.empty()) return fail(ErrorCode::kCorrupt, "CharDelimiterSplit without a delimiter");
    return steps.add(p::Split{p::Literal{std::move(delimiter)}, p::Behavior::kRemoved});
  }
  return fail(ErrorCode::kUnsupported, "pre-tokenizer \"{}\"", type);
}

// Strip works on single tokens until Fuse has made one text of all.
struct DecoderSection {
  TokenDecoder decoder;
  bool fused = false;
};

Status add_strip(const json& part, DecoderSection& result) {
  ATELIER_TRY(const std::string content, text(part, "content"));
  const auto count = [&](const char* name) {
    const auto member = part.find(name);
    return member != part.end() && member->is_number_unsigned() ? member->get<uint64_t>() : 0;
  };
  if (content != " " || count("start") > 1 || count("stop") > 0 || !result.fused)
    return fail(ErrorCode::kUnsupported, "decoder \"Strip\" of anything but one space in front of the text");
  if (count("start") == 1) result.decoder.begin = TokenDecoder::Begin::kCutOneSpace;
  return {};
}

Status add_decoder(const json& part, DecoderSection& result) {
  TokenDecoder& decoder = result.decoder;
  const std::string type = type_of(part);
  if (type == "Sequence") {
    ATELIER_TRY(const json* parts, list(part, "decoders"));
    for (const json& inner : *parts) ATELIER_CHECK_OK(add_decoder(inner, result));
  } else if (type == "ByteLevel") {
    decoder.byte_level = true;
  } else if (type == "ByteFallback" && !result.fused) {
    decoder.spelling.byte_tokens = true;
  } else if (type == "Fuse") {
    result.fused = true;
  } else if (type == "Strip") {
    return add_strip(part, result);
  } else if (type == "Replace" && !decoder.spelling.spells() && !result.fused) {
    ATELIER_TRY(section::Pattern pattern, section::pattern(part));
    ATELIER_TRY(const std::string to, text(part, "content"));
    if (pattern.is_regex || to != " ")
      return fail(ErrorCode::kUnsupported, "decoder \"Replace\" of anything but a text by a space");
    decoder.spelling.space = std::move(pattern.text);
  } else if (type == "Metaspace" && !decoder.spelling.spells() && !result.fused) {
    ATELIER_TRY(const pre_tokenizer::Step step, read_metaspace(part));
    const auto& metaspace = std::get<pre_tokenizer::Metaspace>(step);
    decoder.spelling.space = metaspace.replacement;
    if (metaspace.prepend != pre_tokenizer::Prepend::kNever)
      decoder.begin = TokenDecoder::Begin::kCutAllSpaces;
  } else {
    return fail(ErrorCode::kUnsupported, "decoder \"{}\"{}", type, result.fused ? " behind Fuse" : "");
  }
  return {};
}

}  // namespace

Result<PreTokenizerSection> read_pre_tokenizer(const json& section) {
  PreTokenizerSection result;
  if (!section.is_null()) ATELIER_CHECK_OK(add_pre_tokenizer(section, result));
  return result;
}

Result<Normalizer> read_normalizer(const json& section) {
  Normalizer result;
  if (!section.is_null()) ATELIER_CHECK_OK(add_normalizer(section, result));
  return result;
}

Result<TokenDecoder> read_decoder(const json& section) {
  DecoderSection result;
  if (!section.is_null()) ATELIER_CHECK_OK(add_decoder(section, result));
  return result.decoder;
}

std::optional<std::string> leading_special(const json& section) {
  const std::string type = type_of(section);
  if (type == "Sequence") {
    const auto parts = section.find("processors");
    if (parts == section.end() || !parts->is_array()) return std::nullopt;
    for (const json& part : *parts)
      if (auto special = leading_special(part)) return special;
  }
  if (type != "TemplateProcessing") return std::nullopt;
  const json::json_pointer first_id("/single/0/SpecialToken/id");
  if (!section.contains(first_id) || !section.at(first_id).is_string()) return std::nullopt;
  return section.at(first_id).get<std::string>();
}

}  // namespace atelier
