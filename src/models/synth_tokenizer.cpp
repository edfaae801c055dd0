#include "models/synth_tokenizer.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/utf8.h"
#include "io/gguf_writer.h"
#include "io/json_text.h"
#include "text/byte_alphabet.h"
#include "text/splitter.h"
#include "text/tokenizer_files.h"

namespace atelier {
namespace {

using nlohmann::json;

// tokenizer.ggml.token_type
constexpr int32_t kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5;

// The 256 characters of the byte alphabet, by byte.
std::array<std::string, 256> byte_tokens() {
  std::array<std::string, 256> tokens;
  for (char32_t c = 0; c < byte_alphabet::kByteOf.size(); ++c)
    if (const int16_t byte = byte_alphabet::kByteOf[c]; byte >= 0)
      append_utf8(c, tokens[static_cast<size_t>(byte)]);
  return tokens;
}

// Words of two letters, then of three, …: each is merged from the word before its last letter and that
// letter.
void add_words(size_t n_words, SynthVocabulary& vocabulary) {
  std::vector<std::string> shorter, longer;
  for (char c = 'a'; c <= 'z'; ++c) shorter.emplace_back(1, c);
  while (n_words > 0) {
    for (const std::string& word : shorter)
      for (char c = 'a'; c <= 'z' && n_words > 0; ++c, --n_words) {
        vocabulary.merges.push_back(word + ' ' + c);
        longer.push_back(word + c);
        vocabulary.tokens.push_back(longer.back());
      }
    shorter = std::exchange(longer, {});
  }
  vocabulary.types.resize(vocabulary.tokens.size(), kNormal);
}

// The pattern behind a name of tokenizer.ggml.pre, as tokenizer.json writes pre-tokenizers.
json pre_tokenizer_json(std::string_view pre) {
  const json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  constexpr std::string_view kLlama3 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  constexpr std::string_view kQwen2 =
      R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  constexpr std::string_view kO200k =
      R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const std::string_view regex = pre == "llama-bpe" ? kLlama3 : pre == "qwen2" ? kQwen2 : kO200k;
  if (pre == "gpt-2") {
    json splitting = byte_level;
    splitting["use_regex"] = true;
    return splitting;
  }
  return {{"type", "Sequence"},
          {"pretokenizers",
           {{{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}, {"invert", false}},
            byte_level}}};
}

// The name GGUF has for a pre_tokenizer section.
Result<std::string> pre_name(const json& section) {
  std::vector<SplitStep> steps;
  std::vector<const json*> parts;
  if (section.value("type", "") == "Sequence" && section.contains("pretokenizers")) {
    for (const json& part : section["pretokenizers"]) parts.push_back(&part);
  } else {
    parts.push_back(&section);
  }
  for (const json* part : parts) {
    const std::string type = part->value("type", "");
    if (type == "ByteLevel") {
      if (part->value("use_regex", true)) steps.push_back(SplitStep::kGpt2);
    } else if (type == "Digits") {
      steps.push_back(SplitStep::kIndividualDigits);
    } else if (type == "Split" && part->contains("pattern") && (*part)["pattern"].contains("Regex") &&
               (*part)["pattern"]["Regex"].is_string()) {
      const auto step = find_split_step((*part)["pattern"]["Regex"].get_ref<const std::string&>());
      if (!step) return fail(ErrorCode::kUnsupported, "pre_tokenizer: a pattern GGUF has no name for");
      steps.push_back(*step);
    }
  }
  using enum SplitStep;
  if (steps == std::vector{kGpt2}) return "gpt-2";
  if (steps == std::vector{kLlama3}) return "llama-bpe";
  if (steps == std::vector{kQwen2}) return "qwen2";
  if (steps == std::vector{kO200k}) return "gpt-4o";
  if (steps == std::vector{kIndividualDigits, kGpt2}) return "smollm";
  if (steps == std::vector{kDeepSeekNumbers, kDeepSeekCjk, kDeepSeekWords}) return "deepseek-v3";
  return fail(ErrorCode::kUnsupported, "pre_tokenizer: a combination GGUF has no name for");
}

json vocab_json(const SynthVocabulary& vocabulary) {
  json vocab = json::object(), added = json::array(), merges = json::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (vocabulary.types[id] == kNormal) vocab[vocabulary.tokens[id]] = id;
    if (vocabulary.types[id] == kControl)
      added.push_back({{"id", id},
                       {"content", vocabulary.tokens[id]},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", true}});
  }
  for (const std::string& merge : vocabulary.merges) merges.push_back(merge);
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", pre_tokenizer_json(vocabulary.pre)},
          {"post_processor", nullptr},
          {"decoder",
           {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", vocabulary.pre != "gpt-2" && vocabulary.pre != "qwen2"},
            {"vocab", vocab},
            {"merges", merges}}}};
}

void resolve_special_tokens(const SynthTokens& tokens, SynthVocabulary& vocabulary) {
  if (!tokens.bos.empty()) vocabulary.bos = vocabulary.find(tokens.bos);
  for (const std::string& end : tokens.ends)
    if (const auto id = vocabulary.find(end)) vocabulary.ends.push_back(*id);
  vocabulary.add_bos = vocabulary.bos.has_value();
}

std::string tokenizer_config(const SynthVocabulary& vocabulary) {
  json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"add_bos_token", vocabulary.add_bos}};
  if (vocabulary.bos) config["bos_token"] = vocabulary.tokens[static_cast<size_t>(*vocabulary.bos)];
  if (!vocabulary.ends.empty())
    config["eos_token"] = vocabulary.tokens[static_cast<size_t>(vocabulary.ends.front())];
  return config.dump(2) + "\n";
}

