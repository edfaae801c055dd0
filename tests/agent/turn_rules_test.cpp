// What an agent's model may say: texts are followed token by token through the rules of a turn.
#include "agent/harness/turn_rules.h"

#include <gtest/gtest.h>

#include "agent/patch/plan.h"
#include "chat/json_text.h"
#include "engine/token_filter.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent {
namespace {

struct Family {
  const char *name, *architecture, *tokenizer, *chat_template;
  ToolNames names;
};
void PrintTo(const Family& family, std::ostream* out) { *out << family.name; }

class OddTool final : public Tool {
 public:
  OddTool(std::string name, std::string schema)
      : Tool({.name = std::move(name), .description = "Odd.", .schema = std::move(schema)}) {}
  ToolResult run(const Json&, const ToolRun&) override { return {}; }
  std::string summary(const Json&) const override { return ""; }
};

class TurnRulesTest : public ::testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    work_.write("a.txt", "one\ntwo\none\n");
    auto workspace = Workspace::open(work_.path());
    ASSERT_TRUE(workspace);
    workspace_ = std::make_unique<Workspace>(std::move(*workspace));
    host_ = {.workspace = workspace_.get()};
    const auto tokenizer = Tokenizer::load(
        std::filesystem::path(fmt::format("{}/tokenizer/{}.json", ATELIER_TEST_DATA, GetParam().tokenizer)));
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    auto dialect = chat::dialect_for(GetParam().architecture, *tokenizer, GetParam().chat_template);
    ASSERT_TRUE(dialect) << dialect.error().message;
    dialect_ = std::move(*dialect);
    toolbox_ = std::make_unique<Toolbox>(host_, GetParam().names);
    options_ = {.dialect = dialect_,
                .constraints = std::make_shared<constraint::ConstraintCache>(*tokenizer),
                .toolbox = toolbox_.get(),
                .workspace = workspace_.get()};
    conversation_.parallel_tool_calls = false;
  }

  // Whether the model may say that turn, and whether it could end there.
  bool legal(const std::string& text) {
    TurnRules rules(options_);
    auto turn = rules.begin(conversation_);
    EXPECT_TRUE(turn) << turn.error().message;
    if (!turn) return false;
    if (*turn == nullptr) return true;
    const Tokenizer& tokenizer = dialect_->tokenizer();
    const auto parser = dialect_->new_parser(chat::parser_options(conversation_));
    std::vector<chat::Delta> deltas;
    std::vector<uint64_t> mask(token_mask_words(tokenizer.vocab_size()));
    std::string call;
    for (const TokenId id : tokenizer.encode(text, Specials::kRecognised)) {
      const auto masked = (*turn)->allowed(mask);
      EXPECT_TRUE(masked) << masked.error().message;
      const auto at = static_cast<size_t>(id);
      if (!masked || (*masked && (mask[at / 64] >> at % 64 & 1) == 0)) return false;
      parser->push(id, deltas);
      for (const chat::Delta& delta : deltas)
        if (delta.kind == chat::Delta::Kind::kToolCallBegin) call = delta.name;
      deltas.clear();
      (*turn)->push(id, *parser, call);
    }
    return true;
  }

  // The arguments of a call that is begun by `text` and then brought to its end.
  std::string closed_arguments(const std::string& text) {
    TurnRules rules(options_);
    auto turn = rules.begin(conversation_);
    EXPECT_TRUE(turn && *turn);
    const Tokenizer& tokenizer = dialect_->tokenizer();
    const auto parser = dialect_->new_parser(chat::parser_options(conversation_));
    std::vector<chat::Delta> deltas;
    std::string call;
    for (const bool first : {true, false})
      for (const TokenId id : tokenizer.encode(first ? text : (*turn)->completion(), Specials::kRecognised)) {
        parser->push(id, deltas);
        for (const chat::Delta& delta : deltas)
          if (delta.kind == chat::Delta::Kind::kToolCallBegin) call = delta.name;
        deltas.clear();
        (*turn)->push(id, *parser, call);
      }
    const chat::Message message = parser->finish(deltas);
    return message.tool_calls.empty() ? "no call" : message.tool_calls[0].arguments;
  }

  bool harmony() const { return GetParam().names == ToolNames::kHarmony; }
  std::string call(const std::string& tool, const Json& arguments) const {
    const std::string name = toolbox_->name_of(*toolbox_->find(tool));
    if (harmony() && name.find('.') != std::string::npos)
      return "<|channel|>analysis to=" + name + " code<|message|>" + arguments.dump() + "<|call|>";
    if (harmony())
      return "<|channel|>commentary to=functions." + name + " <|constrain|>json<|message|>" +
             arguments.dump() + "<|call|>";
    return "<tool_call>\n{\"name\": \"" + name + "\", \"arguments\": " + arguments.dump() + "}\n</tool_call>";
  }
  std::string patch(const std::string& lines) const {
    return call("apply_patch",
                {{"patch", "*** Begin Patch\n*** Update File: a.txt\n@@\n" + lines + "*** End Patch"}});
  }
  void show_file() {
    conversation_.messages.push_back({.role = chat::Role::kUser, .content = "Look at @a.txt"});
  }
  void declare() { toolbox_->declare(conversation_); }

  ScratchFolder work_;
  std::unique_ptr<Workspace> workspace_;
  ToolHost host_;
  std::shared_ptr<const chat::Dialect> dialect_;
  std::unique_ptr<Toolbox> toolbox_;
  TurnRulesOptions options_;
  chat::Conversation conversation_;
};

