// The two containers that tokenizers are published in. Both are untrusted input.
#pragma once

#include <filesystem>
#include <memory>
#include <string_view>

#include "base/result.h"
#include "text/added_tokens.h"
#include "text/tokenizer.h"

namespace atelier {

class GgufMetadata;

// Larger tokenizer files than this are refused; the largest known has 35 MB.
inline constexpr size_t kMaxTokenizerJsonBytes = size_t{256} << 20;

// `json`: a tokenizer.json. `config`: the tokenizer_config.json beside it, which names BOS and EOS; may be
// empty. Errors: kCorrupt (what is wrong, and at which byte), kUnsupported (names the part), kLimit.
Result<std::shared_ptr<const Tokenizer>> parse_tokenizer_json(std::string_view json, std::string_view config);

// From the tokenizer.ggml.* keys.
Result<std::shared_ptr<const Tokenizer>> parse_tokenizer_gguf(const GgufMetadata& metadata);

// Whether an added token agrees with the vocabulary: `found` is the id the vocabulary gives its content, or
// kNoToken, and then its id must not be another token's.
Status check_added_token(const AddedToken& token, TokenId found, const TokenTexts& texts);

}  // namespace atelier
