// The tokenizer.ggml.* keys of a GGUF file. Source: github.com/ggml-org/ggml, docs/gguf.md; what the names of
// tokenizer.ggml.pre stand for: ggml-org/llama.cpp, convert_hf_to_gguf.py.
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "io/gguf.h"
#include "text/bpe_builder.h"
#include "text/pipeline.h"
#include "text/tokenizer_files.h"
#include "text/unigram_builder.h"

namespace atelier {
namespace {

// tokenizer.ggml.token_type
enum TokenType : int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

struct PreTokenizerOfName {
  std::vector<SplitStep> steps;
  bool ignore_merges = false;
  bool add_bos = false;  // where the file does not say
  std::optional<NormalForm> normal_form = {};
  const char* expression = nullptr;  // in place of the steps
};

// Mistral's since Nemo. Source: PyPI mistral-common, data/tekken_240911.json.
constexpr const char* kTekken =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"(|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Of the models that share a name's pattern only some are listed; each name says how its publisher's
// tokenizer.json splits and whether it ignores merges, which the file does not store.
Result<PreTokenizerOfName> find_pre_tokenizer(std::string_view name) {
  if (name == "gpt-2") return PreTokenizerOfName{{SplitStep::kGpt2}};
  if (name == "smollm") return PreTokenizerOfName{{SplitStep::kIndividualDigits, SplitStep::kGpt2}};
  if (name == "llama-bpe" || name == "llama3" || name == "llama-v3")
    return PreTokenizerOfName{{SplitStep::kLlama3}, /*ignore_merges=*/true, /*add_bos=*/true};
  if (name == "gpt-4o") return PreTokenizerOfName{{SplitStep::kO200k}, /*ignore_merges=*/true};
  if (name == "qwen2")
    return PreTokenizerOfName{.steps = {SplitStep::kQwen2}, .normal_form = NormalForm::kNfc};
  if (name == "deepseek-r1-qwen") return PreTokenizerOfName{{SplitStep::kQwen2}};
  if (name == "deepseek-v3")
    return PreTokenizerOfName{
        {SplitStep::kDeepSeekNumbers, SplitStep::kDeepSeekCjk, SplitStep::kDeepSeekWords}};
  if (name == "tekken") return PreTokenizerOfName{.ignore_merges = true, .expression = kTekken};
  return fail(ErrorCode::kUnsupported, "tokenizer.ggml.pre \"{}\"", name);
}

Result<std::optional<TokenId>> token_id(const GgufMetadata& metadata, std::string_view key, size_t n_tokens) {
  if (!metadata.contains(key)) return std::nullopt;
  ATELIER_TRY(const uint64_t id, metadata.uint(key));
  if (id >= n_tokens)
    return fail(ErrorCode::kCorrupt, "{}: expected an id below {}, found {}", key, n_tokens, id);
  return std::optional<TokenId>(static_cast<TokenId>(id));
}

// What all vocabularies have.
struct Vocabulary {
  const GgufMetadata& metadata;
  std::vector<std::string_view> tokens;  // by id
  std::vector<int64_t> types;            // by id