Status add_token(const json& id, const std::string& token, int32_t type, SynthVocabulary& vocabulary) {
  constexpr uint64_t kMaxIds = uint64_t{1} << 24;
  if (!id.is_number_unsigned() || id.get<uint64_t>() >= kMaxIds)
    return fail(ErrorCode::kCorrupt, "token id: expected a number below {}", kMaxIds);
  const auto index = id.get<size_t>();
  if (vocabulary.tokens.size() <= index) {
    vocabulary.tokens.resize(index + 1);
    vocabulary.types.resize(index + 1, kUnused);
  }
  vocabulary.tokens[index] = token;
  vocabulary.types[index] = type;
  return {};
}

Status read_model(const json& model, SynthVocabulary& vocabulary) {
  if (!model.is_object() || model.value("type", "") != "BPE" || model.value("byte_fallback", false))
    return fail(ErrorCode::kUnsupported, "model: expected byte-level BPE, found another kind");
  if (!model.contains("vocab") || !model["vocab"].is_object() || !model.contains("merges") ||
      !model["merges"].is_array())
    return fail(ErrorCode::kCorrupt, "model: expected vocab and merges, found none");
  for (const auto& [token, id] : model["vocab"].items())
    ATELIER_CHECK_OK(add_token(id, token, kNormal, vocabulary));
  for (const json& merge : model["merges"]) {
    if (merge.is_string()) {
      vocabulary.merges.push_back(merge.get<std::string>());
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      vocabulary.merges.push_back(merge[0].get<std::string>() + ' ' + merge[1].get<std::string>());
    } else {
      return fail(ErrorCode::kCorrupt, "merges: expected two tokens");
    }
  }
  return {};
}

Result<SynthVocabulary> parse_vocabulary(const std::string& text) {
  SynthVocabulary vocabulary;
  ATELIER_TRY(const json root,
              parse_json(text, {.max_bytes = kMaxTokenizerJsonBytes, .max_values = 8'000'000}));
  if (!root.is_object() || !root.contains("model") || !root.contains("pre_tokenizer") ||
      !root["pre_tokenizer"].is_object())
    return fail(ErrorCode::kCorrupt, "expected a model and a pre_tokenizer, found none");
  ATELIER_CHECK_OK(read_model(root["model"], vocabulary));
  ATELIER_TRY(vocabulary.pre, pre_name(root["pre_tokenizer"]));
  for (const json& token : root.value("added_tokens", json::array())) {
    if (!token.is_object() || !token.contains("id") || !token.contains("content") ||
        !token["content"].is_string())
      return fail(ErrorCode::kCorrupt, "added_tokens: expected an id and a content");
    const bool special = token.value("special", false);
    ATELIER_CHECK_OK(add_token(token["id"], token["content"].get<std::string>(),
                               special ? kControl : kUserDefined, vocabulary));
  }
  return vocabulary;
}

}  // namespace

