#include "chat/dialect.h"

#include <algorithm>

#include "chat/chatml.h"
#include "chat/harmony_dialect.h"
#include "chat/llama3.h"
#include "chat/plain.h"
#include "chat/template_dialect.h"

namespace atelier::chat {

ParserOptions parser_options(const Conversation& conversation) {
  ParserOptions options;
  const bool may_call = conversation.tool_choice.kind != ToolChoice::Kind::kNone;
  options.tools = may_call && (!conversation.tools.empty() || !conversation.builtin_tools.empty());
  options.template_arguments = conversation.template_arguments;
  for (const Message& message : conversation.messages) options.n_previous_calls += message.tool_calls.size();
  return options;
}

std::span<const TokenId> without_stops(std::span<const TokenId> sampled, std::span<const TokenId> stops) {
  while (!sampled.empty() && std::ranges::find(stops, sampled.back()) != stops.end())
    sampled = sampled.first(sampled.size() - 1);
  return sampled;
}

Result<TokenId> control_token(const Tokenizer& tokenizer, std::string_view text) {
  if (const auto id = tokenizer.find_token(text)) return *id;
  return fail(ErrorCode::kNotFound,
              "vocabulary: expected the control token {}, which the chat format needs, found none", text);
}

Result<std::unique_ptr<Dialect>> dialect_for(std::string_view architecture,
                                             std::shared_ptr<const Tokenizer> tokenizer,
                                             std::string_view chat_template) {
  const auto has = [&](std::string_view text) { return chat_template.find(text) != std::string_view::npos; };
  const bool gpt_oss =
      architecture == "gpt-oss" || architecture == "gpt_oss" || architecture == "GptOssForCausalLM";
  if (gpt_oss || (has("<|start|>") && has("<|channel|>"))) return make_harmony(std::move(tokenizer));
  if (chat_template.empty()) return make_plain(std::move(tokenizer));
  // Our ChatML and Llama 3 know no reasoning; a template that does speaks for itself.
  const bool reasons = has("<think>") || has("</think>") || has("enable_thinking");
  if (has("<|start_header_id|>") && !reasons) return make_llama3(std::move(tokenizer), chat_template);
  if (has("<|im_start|>") && !reasons) return make_chatml(std::move(tokenizer), chat_template);
  return make_template(std::move(tokenizer), chat_template);
}

}  // namespace atelier::chat
