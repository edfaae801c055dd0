// A byte-level tokenizer.json small enough to be spelled out: 256 bytes and a handful of merges.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "text/unicode.h"

namespace atelier {

// The alphabet in which byte-level vocabularies are written, told independently of src/text/byte_alphabet.h.
inline std::string spell_byte(int byte) {
  const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  int shifted = 256;
  for (int b = 0; b < byte; ++b)
    if (!((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174)) ++shifted;
  std::string text;
  append_utf8(static_cast<char32_t>(itself ? byte : shifted), text);
  return text;
}

// Tokens 0 to 255 are the bytes in order; then the results of the merges; then "<|end|>" (control) and "<b>"
// (markup that is not marked special).
inline nlohmann::ordered_json small_tokenizer() {
  nlohmann::ordered_json vocab = nlohmann::ordered_json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[spell_byte(byte)] = byte;
  auto merges = nlohmann::ordered_json::array();
  for (const auto& [left, right] : {std::pair{"l", "l"},
                                    {"h", "e"},
                                    {"he", "ll"},
                                    {"hell", "o"},
                                    {"Ġ", "w"},
                                    {"o", "r"},
                                    {"Ġw", "or"},
                                    {"Ġ", "Ġ"},
                                    {"e", "ll"}}) {
    merges.push_back({left, right});
    vocab[std::string(left) + right] = vocab.size();
  }
  const size_t end = vocab.size();
  const auto added = [](size_t id, const char* content, bool special) {
    return nlohmann::ordered_json{{"id", id},          {"content", content}, {"single_word", false},
                                  {"lstrip", false},   {"rstrip", false},    {"normalized", false},
                                  {"special", special}};
  };
  return {{"version", "1.0"},
          {"added_tokens", {added(end, "<|end|>", true), added(end + 1, "<b>", false)}},
          {"normalizer", nullptr},
          {"pre_tokenizer",
           {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
          {"post_processor", nullptr},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", false},
            {"vocab", vocab},
            {"merges", merges}}}};
}
inline constexpr int kSmallEnd = 256 + 9;           // "<|end|>"
inline constexpr int kSmallMarkup = kSmallEnd + 1;  // "<b>"

}  // namespace atelier
