// Goldens write ids as an array of control tokens (numbers) and the text between them (strings).
#pragma once

#include <fstream>
#include <string>
#include <vector>

#include "chat/json_text.h"
#include "chat/prompt.h"

namespace atelier::chat {

inline std::vector<Json> read_json_lines(const std::string& path) {
  std::vector<Json> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
  return lines;
}

inline Json parts_of(const std::vector<TokenId>& ids, const Tokenizer& tokenizer) {
  Json parts = Json::array();
  bool in_text = false;
  for (TokenId id : ids) {
    if (tokenizer.is_special(id)) {
      parts.push_back(id);
      in_text = false;
      continue;
    }
    if (!in_text) parts.push_back("");
    in_text = true;
    parts.back().get_ref<std::string&>() += tokenizer.token_bytes(id);
  }
  return parts;
}

inline std::vector<TokenId> ids_of(const Json& parts, const Tokenizer& tokenizer) {
  std::vector<TokenId> ids;
  for (const Json& part : parts) {
    if (part.is_string())
      tokenizer.encode(part.get<std::string>(), Specials::kAsText, ids);
    else
      ids.push_back(part.get<TokenId>());
  }
  return ids;
}

// The same from text in which the control tokens are written out.
inline std::vector<TokenId> ids_of_text(std::string_view text, const Tokenizer& tokenizer) {
  std::vector<TokenId> ids;
  tokenizer.encode(text, Specials::kRecognised, ids);
  return ids;
}

}  // namespace atelier::chat