TEST_P(TurnRulesTest, PatchesAreMadeOfLinesThatWereShown) {
  declare();
  conversation_.messages.push_back({.role = chat::Role::kUser, .content = "Hello."});
  EXPECT_FALSE(legal(patch("-two\n+2\n"))) << "nobody has shown the file";
  show_file();
  EXPECT_TRUE(legal(patch("-two\n+2\n")));
  EXPECT_TRUE(legal(patch(" one\n-two\n+2\n one\n")));
  EXPECT_FALSE(legal(patch("-three\n+3\n")));
  EXPECT_FALSE(legal(patch("-two\n+two\n"))) << "it changes nothing";
  work_.write("a.txt", "one\nthree\n");
  EXPECT_TRUE(legal(patch("-three\n+3\n"))) << "files are read again for each turn";
  EXPECT_FALSE(legal(patch("-two\n+2\n")));
}

TEST_P(TurnRulesTest, FilesComeInAnyOrderEachOnce) {
  work_.write("b.txt", "three\n");
  declare();
  show_file();
  conversation_.messages.back().content += " and @b.txt";
  const std::string a = "*** Update File: a.txt\n@@\n-two\n+2\n", b = "*** Update File: b.txt\n@@\n-three\n";
  const auto whole = [&](const std::string& sections) {
    return call("apply_patch", {{"patch", "*** Begin Patch\n" + sections + "*** End Patch"}});
  };
  EXPECT_TRUE(legal(whole(a + b)));
  EXPECT_TRUE(legal(whole(b + a)));
  EXPECT_FALSE(legal(whole(a + b + a)));
  EXPECT_FALSE(legal(whole(b + "*** Delete File: b.txt\n")));
}

// Wherever a call stands, there is an end to it, and a patch that applies.
TEST_P(TurnRulesTest, WhatIsBegunCanBeBroughtToItsEnd) {
  work_.write("b.txt", "three\n");
  declare();
  show_file();
  conversation_.messages.back().content += " and @b.txt";
  const std::string whole = patch(" one\n-two\n+2\n one\n@@\n+three\n*** Update File: b.txt\n@@ three\n+4\n");
  const std::string unchanged = patch("-two\n+two\n+2\n");
  for (const std::string& text : {whole, unchanged}) {
    for (size_t n = text.find("Begin Patch"); n < text.find("*** End Patch"); ++n) {
      const std::string arguments = closed_arguments(text.substr(0, n));
      const auto json = chat::parse_json(arguments, "arguments");
      ASSERT_TRUE(json) << text.substr(0, n) << "\n" << arguments;
      const auto parsed = parse_patch((*json)["patch"].get<std::string>());
      ASSERT_TRUE(parsed) << arguments;
      EXPECT_TRUE(plan_patch(*workspace_, *parsed)) << arguments;
    }
  }
}

