#include "server/raw_prompts.h"

namespace atelier::server {
namespace {

Result<RawPrompt> raw_prompt_of(const Json& value, const std::string& path) {
  if (value.is_string()) return RawPrompt(value.get<std::string>());
  std::vector<TokenId> ids;
  for (const Json& id : value) {
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX)
      return fail(ErrorCode::kInvalidArgument, "{}: expected token ids, found {}", path, shown(&id));
    ids.push_back(id.get<TokenId>());
  }
  return RawPrompt(std::move(ids));
}

}  // namespace

Status read_raw_prompts(const Fields& body, const char* key, size_t limit, std::vector<RawPrompt>& prompts) {
  const Json* prompt = body.find(key);
  const bool is_list = prompt != nullptr && prompt->is_array() && !prompt->empty();
  if (prompt == nullptr || (!prompt->is_string() && !is_list))
    return body.wrong(key, "a text, token ids, or a list of these", prompt);
  const bool several = is_list && ((*prompt)[0].is_string() || (*prompt)[0].is_array());
  if (!several) {
    ATELIER_TRY(prompts.emplace_back(), raw_prompt_of(*prompt, key));
    return {};
  }
  if (prompt->size() > limit)
    return fail(ErrorCode::kLimit, "{}: expected at most {}, found {}", key, limit, prompt->size());
  for (size_t i = 0; i < prompt->size(); ++i) {
    const Json& item = (*prompt)[i];
    const std::string path = fmt::format("{}[{}]", key, i);
    if (!item.is_string() && !item.is_array()) return body.wrong(path, "a text or token ids", &item);
    ATELIER_TRY(prompts.emplace_back(), raw_prompt_of(item, path));
  }
  return {};
}

std::vector<TokenId> raw_prompt_ids(const RawPrompt& prompt, const Tokenizer& tokenizer, Specials specials) {
  if (const auto* given = std::get_if<std::vector<TokenId>>(&prompt)) return *given;
  std::vector<TokenId> ids;
  if (tokenizer.add_bos() && tokenizer.bos()) ids.push_back(*tokenizer.bos());
  tokenizer.encode(std::get<std::string>(prompt), specials, ids);
  return ids;
}

}  // namespace atelier::server
