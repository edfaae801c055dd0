// Our rendering and parsing against openai-harmony's (tools/harmony_goldens.py).
#include <gtest/gtest.h>

#include <cstdlib>

#include "chat/completions_body.h"
#include "chat/harmony_dialect.h"
#include "tests/chat/golden_parts.h"
#include "tests/chat/toy_tokenizer.h"

namespace atelier::chat {
namespace {

std::string text_or_empty(const Json& object, const char* key) {
  const std::string* text = string_member(object, key);
  return text ? *text : std::string();
}

std::optional<std::string> optional_text(const Json& object, const char* key) {
  const std::string* text = string_member(object, key);
  return text ? std::optional(*text) : std::nullopt;
}

std::vector<harmony::ToolNamespace> namespaces_of(const Json& content) {
  std::vector<harmony::ToolNamespace> out;
  if (!member(content, "tools")) return out;
  for (const Json& space : content["tools"]) {
    harmony::ToolNamespace to{text_or_empty(space, "name"), text_or_empty(space, "description"), {}};
    for (const Json& tool : space["tools"]) {
      const Json* parameters = member(tool, "parameters");
      to.tools.push_back({text_or_empty(tool, "name"), text_or_empty(tool, "description"),
                          parameters ? compact_json(*parameters) : std::string()});
    }
    out.push_back(std::move(to));
  }
  return out;
}

harmony::SystemContent system_of(const Json& content) {
  harmony::SystemContent system;
  system.model_identity = optional_text(content, "model_identity");
  system.knowledge_cutoff = optional_text(content, "knowledge_cutoff");
  system.date = optional_text(content, "conversation_start_date");
  const std::string effort = text_or_empty(content, "reasoning_effort");
  system.reasoning_effort = effort == "Low"    ? ReasoningEffort::kLow
                            : effort == "High" ? ReasoningEffort::kHigh
                                               : ReasoningEffort::kMedium;
  system.tools = namespaces_of(content);
  const Json& channels = content["channel_config"];
  system.channels = {channels["valid_channels"].get<std::vector<std::string>>(),
                     channels["channel_required"].get<bool>()};
  return system;
}

// One message of openai-harmony's Conversation JSON.
harmony::Message message_of(const Json& value) {
  harmony::Message message;
  const std::string role = value["role"];
  for (Role known : {Role::kSystem, Role::kDeveloper, Role::kUser, Role::kAssistant, Role::kTool})
    if (role == role_name(known)) message.role = known;
  message.name = text_or_empty(value, "name");
  message.recipient = text_or_empty(value, "recipient");
  message.channel = text_or_empty(value, "channel");
  message.content_type = text_or_empty(value, "content_type");
  const Json& content = value["content"];
  if (content.is_string()) {
    message.content = content.get<std::string>();
  } else if (const Json& item = content[0]; item["type"] == "system_content") {
    message.content = system_of(item);
  } else if (item["type"] == "developer_content") {
    message.content =
        harmony::DeveloperContent{optional_text(item, "instructions"), namespaces_of(item), std::nullopt};
  } else {
    message.content = item["text"].get<std::string>();
  }
  return message;
}

class Checker {
 public:
  explicit Checker(std::shared_ptr<const Tokenizer> tokenizer) : tokenizer_(tokenizer) {
    dialect_ = make_harmony(tokenizer).value();
    ids_ = harmony::ControlTokens::of(*tokenizer).value();
  }

  // What is wrong, or nothing.
  std::string check(const Json& golden) const {
    const std::string kind = golden["kind"];
    if (kind == "parse") return check_parse(golden);
    const Result<Prompt> prompt = kind == "render" ? render(golden) : render_body(golden["body"]);
    if (!prompt) return prompt.error().message;
    const std::vector<TokenId> ids = prompt->encode(*tokenizer_);
    if (const Json found = parts_of(ids, *tokenizer_); found != golden["parts"])
      return "expected " + golden["parts"].dump() + "\nfound    " + found.dump();
    const Json* expected = member(golden, "ids");
    if (expected && *expected != Json(ids)) return "the same text in other tokens: " + golden["parts"].dump();
    return {};
  }

 private:
  Result<Prompt> render(const Json& golden) const {
    std::vector<harmony::Message> messages;
    for (const Json& message : golden["messages"]) messages.push_back(message_of(message));
    if (golden["drop"]) messages = without_finished_analysis(std::move(messages));
    Prompt prompt;
    if (auto status = harmony::render(messages, ids_, prompt); !status) return tl::unexpected(status.error());
    if (golden["prompt"]) prompt.control(ids_.start).piece("assistant");
    return prompt;
  }

  Result<Prompt> render_body(const Json& body) const {
    ATELIER_TRY(const Conversation conversation, parse_completions_body(body));
    return dialect_->render(conversation);
  }

  std::string check_parse(const Json& golden) const {
    const auto parser = dialect_->new_parser();
    std::vector<Delta> deltas;
    const std::vector<TokenId> ids = golden.contains("ids") ? golden["ids"].get<std::vector<TokenId>>()
                                                            : ids_of(golden["parts"], *tokenizer_);
    for (TokenId id : ids) parser->push(id, deltas);
    const chat::Message message = parser->finish(deltas);
    const Json found = turn_json(message, *parser)["messages"];
    if (found == golden["messages"]) return {};
    return golden["parts"].dump() + "\nexpected " + golden["messages"].dump() + "\nfound    " + found.dump();
  }

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<Dialect> dialect_;
  harmony::ControlTokens ids_;
};

// Returns how many goldens there were.
size_t expect_all(const Checker& checker, const std::string& path) {
  const std::vector<Json> goldens = read_json_lines(path);
  for (size_t i = 0; i < goldens.size(); ++i) {
    const std::string wrong = checker.check(goldens[i]);
    EXPECT_EQ(wrong, "") << path << " line " << i + 1;
  }
  return goldens.size();
}

TEST(HarmonyGoldens, CommittedSample) {
  const Checker checker(ToyTokenizer::harmony());
  EXPECT_GE(expect_all(checker, ATELIER_TEST_DATA "/chat/harmony.jsonl"), 100u);
}

// All goldens with the real vocabulary, where the script's output and a tokenizer.json are at hand.
TEST(HarmonyGoldens, FullWithRealVocabulary) {
  const char* goldens = std::getenv("ATELIER_HARMONY_GOLDENS");
  const char* vocabulary = std::getenv("ATELIER_HARMONY_TOKENIZER");
  if (!goldens || !vocabulary) return;
  const auto tokenizer = Tokenizer::load(vocabulary);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const size_t n = expect_all(Checker(*tokenizer), goldens);
  EXPECT_GE(n, 2000u);
  RecordProperty("goldens", static_cast<int>(n));
}

TEST(HarmonyGoldens, WrongDataFails) {
  const Checker checker(ToyTokenizer::harmony());
  for (Json golden : read_json_lines(ATELIER_TEST_DATA "/chat/harmony.jsonl")) {
    Json* target = golden["kind"] == "parse" ? &golden["messages"][0]["content"] : &golden["parts"][1];
    *target = target->get<std::string>() + "x";
    EXPECT_NE(checker.check(golden), "");
  }
}

}  // namespace
}  // namespace atelier::chat
