// The tokenizer.ggml.* keys of a GGUF file. Source: github.com/ggml-org/ggml, docs/gguf.md; what the names of
// tokenizer.ggml.pre stand for: ggml-org/llama.cpp, convert_hf_to_gguf.py.
#include <optional>
#include <utility>

#include "io/gguf.h"
#include "text/byte_bpe.h"
#include "text/pipeline.h"
#include "text/tokenizer_files.h"

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

struct PreTokenizer {
  std::vector<SplitStep> steps;
  bool ignore_merges = false;
  bool add_bos = false;  // where the file does not say
};

// Of the models that share a name's pattern only some are listed; each name says how its publisher's
// tokenizer.json splits and whether it ignores merges, which the file does not store.
Result<PreTokenizer> find_pre_tokenizer(std::string_view name) {
  if (name == "gpt-2") return PreTokenizer{{SplitStep::kGpt2}};
  if (name == "smollm") return PreTokenizer{{SplitStep::kIndividualDigits, SplitStep::kGpt2}};
  if (name == "llama-bpe" || name == "llama3" || name == "llama-v3")
    return PreTokenizer{{SplitStep::kLlama3}, /*ignore_merges=*/true, /*add_bos=*/true};
  if (name == "gpt-4o") return PreTokenizer{{SplitStep::kO200k}, /*ignore_merges=*/true};
  if (name == "qwen2" || name == "deepseek-r1-qwen") return PreTokenizer{{SplitStep::kQwen2}};
  if (name == "deepseek-v3")
    return PreTokenizer{{SplitStep::kDeepSeekNumbers, SplitStep::kDeepSeekCjk, SplitStep::kDeepSeekWords}};
  return fail(ErrorCode::kUnsupported, "tokenizer.ggml.pre \"{}\"", name);
}

Result<std::optional<TokenId>> token_id(const GgufMetadata& metadata, std::string_view key, size_t n_tokens) {
  if (!metadata.contains(key)) return std::nullopt;
  ATELIER_TRY(const uint64_t id, metadata.uint(key));
  if (id >= n_tokens)
    return fail(ErrorCode::kCorrupt, "{}: expected an id below {}, found {}", key, n_tokens, id);
  return std::optional<TokenId>(static_cast<TokenId>(id));
}

// Control and user-defined tokens are stored as their text, the others in the byte alphabet.
Result<std::vector<AddedToken>> read_added_tokens(const GgufStrings& tokens, const GgufMetadata& metadata) {
  std::vector<AddedToken> added;
  constexpr std::string_view kTypes = "tokenizer.ggml.token_type";
  if (!metadata.contains(kTypes)) return added;
  ATELIER_TRY(const GgufIntegers types, metadata.integers(kTypes));
  if (types.size() != tokens.size())
    return fail(ErrorCode::kCorrupt, "{}: expected {} entries, found {}", kTypes, tokens.size(),
                types.size());
  size_t i = 0;
  for (const std::string_view token : tokens) {
    const int64_t type = types[i];
    if (type == kControl || type == kUserDefined || (type == kUnknown && !token.empty()))
      added.push_back(
          {.content = std::string(token), .id = static_cast<TokenId>(i), .special = type != kUserDefined});
    ++i;
  }
  return added;
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> parse_tokenizer_gguf(const GgufMetadata& metadata) {
  ATELIER_TRY(const std::string_view model, metadata.string("tokenizer.ggml.model"));
  if (model != "gpt2") return fail(ErrorCode::kUnsupported, "tokenizer.ggml.model \"{}\"", model);
  ATELIER_TRY(const std::string_view pre, metadata.string_or("tokenizer.ggml.pre", "default"));
  ATELIER_TRY(PreTokenizer pre_tokenizer, find_pre_tokenizer(pre));
  ATELIER_TRY(const GgufStrings tokens, metadata.strings("tokenizer.ggml.tokens"));
  ATELIER_TRY(const GgufStrings merges, metadata.strings("tokenizer.ggml.merges"));
  if (tokens.size() > static_cast<size_t>(kMaxTokenId) + 1)
    return fail(ErrorCode::kLimit, "tokenizer.ggml.tokens: expected at most {} entries, found {}",
                kMaxTokenId + 1, tokens.size());

  PipelineOptions options;
  ATELIER_TRY(options.added_tokens, read_added_tokens(tokens, metadata));
  std::set<std::string, std::less<>> controls;
  for (const AddedToken& token : options.added_tokens) controls.insert(token.content);
  ByteBpeBuilder builder(tokens.size(), std::move(controls));
  TokenId id = 0;
  for (const std::string_view token : tokens) ATELIER_CHECK_OK(builder.add_token(token, id++));
  for (const std::string_view merge : merges) {
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos)
      return fail(ErrorCode::kCorrupt, "tokenizer.ggml.merges: expected two tokens, found \"{}\"", merge);
    ATELIER_CHECK_OK(builder.add_merge(merge.substr(0, space), merge.substr(space + 1)));
  }
  TokenTexts texts;
  ATELIER_CHECK_OK(builder.fill(texts));
  for (const AddedToken& token : options.added_tokens)
    ATELIER_CHECK_OK(check_added_token(token, builder.find(token.content), texts));

  ATELIER_TRY(options.bos, token_id(metadata, "tokenizer.ggml.bos_token_id", tokens.size()));
  ATELIER_TRY(options.eos, token_id(metadata, "tokenizer.ggml.eos_token_id", tokens.size()));
  ATELIER_TRY(const bool add_bos, metadata.boolean_or("tokenizer.ggml.add_bos_token", pre_tokenizer.add_bos));
  options.add_bos = add_bos && options.bos;
  options.split_steps = std::move(pre_tokenizer.steps);
  ATELIER_TRY(std::unique_ptr<ByteBpe> encoder,
              std::move(builder).build({.ignore_merges = pre_tokenizer.ignore_merges}));
  return TokenizerPipeline::create(std::move(options), std::move(texts), std::move(encoder));
}

}  // namespace atelier