  static Result<Vocabulary> read(const GgufMetadata& metadata);
  Result<std::vector<float>> scores() const;
  std::vector<AddedToken> added_tokens() const;
  std::vector<TokenId> byte_tokens() const;
  // Sets BOS and EOS.
  Status read_ends(bool add_bos_by_default, PipelineOptions& options) const;
};

Result<Vocabulary> Vocabulary::read(const GgufMetadata& metadata) {
  constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
  ATELIER_TRY(const GgufStrings tokens, metadata.strings("tokenizer.ggml.tokens"));
  if (tokens.size() > static_cast<size_t>(kMaxTokenId) + 1)
    return fail(ErrorCode::kLimit, "tokenizer.ggml.tokens: expected at most {} entries, found {}",
                kMaxTokenId + 1, tokens.size());
  Vocabulary vocabulary{metadata, {tokens.begin(), tokens.end()}, {}};
  vocabulary.types.assign(vocabulary.tokens.size(), kNormal);
  if (!metadata.contains(kTypes)) return vocabulary;
  ATELIER_TRY(const GgufIntegers types, metadata.integers(kTypes));
  if (types.size() != vocabulary.tokens.size())
    return fail(ErrorCode::kCorrupt, "{}: expected {} entries, found {}", kTypes, tokens.size(),
                types.size());
  for (size_t i = 0; i < types.size(); ++i) vocabulary.types[i] = types[i];
  return vocabulary;
}

Result<std::vector<float>> Vocabulary::scores() const {
  constexpr std::string_view kScores = "tokenizer.ggml.scores";
  ATELIER_TRY(const GgufFloats stored, metadata.floats(kScores));
  if (stored.size() != tokens.size())
    return fail(ErrorCode::kCorrupt, "{}: expected {} entries, found {}", kScores, tokens.size(),
                stored.size());
  std::vector<float> scores(stored.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    scores[i] = static_cast<float>(stored[i]);
    if (!std::isfinite(scores[i]))
      return fail(ErrorCode::kCorrupt, "{}: entry {} is not a number", kScores, i);
  }
  return scores;
}

// Control and user-defined tokens are stored as their text.
std::vector<AddedToken> Vocabulary::added_tokens() const {
  std::vector<AddedToken> added;
  for (size_t i = 0; i < tokens.size(); ++i)
    if (types[i] == kControl || types[i] == kUserDefined || (types[i] == kUnknown && !tokens[i].empty()))
      added.push_back({.content = std::string(tokens[i]),
                       .id = static_cast<TokenId>(i),
                       .special = types[i] != kUserDefined});
  return added;
}

std::vector<TokenId> Vocabulary::byte_tokens() const {
  std::vector<TokenId> ids;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const auto byte = types[i] == kByte ? parse_byte_token(tokens[i]) : std::nullopt;
    if (!byte) continue;
    ids.resize(256, kNoToken);
    ids[*byte] = static_cast<TokenId>(i);
  }
  return ids;
}

Status Vocabulary::read_ends(bool add_bos_by_default, PipelineOptions& options) const {
  ATELIER_TRY(options.bos, token_id(metadata, "tokenizer.ggml.bos_token_id", tokens.size()));
  ATELIER_TRY(options.eos, token_id(metadata, "tokenizer.ggml.eos_token_id", tokens.size()));
  ATELIER_TRY(const bool add_bos, metadata.boolean_or("tokenizer.ggml.add_bos_token", add_bos_by_default));
  options.add_bos = add_bos && options.bos;
  return {};
}

template <class Builder>
Status check_added_tokens(const PipelineOptions& options, const Builder& builder) {
  for (const AddedToken& token : options.added_tokens)
    ATELIER_CHECK_OK(check_added_token(token, builder.find(token.content), builder.texts()));
  return {};
}

// "gpt2": over bytes.
Result<std::shared_ptr<const Tokenizer>> build_byte_bpe(const Vocabulary& vocabulary) {
  const GgufMetadata& metadata = vocabulary.metadata;
  ATELIER_TRY(const std::string_view pre, metadata.string_or("tokenizer.ggml.pre", "default"));
  ATELIER_TRY(PreTokenizerOfName pre_tokenizer, find_pre_tokenizer(pre));
  ATELIER_TRY(const GgufStrings merges, metadata.strings("tokenizer.ggml.merges"));

  PipelineOptions options;
  options.decoder.byte_level = true;
  options.added_tokens = vocabulary.added_tokens();
  BpeBuilder builder(BpeSymbols::kBytes, {}, vocabulary.tokens.size());
  for (const AddedToken& token : options.added_tokens)
    ATELIER_CHECK_OK(builder.reserve_control(token.content, token.id));
  TokenId id = 0;
  for (const std::string_view token : vocabulary.tokens) ATELIER_CHECK_OK(builder.add_token(token, id++));
  for (const std::string_view merge : merges) {
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos)
      return fail(ErrorCode::kCorrupt, "tokenizer.ggml.merges: expected two tokens, found \"{}\"", merge);
    ATELIER_CHECK_OK(builder.add_merge(merge.substr(0, space), merge.substr(space + 1)));
  }
  ATELIER_CHECK_OK(builder.flush());
  ATELIER_CHECK_OK(check_added_tokens(options, builder));
  ATELIER_CHECK_OK(vocabulary.read_ends(pre_tokenizer.add_bos, options));
  if (pre_tokenizer.normal_form) ATELIER_CHECK_OK(options.normalizer.add(*pre_tokenizer.normal_form));
  for (const SplitStep step : pre_tokenizer.steps) ATELIER_CHECK_OK(options.pre_tokenizer.add(step));
  if (pre_tokenizer.expression != nullptr) {
    ATELIER_TRY(Regex expression, Regex::compile(pre_tokenizer.expression));
    ATELIER_CHECK_OK(options.pre_tokenizer.add(pre_tokenizer::Split{std::move(expression)}));
  }
  TokenTexts texts = builder.take_texts();
  ATELIER_TRY(std::unique_ptr<Bpe> model,
              std::move(builder).build({.ignore_merges = pre_tokenizer.ignore_merges}));
  return TokenizerPipeline::create(std::move(options), std::move(texts), std::move(model));
}

// What SentencePiece does to text, and undoes.
Status read_sentencepiece(const GgufMetadata& metadata, bool remove_extra_spaces, PipelineOptions& options) {
  constexpr std::string_view kCharsmap = "tokenizer.ggml.precompiled_charsmap";
  normalizer::SentencePiece step;
  ATELIER_TRY(step.add_dummy_prefix, metadata.boolean_or("tokenizer.ggml.add_space_prefix", true));
  ATELIER_TRY(step.remove_extra_spaces,
              metadata.boolean_or("tokenizer.ggml.remove_extra_whitespaces", remove_extra_spaces));
  if (metadata.contains(kCharsmap)) {
    ATELIER_TRY(const GgufIntegers stored, metadata.integers(kCharsmap));
    std::string bytes(stored.size(), '\0');
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(stored[i]);
    step.has_charsmap = !bytes.empty();
    if (step.has_charsmap) {
      ATELIER_TRY(step.charsmap, Charsmap::parse(bytes));
    }
  }
  options.decoder.spelling = {.space = std::string(kLowerOneEighthBlock), .byte_tokens = true};
  if (step.add_dummy_prefix) options.decoder.begin = TokenDecoder::Begin::kCutOneSpace;
  return options.normalizer.add(std::move(step));
}

