// Turns that come back: their reasoning and their ids are found again, unless they were changed.
#include "server/turn_memory.h"

#include <gtest/gtest.h>

namespace atelier::server {
namespace {

using chat::Message;
using chat::Role;

std::shared_ptr<const std::vector<int32_t>> ids(std::vector<int32_t> values) {
  return std::make_shared<const std::vector<int32_t>>(std::move(values));
}

Message called() {
  return {.role = Role::kAssistant,
          .reasoning = "I should look.",
          .tool_calls = {{"call_a", "find", R"({"name": "x", "deep": [1, 2]})", true}},
          .sampled = ids({1, 2, 3})};
}
Message said() { return {.role = Role::kAssistant, .content = "Hello there.", .sampled = ids({7, 8})}; }

Message restored(TurnMemory& memory, Message message, std::string_view model = "m") {
  message.sampled = nullptr;
  chat::Conversation conversation;
  conversation.messages = {{.role = Role::kUser, .content = "Hello there."}, std::move(message)};
  memory.restore(model, conversation);
  EXPECT_EQ(conversation.messages[0].sampled, nullptr);
  return conversation.messages[1];
}

TEST(TurnMemory, GivesBackReasoningAndIdsOfCalls) {
  TurnMemory memory;
  memory.remember("m", called());
  Message dropped = called();
  dropped.reasoning.clear();
  EXPECT_EQ(restored(memory, dropped).reasoning, "I should look.");
  ASSERT_NE(restored(memory, dropped).sampled, nullptr);
  EXPECT_EQ(*restored(memory, dropped).sampled, (std::vector<int32_t>{1, 2, 3}));
  // Written otherwise, the same call.
  Message rewritten = dropped;
  rewritten.tool_calls[0].arguments = R"({"deep":[1,2],"name":"x"})";
  EXPECT_NE(restored(memory, rewritten).sampled, nullptr);
}

TEST(TurnMemory, LeavesChangedTurnsAlone) {
  TurnMemory memory;
  memory.remember("m", called());
  memory.remember("m", said());
  Message changed = called();
  changed.tool_calls[0].arguments = R"({"name": "y"})";
  EXPECT_EQ(restored(memory, changed).sampled, nullptr);
  Message rethought = called();
  rethought.reasoning = "Another thought.";
  EXPECT_EQ(restored(memory, rethought).sampled, nullptr);
  EXPECT_EQ(restored(memory, rethought).reasoning, "Another thought.");
  EXPECT_EQ(restored(memory, called(), "another model").sampled, nullptr);
  Message edited = said();
  edited.content += "!";
  EXPECT_EQ(restored(memory, edited).sampled, nullptr);
}

TEST(TurnMemory, FindsTextByWhatItSays) {
  TurnMemory memory;
  memory.remember("m", said());
  ASSERT_NE(restored(memory, said()).sampled, nullptr);
  Message later = said();
  later.sampled = ids({9});
  memory.remember("m", later);  // said again with other ids: the latest count
  EXPECT_EQ(*restored(memory, said()).sampled, (std::vector<int32_t>{9}));
  EXPECT_EQ(memory.size(), 1u);
}

TEST(TurnMemory, ForgetsWhatWasAskedForLongestAgo) {
  TurnMemory memory;
  memory.remember("m", said());
  const std::vector<int32_t> many(1 << 20, 5);  // 4 MiB
  for (int i = 0; i < 40; ++i) {
    memory.remember("m", {.role = Role::kAssistant, .content = std::to_string(i), .sampled = ids(many)});
    EXPECT_NE(restored(memory, said()).sampled, nullptr);
  }
  EXPECT_LE(memory.size(), 17u);
  EXPECT_EQ(restored(memory, {.role = Role::kAssistant, .content = "3"}).sampled, nullptr);
  EXPECT_NE(restored(memory, {.role = Role::kAssistant, .content = "39"}).sampled, nullptr);
}

}  // namespace
}  // namespace atelier::server
