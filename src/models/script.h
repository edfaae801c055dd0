// A model that says what it was told to: `script:FILE` on the command line. It exists for tests of everything
// around a model — chat, server, agent — token by token, with real tokenizers and dialects.
//
// FILE is JSON:
//   {"architecture": "gpt-oss",            which dialect it speaks, as in a model file
//    "tokenizer": "tokenizer.json",        relative to FILE
//    "chat_template": "…",                 optional
//    "context": 131072,                    optional
//    "turns": ["<|channel|>final<|message|>Hi<|return|>", [200005, 17196], …]}
// A turn is text in which special tokens are recognised, or ids. The first generation samples the first turn,
// the next one the second; each turn ends with whatever stop token it states. Past its end, and past the last
// turn, the tokenizer's EOS (or id 0) comes.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "base/result.h"
#include "models/model.h"

namespace atelier {

struct Script {
  std::unique_ptr<Model> model;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string chat_template;
};

// Errors name the file and the member that is wrong.
Result<Script> load_script(const std::filesystem::path& path);

}  // namespace atelier