// "llama": SentencePiece's byte-pair encoding, over characters, with scores in place of a list of merges.
Result<std::shared_ptr<const Tokenizer>> build_sentencepiece_bpe(const Vocabulary& vocabulary) {
  PipelineOptions options;
  ATELIER_CHECK_OK(read_sentencepiece(vocabulary.metadata, /*remove_extra_spaces=*/false, options));
  ATELIER_TRY(const std::vector<float> scores, vocabulary.scores());
  ATELIER_TRY(const std::optional<TokenId> unk,
              token_id(vocabulary.metadata, "tokenizer.ggml.unknown_token_id", vocabulary.tokens.size()));
  options.added_tokens = vocabulary.added_tokens();
  BpeBuilder builder(BpeSymbols::kCharacters, options.decoder.spelling, vocabulary.tokens.size());
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i)
    if (vocabulary.types[i] != kNormal)
      ATELIER_CHECK_OK(builder.reserve_control(vocabulary.tokens[i], static_cast<TokenId>(i)));
  TokenId id = 0;
  for (const std::string_view token : vocabulary.tokens) ATELIER_CHECK_OK(builder.add_token(token, id++));
  ATELIER_CHECK_OK(builder.add_merges_by_score(vocabulary.tokens, scores));
  ATELIER_CHECK_OK(check_added_tokens(options, builder));
  ATELIER_CHECK_OK(vocabulary.read_ends(/*add_bos_by_default=*/true, options));
  TokenTexts texts = builder.take_texts();
  ATELIER_TRY(
      std::unique_ptr<Bpe> model,
      std::move(builder).build({.unk = unk, .fuse_unk = true, .byte_tokens = vocabulary.byte_tokens()}));
  return TokenizerPipeline::create(std::move(options), std::move(texts), std::move(model));
}

// "t5": SentencePiece's unigram model.
Result<std::shared_ptr<const Tokenizer>> build_unigram(const Vocabulary& vocabulary) {
  PipelineOptions options;
  ATELIER_CHECK_OK(read_sentencepiece(vocabulary.metadata, /*remove_extra_spaces=*/true, options));
  ATELIER_TRY(const std::vector<float> scores, vocabulary.scores());
  ATELIER_TRY(const std::optional<TokenId> unk,
              token_id(vocabulary.metadata, "tokenizer.ggml.unknown_token_id", vocabulary.tokens.size()));
  const auto unknown = std::find(vocabulary.types.begin(), vocabulary.types.end(), kUnknown);
  if (!unk && unknown == vocabulary.types.end())
    return fail(ErrorCode::kUnsupported, "a unigram vocabulary without an unknown token");
  options.added_tokens = vocabulary.added_tokens();
  UnigramBuilder builder(options.decoder.spelling);
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i)
    if (vocabulary.types[i] != kNormal)
      ATELIER_CHECK_OK(builder.reserve_control(vocabulary.tokens[i], static_cast<TokenId>(i)));
  // What a character that is no token costs follows from the lowest score of ordinary tokens.
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i)
    ATELIER_CHECK_OK(builder.add_token(vocabulary.tokens[i], vocabulary.types[i] == kNormal ? scores[i] : 0));
  ATELIER_CHECK_OK(check_added_tokens(options, builder));
  ATELIER_CHECK_OK(vocabulary.read_ends(/*add_bos_by_default=*/false, options));
  TokenTexts texts = builder.take_texts();
  ATELIER_TRY(std::unique_ptr<Unigram> model,
              builder.build({.unk = unk.value_or(static_cast<TokenId>(unknown - vocabulary.types.begin())),
                             .byte_tokens = vocabulary.byte_tokens()}));
  return TokenizerPipeline::create(std::move(options), std::move(texts), std::move(model));
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> parse_tokenizer_gguf(const GgufMetadata& metadata) {
  ATELIER_TRY(const std::string_view model, metadata.string("tokenizer.ggml.model"));
  ATELIER_TRY(const Vocabulary vocabulary, Vocabulary::read(metadata));
  if (model == "gpt2") return build_byte_bpe(vocabulary);
  if (model == "llama") return build_sentencepiece_bpe(vocabulary);
  if (model == "t5") return build_unigram(vocabulary);
  return fail(ErrorCode::kUnsupported, "tokenizer.ggml.model \"{}\"", model);
}

}  // namespace atelier