TEST_P(TurnRulesTest, TheSwitchLeavesTheSchema) {
  declare();
  show_file();
  options_.bind_patches = false;
  EXPECT_TRUE(legal(patch("-three\n+3\n")));
  EXPECT_FALSE(legal(call("apply_patch", {{"patch", 3}})));
  options_.constrain = false;
  EXPECT_TRUE(legal(call("apply_patch", {{"patch", 3}})));
}

TEST_P(TurnRulesTest, FilesThatAreTooLongAreFree) {
  std::string text;
  for (int i = 0; i < 30'000; ++i) text += "line " + std::to_string(i) + "\n";
  work_.write("a.txt", text);
  declare();
  show_file();
  EXPECT_TRUE(legal(patch("-line 7\n+seven\n")));
  EXPECT_TRUE(legal(patch("-what is not there\n+seven\n")));
}

// Many short lines, each of which can be a hunk's first.
TEST_P(TurnRulesTest, FilesOfTooManyLinesLeaveATurnThatWorks) {
  declare();
  show_file();
  for (const int n_lines : {1'000, 45'000}) {
    std::string text;
    for (int i = 0; i < n_lines; ++i) text += i % 2 == 0 ? "}\n" : "{\n";
    work_.write("a.txt", text);
    EXPECT_TRUE(legal(patch("-}\n+x\n"))) << n_lines;
  }
}

TEST_P(TurnRulesTest, SchemasOfOthersAreKeptAsFarAsTheyCanBe) {
  EXPECT_TRUE(toolbox_->add(std::make_unique<OddTool>(
      "weigh", R"({"type":"object","properties":{"kg":{"type":"number"}},"required":["kg"]})")));
  const Status odd = toolbox_->add(std::make_unique<OddTool>("odd", R"({"type":"string"})"));
  EXPECT_FALSE(odd) << "arguments are an object";
  declare();
  conversation_.messages.push_back({.role = chat::Role::kUser, .content = "Hello."});
  EXPECT_TRUE(legal(call("weigh", {{"kg", 1.5}})));
  EXPECT_FALSE(legal(call("weigh", {{"kg", "heavy"}})));
  EXPECT_TRUE(legal(call("odd", {{"anything", {1, 2}}})));
}

TEST_P(TurnRulesTest, TheAnswerHasTheFormThatWasAskedFor) {
  declare();
  show_file();
  conversation_.response_format = {.kind = chat::ResponseFormat::Kind::kJsonSchema,
                                   .name = "answer",
                                   .schema = R"({"type":"object","properties":{"n":{"type":"number"}},)"
                                             R"("required":["n"]})"};
  const std::string head = harmony() ? "<|channel|>final<|message|>" : "";
  EXPECT_TRUE(legal(head + "{\"n\": 1.25}"));
  EXPECT_FALSE(legal(head + "hello"));
  EXPECT_TRUE(legal(patch("-two\n+2\n"))) << "tools may still be called";
}

TEST_P(TurnRulesTest, PiecesToReplaceAreThereOnce) {
  if (harmony()) return;  // which was trained with patches
  declare();
  show_file();
  const auto replace = [&](const std::string& old_text) {
    return call("replace", {{"path", "a.txt"}, {"old", old_text}, {"new", "x"}});
  };
  EXPECT_TRUE(legal(replace("two")));
  EXPECT_TRUE(legal(replace("one\ntwo")));
  EXPECT_FALSE(legal(replace("one")));
  EXPECT_FALSE(legal(replace("three")));
}

INSTANTIATE_TEST_SUITE_P(Families, TurnRulesTest,
                         ::testing::Values(Family{"harmony", "gpt-oss", "gpt-oss", "", ToolNames::kHarmony},
                                           Family{"chatml", "llama", "smollm2", "<|im_start|>",
                                                  ToolNames::kFunctions}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace atelier::agent
