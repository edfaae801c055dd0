// tokenizer.json, as Hugging Face `tokenizers` writes it: its serialisation is the format's definition.
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "text/byte_bpe.h"
#include "text/json_reader.h"
#include "text/pipeline.h"
#include "text/tokenizer_files.h"

namespace atelier {
namespace {

using nlohmann::json;

// The sections beside the vocabulary are small; this bounds the trees they are parsed into.
constexpr size_t kMaxSectionBytes = 64 << 10;

struct Sections {
  std::vector<AddedToken> added_tokens;
  json normalizer;
  json pre_tokenizer;
  json post_processor;
  json decoder;
  std::optional<size_t> model_at;  // byte at which the model's object starts
};

// tokenizer_config.json, as far as it concerns us.
struct Config {
  std::optional<std::string> bos;
  std::optional<std::string> eos;
  std::optional<bool> add_bos;
};

TokenId read_id(JsonReader& reader) {
  const int64_t id = reader.integer();
  if (id >= 0 && id <= kMaxTokenId) return static_cast<TokenId>(id);
  reader.fail_here(fmt::format("expected a token id from 0 to {}, found {}", kMaxTokenId, id));
  return 0;
}

AddedToken read_added_token(JsonReader& reader) {
  AddedToken token;
  bool has_content = false;
  reader.begin_object();
  for (std::string_view key; reader.next_key(key);) {
    if (key == "id") {
      token.id = read_id(reader);
    } else if (key == "content") {
      token.content = reader.string();
      has_content = true;
    } else if (key == "special") {
      token.special = reader.boolean();
    } else if (key == "single_word") {
      token.single_word = reader.boolean();
    } else if (key == "lstrip") {
      token.lstrip = reader.boolean();
    } else if (key == "rstrip") {
      token.rstrip = reader.boolean();
    } else if (key == "normalized") {
      token.normalized = reader.boolean();
    } else {
      reader.skip();
    }
  }
  if (reader.ok() && (token.id == kNoToken || !has_content))
    reader.fail_here("an added token without id or content");
  return token;
}

json read_section(JsonReader& reader) {
  const std::string_view text = reader.raw();
  if (text.size() > kMaxSectionBytes) {
    reader.fail_here(
        fmt::format("expected a section of at most {} bytes, found {}", kMaxSectionBytes, text.size()));
    return {};
  }
  if (!reader.ok()) return {};
  json section = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (section.is_discarded()) reader.fail_here("a number out of range");
  return section;
}

Result<Sections> read_sections(std::string_view text) {
  Sections sections;
  JsonReader reader(text);
  reader.begin_object();
  for (std::string_view key; reader.next_key(key);) {
    if (key == "added_tokens") {
      if (reader.null()) continue;
      sections.added_tokens.clear();
      reader.begin_array();
      while (reader.next_element()) sections.added_tokens.push_back(read_added_token(reader));
    } else if (key == "normalizer") {
      sections.normalizer = read_section(reader);
    } else if (key == "pre_tokenizer") {
      sections.pre_tokenizer = read_section(reader);
    } else if (key == "post_processor") {
      sections.post_processor = read_section(reader);
    } else if (key == "decoder") {
      sections.decoder = read_section(reader);
    } else if (key == "model") {
      sections.model_at = reader.position();
      reader.skip();
    } else {
      reader.skip();
    }
  }
  reader.finish();
  ATELIER_CHECK_OK(reader.status());
  if (!sections.model_at) return fail(ErrorCode::kCorrupt, "no \"model\" in the tokenizer file");
  return sections;
}

// A token in tokenizer_config.json: its text, or an object with its text as "content", or null.
std::optional<std::string> read_config_token(JsonReader& reader) {
  std::optional<std::string> content;
  switch (reader.peek()) {
    case JsonReader::Kind::kString:
      return std::string(reader.string());
    case JsonReader::Kind::kObject:
      reader.begin_object();
      for (std::string_view key; reader.next_key(key);) {
        if (key == "content")
          content = reader.string();
        else
          reader.skip();
      }
      return content;
    default:
      reader.skip();
      return content;
  }
}

Result<Config> read_config(std::string_view text) {
  Config config;
  if (text.empty()) return config;
  ATELIER_CHECK_OK(JsonReader::validate(text));
  JsonReader reader(text);
  reader.begin_object();
  for (std::string_view key; reader.next_key(key);) {
    if (key == "bos_token")
      config.bos = read_config_token(reader);
    else if (key == "eos_token")
      config.eos = read_config_token(reader);
    else if (key == "add_bos_token" && !reader.null())
      config.add_bos = reader.boolean();
    else if (key != "add_bos_token")
      reader.skip();
  }
  reader.finish();
  ATELIER_CHECK_OK(reader.status());
  return config;
}

// Members of a section, with the defaults that the format gives absent ones.
std::string type_of(const json& section) {
  if (!section.is_object()) return {};
  const auto type = section.find("type");
  return type != section.end() && type->is_string() ? type->get<std::string>() : std::string();
}
Result<bool> flag(const json& section, const char* name, bool fallback) {
  const auto member = section.find(name);
  if (member == section.end() || member->is_null()) return fallback;
  if (!member->is_boolean())
    return fail(ErrorCode::kCorrupt, "{} \"{}\": expected true or false", type_of(section), name);
  return member->get<bool>();
}
Result<const json*> list(const json& section, const char* name) {
  const auto member = section.find(name);
  if (member == section.end() || !member->is_array())
    return fail(ErrorCode::kCorrupt, "{} \"{}\": expected a list", type_of(section), name);
  return &*member;
}

// What the pre-tokenizer comes down to.
struct PreTokenizer {
  std::vector<SplitStep> steps;
  bool byte_level = false;
  bool add_prefix_space = false;
};

Result<SplitStep> read_split(const json& section) {
  const auto pattern = section.find("pattern");
  const auto behavior = section.find("behavior");
  if (pattern == section.end() || !pattern->is_object() || behavior == section.end() ||
      !behavior->is_string())
    return fail(ErrorCode::kCorrupt, "Split: expected a pattern and a behavior");
  const auto regex = pattern->find("Regex");
  if (regex == pattern->end() || !regex->is_string())
    return fail(ErrorCode::kUnsupported, "Split by {} instead of a regular expression", pattern->dump());
  const std::optional<SplitStep> step = find_split_step(regex->get<std::string>());
  if (!step)
    return fail(ErrorCode::kUnsupported, "Split by an unknown regular expression: {}",
                regex->get<std::string>());
  // Removing what does not match, where everything matches, is the same as isolating what does.
  ATELIER_TRY(const bool invert, flag(section, "invert", false));
  const std::string how = behavior->get<std::string>();
  if (!(how == "Isolated" && !invert) && !(how == "Removed" && invert && covers_all_text(*step)))
    return fail(ErrorCode::kUnsupported, "Split with the behavior {}{}", how, invert ? ", inverted" : "");
  return *step;
}

Status read_pre_tokenizer(const json& section, PreTokenizer& result) {
  if (section.is_null()) return {};
  const std::string type = type_of(section);
  if (result.byte_level) return fail(ErrorCode::kUnsupported, "pre-tokenizer {} behind ByteLevel", type);
  if (type == "Sequence") {
    ATELIER_TRY(const json* parts, list(section, "pretokenizers"));
    for (const json& part : *parts) ATELIER_CHECK_OK(read_pre_tokenizer(part, result));
    return {};
  }
  if (type == "ByteLevel") {
    ATELIER_TRY(const bool use_regex, flag(section, "use_regex", true));
    ATELIER_TRY(result.add_prefix_space, flag(section, "add_prefix_space", true));
    if (result.add_prefix_space && !result.steps.empty())
      return fail(ErrorCode::kUnsupported, "ByteLevel with add_prefix_space behind another pre-tokenizer");
    if (use_regex) result.steps.push_back(SplitStep::kGpt2);
    result.byte_level = true;
  } else if (type == "Split") {
    ATELIER_TRY(const SplitStep step, read_split(section));
    result.steps.push_back(step);
  } else if (type == "Digits") {
    ATELIER_TRY(const bool individual, flag(section, "individual_digits", false));
    result.steps.push_back(individual ? SplitStep::kIndividualDigits : SplitStep::kDigitRuns);
  } else {
    return fail(ErrorCode::kUnsupported, "pre-tokenizer \"{}\"", type);
  }
  if (result.steps.size() > kMaxSplitSteps)
    return fail(ErrorCode::kLimit, "expected at most {} pre-tokenizers", kMaxSplitSteps);
  return {};
}

Status check_normalizer(const json& section) {
  if (section.is_null()) return {};
  const std::string type = type_of(section);
  if (type != "Sequence") return fail(ErrorCode::kUnsupported, "normalizer \"{}\"", type);
  ATELIER_TRY(const json* parts, list(section, "normalizers"));
  for (const json& part : *parts) ATELIER_CHECK_OK(check_normalizer(part));
  return {};
}

// The special token that a post-processor puts in front of a single text, if any.
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

// The model's members apart from its tables, and where those stand.
struct BpeModel {
  std::optional<size_t> vocab_at;
  std::optional<size_t> merges_at;
  std::optional<std::string> unk;
  bool ignore_merges = false;
  bool fuse_unk = false;
};

Result<BpeModel> read_model(std::string_view text, size_t at) {
  BpeModel model;
  std::string unsupported;
  JsonReader reader(text, at);
  reader.begin_object();
  for (std::string_view key; reader.next_key(key);) {
    if (key == "type") {
      if (const std::string_view type = reader.string(); type != "BPE")
        unsupported = fmt::format("model type \"{}\"", type);
    } else if (key == "vocab") {
      model.vocab_at = reader.position();
      reader.skip();
    } else if (key == "merges") {
      model.merges_at = reader.position();
      reader.skip();
    } else if (key == "ignore_merges") {
      if (!reader.null()) model.ignore_merges = reader.boolean();
    } else if (key == "fuse_unk") {
      if (!reader.null()) model.fuse_unk = reader.boolean();
    } else if (key == "byte_fallback") {
      if (!reader.null() && reader.boolean()) unsupported = "byte_fallback in a byte-level model";
    } else if (key == "unk_token") {
      if (!reader.null()) model.unk = reader.string();
    } else if (key == "dropout") {
      if (!reader.null() && reader.number() != 0) unsupported = "dropout";
    } else if (key == "continuing_subword_prefix" || key == "end_of_word_suffix") {
      if (!reader.null() && !reader.string().empty()) unsupported = "prefixes or suffixes of subwords";
    } else {
      reader.skip();
    }
  }
  ATELIER_CHECK_OK(reader.status());
  if (!unsupported.empty()) return fail(ErrorCode::kUnsupported, "{}", unsupported);
  if (!model.vocab_at || !model.merges_at)
    return fail(ErrorCode::kCorrupt, "the model has no vocab or no merges");
  return model;
}

Status read_vocab(std::string_view text, size_t at, ByteBpeBuilder& builder) {
  JsonReader reader(text, at);
  Status added;
  reader.begin_object();
  for (std::string_view key; added && reader.next_key(key);) {
    const std::string token(key);
    const TokenId id = read_id(reader);
    if (reader.ok()) added = builder.add_token(token, id);
  }
  ATELIER_CHECK_OK(added);
  return reader.status();
}

// Merges are pairs, or in older files strings with a space between the two.
Status read_merges(std::string_view text, size_t at, ByteBpeBuilder& builder) {
  JsonReader reader(text, at);
  Status added;
  reader.begin_array();
  while (added && reader.next_element()) {
    if (reader.peek() == JsonReader::Kind::kString) {
      const std::string_view pair = reader.string();
      if (pair.starts_with("#version")) continue;
      const size_t space = pair.find(' ');
      if (space == std::string_view::npos || pair.find(' ', space + 1) != std::string_view::npos)
        reader.fail_here("expected a merge of two tokens with a space between them");
      else
        added = builder.add_merge(pair.substr(0, space), pair.substr(space + 1));
      continue;
    }
    reader.begin_array();
    std::string left;
    if (reader.next_element()) left = reader.string();
    if (!reader.next_element()) reader.fail_here("expected a merge of two tokens");
    const std::string_view right = reader.string();
    if (reader.ok()) added = builder.add_merge(left, right);
    if (reader.next_element()) reader.fail_here("expected a merge of two tokens");
  }
  ATELIER_CHECK_OK(added);
  return reader.status();
}

// A token named by its text, which must exist.
Result<TokenId> find_named(std::string_view what, std::string_view content, const Sections& sections,
                           const ByteBpeBuilder& builder) {
  for (const AddedToken& token : sections.added_tokens)
    if (token.content == content) return token.id;
  if (const TokenId id = builder.find(content); id != kNoToken) return id;
  return fail(ErrorCode::kCorrupt, "the {} token \"{}\" is not in the vocabulary", what, content);
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> parse_tokenizer_json(std::string_view text,
                                                              std::string_view config_text) {
  ATELIER_CHECK_OK(JsonReader::validate(text));
  ATELIER_TRY(Sections sections, read_sections(text));
  auto config_read = read_config(config_text);
  if (!config_read) return fail_in("tokenizer_config.json", std::move(config_read).error());
  const Config& config = *config_read;
  ATELIER_CHECK_OK(check_normalizer(sections.normalizer));
  PreTokenizer pre_tokenizer;
  ATELIER_CHECK_OK(read_pre_tokenizer(sections.pre_tokenizer, pre_tokenizer));
  if (!pre_tokenizer.byte_level) return fail(ErrorCode::kUnsupported, "a pre-tokenizer without ByteLevel");

  ATELIER_TRY(const BpeModel model, read_model(text, *sections.model_at));
  std::set<std::string, std::less<>> controls;
  for (const AddedToken& token : sections.added_tokens)
    if (is_control_token(token)) controls.insert(token.content);
  // The shortest entry of a real vocabulary takes some 16 bytes; the hint is bounded for files that are not.
  ByteBpeBuilder builder(std::min<size_t>(text.size() / 48, 1 << 18), std::move(controls));
  ATELIER_CHECK_OK(read_vocab(text, *model.vocab_at, builder));
  ATELIER_CHECK_OK(read_merges(text, *model.merges_at, builder));

  TokenTexts texts;
  ATELIER_CHECK_OK(builder.fill(texts));
  for (const AddedToken& token : sections.added_tokens)
    ATELIER_CHECK_OK(check_added_token(token, builder.find(token.content), texts));
  PipelineOptions options;
  const std::optional<std::string> leading = leading_special(sections.post_processor);
  if (const auto& bos = config.bos ? config.bos : leading) {
    ATELIER_TRY(options.bos, find_named("BOS", *bos, sections, builder));
  }
  if (config.eos) {
    ATELIER_TRY(options.eos, find_named("EOS", *config.eos, sections, builder));
  }
  options.add_bos = options.bos && config.add_bos.value_or(leading.has_value());
  ByteBpeOptions bpe{.ignore_merges = model.ignore_merges, .unk = std::nullopt, .fuse_unk = model.fuse_unk};
  if (model.unk) {
    ATELIER_TRY(bpe.unk, find_named("unknown", *model.unk, sections, builder));
  }
  options.split_steps = std::move(pre_tokenizer.steps);
  options.add_prefix_space = pre_tokenizer.add_prefix_space;
  options.added_tokens = std::move(sections.added_tokens);
  ATELIER_TRY(std::unique_ptr<ByteBpe> encoder, std::move(builder).build(bpe));
  return TokenizerPipeline::create(std::move(options), std::move(texts), std::move(encoder));
}

}  // namespace atelier
