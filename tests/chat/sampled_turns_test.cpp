// A conversation whose turns are known by their ids renders to the ids that a live sequence would have: what
// comes back is found in the prefix cache.
#include <gtest/gtest.h>

#include "chat/chatml.h"
#include "chat/harmony_dialect.h"
#include "chat/llama3.h"
#include "tests/chat/toy_tokenizer.h"

namespace atelier::chat {
namespace {

struct Family {
  std::string name;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const Dialect> dialect;
  std::string call, answer;  // as sampled, control tokens written out
};

std::vector<Family> families() {
  const auto harmony = ToyTokenizer::harmony(), chatml = ToyTokenizer::chatml(),
             llama = ToyTokenizer::llama3();
  return {{"harmony", harmony, make_harmony(harmony).value(),
           "<|channel|>analysis<|message|>Look.<|end|><|start|>assistant "
           "to=functions.f<|channel|>commentary<|message|>"
           "{\"a\":  1}<|call|>",
           "<|channel|>analysis<|message|>Done.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|"
           "return|>"},
          {"chatml", chatml, make_chatml(chatml, "").value(),
           "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\":  1}}\n</tool_call><|im_end|>",
           "Yes.<|im_end|>"},
          {"llama3", llama, make_llama3(llama, "").value(),
           "{\"name\": \"f\", \"parameters\": {\"a\":  1}}<|eom_id|>", "Yes.<|eot_id|>"}};
}

Message parsed(const Family& family, const std::vector<TokenId>& ids) {
  const auto parser = family.dialect->new_parser();
  std::vector<Delta> deltas;
  for (const TokenId id : ids) parser->push(id, deltas);
  return parser->finish(deltas);
}

TEST(SampledTurns, RenderAsALiveSequenceWould) {
  for (const Family& family : families()) {
    SCOPED_TRACE(family.name);
    const Tokenizer& tokenizer = *family.tokenizer;
    Conversation live;
    live.date = "2025-01-01";
    live.tools = {{"f", "", R"({"type":"object","properties":{"a":{"type":"integer"}}})"}};
    live.messages = {{.role = Role::kSystem, .content = "Be brief."},
                     {.role = Role::kUser, .content = "Do it."}};
    Conversation returned = live;
    std::vector<TokenId> ids = family.dialect->render(live).value().encode(tokenizer);
    const auto step = [&](const std::string& sampled, Message next) {
      const std::vector<TokenId> turn = tokenizer.encode(sampled, Specials::kRecognised);
      ids.insert(ids.end(), turn.begin(), turn.end());
      Message message = parsed(family, turn);
      if (next.role == Role::kTool) next.tool_call_id = message.tool_calls.at(0).id;
      live.messages.push_back(message);
      live.messages.push_back(next);
      const Continuation more =
          family.dialect->render_continuation(ids, live, live.messages.size() - 1).value();
      ids.resize(more.keep);
      ids.insert(ids.end(), more.append.begin(), more.append.end());
      message.sampled = std::make_shared<const std::vector<TokenId>>(turn);
      returned.messages.push_back(message);
      returned.messages.push_back(next);
      EXPECT_EQ(tokenizer.decode(family.dialect->render(returned).value().encode(tokenizer)),
                tokenizer.decode(ids));
      EXPECT_EQ(family.dialect->render(returned).value().encode(tokenizer), ids);
    };
    step(family.call, {.role = Role::kTool, .content = "ok", .tool_name = "f"});
    step(family.call, {.role = Role::kTool, .content = "ok", .tool_name = "f"});
    step(family.answer, {.role = Role::kUser, .content = "And again?"});
    step(family.call, {.role = Role::kTool, .content = "ok", .tool_name = "f"});
    // Without the ids the text is what is rendered, in its usual form.
    for (Message& message : returned.messages) message.sampled = nullptr;
    EXPECT_NE(family.dialect->render(returned).value().encode(tokenizer), ids);
  }
}

}  // namespace
}  // namespace atelier::chat
