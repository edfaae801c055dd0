// What the sections of a tokenizer.json beside its vocabulary come down to. Anything that is not understood
// is refused by name, because ids that are nearly right are wrong.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/token_decoder.h"

namespace atelier {

// Errors of all: kCorrupt (malformed), kUnsupported (types, expressions and combinations we do not run),
// kLimit.

struct PreTokenizerSection {
  PreTokenizer pre_tokenizer;
  bool byte_level = false;  // the vocabulary is written in the byte alphabet
};
Result<PreTokenizerSection> read_pre_tokenizer(const nlohmann::json& section);

Result<Normalizer> read_normalizer(const nlohmann::json& section);

Result<TokenDecoder> read_decoder(const nlohmann::json& section);

// The special token that the post-processor puts in front of a single text, if any.
std::optional<std::string> leading_special(const nlohmann::json& section);

}  // namespace atelier
