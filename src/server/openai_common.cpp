#include "server/openai_common.h"

#include "io/utf8.h"

namespace atelier::server {
namespace {

OrderedJson logprob_json(TokenId id, float logprob, const Tokenizer& tokenizer) {
  const std::string_view bytes = tokenizer.token_bytes(id);
  OrderedJson list = OrderedJson::array();
  for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
  return {{"token", to_valid_utf8(bytes)}, {"logprob", logprob}, {"bytes", std::move(list)}};
}

}  // namespace

void append_event(const OrderedJson& data, std::string& out) {
  out += "data: ";
  out += to_text(data);
  out += "\n\n";
}

OrderedJson completion_usage(const Outcome& outcome) {
  size_t reasoning = 0;
  for (const ChoiceResult& choice : outcome.choices) reasoning += choice.reasoning_tokens;
  const Usage& usage = outcome.usage;
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details",
           {{"reasoning_tokens", reasoning},
            {"accepted_prediction_tokens", usage.accepted_tokens},
            {"rejected_prediction_tokens", usage.drafted_tokens - usage.accepted_tokens}}}};
}

std::string_view openai_finish(Finish finish) {
  switch (finish) {
    case Finish::kStop:
    case Finish::kStopSequence:
      return "stop";
    case Finish::kLength:
      return "length";
    case Finish::kToolCalls:
      return "tool_calls";
  }
  return "stop";
}

OrderedJson chat_logprobs(std::span<const TokenInfo> tokens, const Tokenizer& tokenizer) {
  OrderedJson content = OrderedJson::array();
  for (const TokenInfo& token : tokens) {
    OrderedJson entry = logprob_json(token.id, token.logprob, tokenizer);
    OrderedJson& top = entry["top_logprobs"] = OrderedJson::array();
    for (const TokenLogprob& other : token.top)
      top.push_back(logprob_json(other.token, other.logprob, tokenizer));
    content.push_back(std::move(entry));
  }
  return content;
}

}  // namespace atelier::server