std::optional<TokenId> SynthVocabulary::find(std::string_view token) const {
  const auto found = std::ranges::find(tokens, token);
  if (found == tokens.end()) return std::nullopt;
  return static_cast<TokenId>(found - tokens.begin());
}

uint64_t min_generated_size(const SynthTokens& tokens) { return 256 + tokens.specials.size(); }

SynthVocabulary generate_vocabulary(uint64_t size, const SynthTokens& tokens) {
  ATELIER_CHECK(size >= min_generated_size(tokens));
  SynthVocabulary vocabulary;
  for (std::string& token : byte_tokens()) vocabulary.tokens.push_back(std::move(token));
  add_words(size - min_generated_size(tokens), vocabulary);
  for (const std::string& special : tokens.specials) {
    vocabulary.tokens.push_back(special);
    vocabulary.types.push_back(kControl);
  }
  vocabulary.pre = tokens.pre;
  resolve_special_tokens(tokens, vocabulary);
  vocabulary.json = vocab_json(vocabulary).dump(1) + "\n";
  vocabulary.config_json = tokenizer_config(vocabulary);
  return vocabulary;
}

Result<SynthVocabulary> read_vocabulary(const std::filesystem::path& path, const SynthTokens& tokens) {
  ATELIER_TRY(std::string text, read_file(path, kMaxTokenizerJsonBytes));
  Result<SynthVocabulary> vocabulary = parse_vocabulary(text);
  if (!vocabulary) return fail_in(path.string(), std::move(vocabulary).error());
  resolve_special_tokens(tokens, *vocabulary);
  vocabulary->json = std::move(text);
  const std::filesystem::path config = path.parent_path() / "tokenizer_config.json";
  std::error_code ignored;
  vocabulary->config_json = tokenizer_config(*vocabulary);
  if (std::filesystem::exists(config, ignored)) {
    ATELIER_TRY(vocabulary->config_json, read_file(config, kMaxTokenizerJsonBytes));
  }
  return vocabulary;
}

void set_tokenizer_keys(const SynthVocabulary& vocabulary, uint64_t size, GgufWriter& writer) {
  std::vector<std::string> tokens = vocabulary.tokens;
  std::vector<int32_t> types = vocabulary.types;
  tokens.resize(size);
  types.resize(size, kUnused);
  for (size_t id = 0; id < tokens.size(); ++id)
    if (tokens[id].empty()) tokens[id] = fmt::format("[PAD{}]", id);
  writer.set("tokenizer.ggml.model", "gpt2");
  writer.set("tokenizer.ggml.pre", vocabulary.pre);
  writer.set_array("tokenizer.ggml.tokens", tokens);
  writer.set_array("tokenizer.ggml.token_type", std::span<const int32_t>(types));
  writer.set_array("tokenizer.ggml.merges", vocabulary.merges);
  if (vocabulary.bos) writer.set("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(*vocabulary.bos));
  if (!vocabulary.ends.empty())
    writer.set("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(vocabulary.ends.front()));
  if (const auto eot = vocabulary.find("<|eot_id|>"))
    writer.set("tokenizer.ggml.eot_token_id", static_cast<uint32_t>(*eot));
  if (const auto eom = vocabulary.find("<|eom_id|>"))
    writer.set("tokenizer.ggml.eom_token_id", static_cast<uint32_t>(*eom));
  writer.set("tokenizer.ggml.add_bos_token", vocabulary.add_bos);
}

}  // namespace atelier
