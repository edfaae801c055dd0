// Turns sampled at random under a filter, whatever the model would like to say: calls parse and obey their
// schema, choices of tools are kept, answers have the form that was asked for, and what cannot be guaranteed
// is refused by name.
#include "chat/turn_filter.h"

#include <gtest/gtest.h>

#include <random>

#include "base/file.h"
#include "chat/chatml.h"
#include "chat/harmony_dialect.h"
#include "chat/json_text.h"
#include "chat/llama3.h"
#include "chat/template_dialect.h"
#include "tests/chat/toy_tokenizer.h"

namespace atelier::chat {
namespace {

const char* const kWeather =
    R"({"type":"object","properties":{"city":{"type":"string","enum":["Paris","Oslo"]},"days":{"type":"integer","minimum":1,
        "maximum":9}},"required":["city"],"additionalProperties":false})";
const char* const kAnswer =
    R"({"type":"object","properties":{"ok":{"type":"boolean"},"n":{"type":"integer"}},"required":["ok","n"],
        "additionalProperties":false})";

struct Sampled {
  Message message;
  FinishReason reason = FinishReason::kLength;
  std::vector<TokenId> tokens;
  bool ended = false;
};

class TurnFilterTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string& name = GetParam();
    if (name == "harmony") {
      tokenizer_ = ToyTokenizer::harmony();
      dialect_ = make_harmony(tokenizer_).value();
    } else if (name == "chatml") {
      tokenizer_ = ToyTokenizer::chatml();
      dialect_ = make_chatml(tokenizer_, "").value();
    } else if (name == "llama3") {
      tokenizer_ = ToyTokenizer::llama3();
      dialect_ = make_llama3(tokenizer_, "").value();
    } else {  // models whose template says how they call; their tags are control tokens
      tokenizer_ = std::make_shared<ToyTokenizer>(ToyTokenizer::Controls{{"<|im_end|>", 1000},
                                                                         {"<|endoftext|>", 1007},
                                                                         {"</s>", 1001},
                                                                         {"<think>", 1002},
                                                                         {"</think>", 1003},
                                                                         {"<tool_call>", 1004},
                                                                         {"</tool_call>", 1005},
                                                                         {"[TOOL_CALLS]", 1006}});
      const std::string file = fmt::format("{}/chat/template/templates/{}.jinja", ATELIER_TEST_DATA,
                                           name == "qwen3" ? "Qwen3-0.6B" : "Mistral-Nemo-Instruct-2407");
      dialect_ = make_template(tokenizer_, read_file(file, 1 << 20).value()).value();
    }
    constraints_ = std::make_shared<constraint::ConstraintCache>(tokenizer_);
    conversation_.messages.push_back({.role = Role::kUser, .content = "Hello."});
  }

  Result<std::unique_ptr<TokenFilter>> filter(std::vector<std::string> stops = {}) {
    return make_turn_filter({.dialect = dialect_,
                             .conversation = std::make_shared<const Conversation>(conversation_),
                             .stops = std::move(stops),
                             .constraints = constraints_});
  }

  // Draws tokens that the filter allows; after a while, such as bring the turn to its end.
  Sampled sample(uint64_t seed, size_t wander = 150) {
    std::mt19937_64 random(seed);
    auto made = filter();
    EXPECT_TRUE(made) << made.error().message;
    TokenFilter& filter = **made;
    const auto parser = dialect_->new_parser(parser_options(conversation_));
    const std::vector<TokenId> stops = dialect_->stop_tokens();
    std::vector<uint64_t> mask(token_mask_words(tokenizer_->vocab_size()));
    std::vector<Delta> deltas;
    Sampled out;
    while (out.tokens.size() < 4000 && !out.ended) {
      const bool masked = filter.allowed(mask).value();
      EXPECT_TRUE(masked);
      const TokenId token = choose(mask, random, out.tokens.size() > wander);
      if (token < 0) break;
      out.tokens.push_back(token);
      parser->push(token, deltas);
      out.ended = std::ranges::find(stops, token) != stops.end() || !filter.accept(token);
    }
    EXPECT_TRUE(out.ended) << tokenizer_->decode(out.tokens);
    out.message = parser->finish(deltas);
    out.reason = parser->finish_reason();
    return out;
  }

  TokenId choose(const std::vector<uint64_t>& mask, std::mt19937_64& random, bool heads_for_the_end) const {
    std::vector<TokenId> ids;
    for (size_t i = 0; i < mask.size(); ++i)
      for (uint64_t bits = mask[i]; bits != 0; bits &= bits - 1)
        ids.push_back(static_cast<TokenId>(i * 64 + static_cast<size_t>(__builtin_ctzll(bits))));
    EXPECT_FALSE(ids.empty());
    if (ids.empty()) return -1;
    const bool special = random() % 8 == 0;
    constexpr std::string_view kClosing = "}]\"0,";
    for (const TokenId id : ids)
      if (tokenizer_->is_special(id) && (special || heads_for_the_end) && random() % 2 == 0) return id;
    if (heads_for_the_end)
      for (const char c : kClosing)
        if (std::ranges::find(ids, static_cast<TokenId>(static_cast<unsigned char>(c))) != ids.end() &&
            random() % 4 > 0)
          return static_cast<TokenId>(static_cast<unsigned char>(c));
    return ids[random() % ids.size()];
  }

  void declare_tools() {
    conversation_.tools = {{"weather", "Tells the weather.", kWeather}, {"now", "Tells the time.", ""}};
  }
  static void expect_valid(const ToolCall& call) {
    const auto json = parse_json(call.arguments, "arguments");
    ASSERT_TRUE(json) << call.arguments;
    if (call.name == "now") {
      EXPECT_EQ(*json, Json::object());
      return;
    }
    ASSERT_EQ(call.name, "weather");
    EXPECT_TRUE(json->at("city") == "Paris" || json->at("city") == "Oslo") << call.arguments;
    if (json->contains("days")) {
      EXPECT_TRUE(json->at("days").is_number_integer() && json->at("days") >= 1 && json->at("days") <= 9);
    }
    EXPECT_EQ(json->size(), json->contains("days") ? 2u : 1u);
  }

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const Dialect> dialect_;
  std::shared_ptr<constraint::ConstraintCache> constraints_;
  Conversation conversation_;
};

TEST_P(TurnFilterTest, RequiredChoicesAlwaysCall) {
  declare_tools();
  conversation_.tool_choice.kind = ToolChoice::Kind::kRequired;
  size_t several = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    const Sampled turn = sample(seed);
    ASSERT_GE(turn.message.tool_calls.size(), 1u) << tokenizer_->decode(turn.tokens);
    for (const ToolCall& call : turn.message.tool_calls) expect_valid(call);
    several += turn.message.tool_calls.size() > 1 ? 1 : 0;
  }
  EXPECT_EQ(several > 0, GetParam() != "harmony");  // a harmony turn ends with its call
}

TEST_P(TurnFilterTest, NamedChoicesCallThatTool) {
  declare_tools();
  conversation_.tool_choice = {ToolChoice::Kind::kFunction, "weather"};
  conversation_.parallel_tool_calls = false;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const Sampled turn = sample(seed);
    ASSERT_EQ(turn.message.tool_calls.size(), 1u) << tokenizer_->decode(turn.tokens);
    EXPECT_EQ(turn.message.tool_calls[0].name, "weather");
    expect_valid(turn.message.tool_calls[0]);
  }
}

TEST_P(TurnFilterTest, FreeChoicesAreCallsOrText) {
  declare_tools();
  size_t calls = 0, texts = 0;
  for (uint64_t seed = 0; seed < 120; ++seed) {
    const Sampled turn = sample(seed, 40);
    for (const ToolCall& call : turn.message.tool_calls) expect_valid(call);
    ++(turn.message.tool_calls.empty() ? texts : calls);
  }
  EXPECT_GT(texts, 0u);
  if (GetParam() == "harmony") {
    EXPECT_GT(calls, 0u);
  }
}

TEST_P(TurnFilterTest, NoneCallsNothing) {
  declare_tools();
  conversation_.tool_choice.kind = ToolChoice::Kind::kNone;
  conversation_.response_format = {.kind = ResponseFormat::Kind::kRegex, .schema = "(yes|no)!"};
  for (uint64_t seed = 0; seed < 30; ++seed) {
    const Sampled turn = sample(seed);
    EXPECT_TRUE(turn.message.tool_calls.empty());
    EXPECT_TRUE(turn.message.content == "yes!" || turn.message.content == "no!") << turn.message.content;
  }
}

TEST_P(TurnFilterTest, AnswersHaveTheirForm) {
  struct Form {
    ResponseFormat format;
    std::function<bool(const std::string&)> holds;
  };
  const std::vector<Form> forms = {
      {{.kind = ResponseFormat::Kind::kJsonObject},
       [](const std::string& text) {
         return parse_json(text, "answer") && parse_json(text, "answer")->is_object();
       }},
      {{.kind = ResponseFormat::Kind::kJsonSchema, .name = "answer", .schema = kAnswer},
       [](const std::string& text) {
         const auto json = parse_json(text, "answer");
         return json && json->size() == 2 && json->at("ok").is_boolean() && json->at("n").is_number_integer();
       }},
      {{.kind = ResponseFormat::Kind::kGrammar, .schema = "root ::= \"<\" [0-9]+ \">\""},
       [](const std::string& text) {
         return text.starts_with("<") && text.ends_with(">") && text.size() > 2;
       }},
  };
  for (const Form& form : forms) {
    conversation_.response_format = form.format;
    for (uint64_t seed = 0; seed < 25; ++seed) {
      const Sampled turn = sample(seed);
      EXPECT_TRUE(form.holds(turn.message.content)) << tokenizer_->decode(turn.tokens);
    }
  }
}

TEST_P(TurnFilterTest, AFormBesideToolsIsOneOfTheTwo) {
  declare_tools();
  conversation_.response_format = {
      .kind = ResponseFormat::Kind::kJsonSchema, .name = "answer", .schema = kAnswer};
  size_t calls = 0;
  for (uint64_t seed = 0; seed < 80; ++seed) {
    const Sampled turn = sample(seed);
    calls += turn.message.tool_calls.empty() ? 0 : 1;
    for (const ToolCall& call : turn.message.tool_calls) expect_valid(call);
    if (turn.message.tool_calls.empty()) {
      const auto json = parse_json(turn.message.content, "answer");
      ASSERT_TRUE(json && json->contains("ok") && json->contains("n")) << tokenizer_->decode(turn.tokens);
    }
  }
  EXPECT_GT(calls, 0u);
  EXPECT_LT(calls, 80u);
}

TEST_P(TurnFilterTest, ClonesGoOnByThemselves) {
  declare_tools();
  conversation_.tool_choice = {ToolChoice::Kind::kFunction, "weather"};
  std::mt19937_64 random(1);
  auto first = filter().value();
  std::vector<uint64_t> mask(token_mask_words(tokenizer_->vocab_size())), other(mask.size());
  for (int i = 0; i < 12; ++i) {
    ASSERT_TRUE(first->allowed(mask).value());
    ASSERT_TRUE(first->accept(choose(mask, random, true)));
  }
  const auto second = first->clone();
  ASSERT_TRUE(first->allowed(mask).value());
  ASSERT_TRUE(second->allowed(other).value());
  EXPECT_EQ(mask, other);
}

// What cannot be guaranteed is not asked of the model at all.
TEST_P(TurnFilterTest, RefusesByToolAndKeyword) {
  declare_tools();
  conversation_.tools[1].parameters =
      R"({"type":"object","properties":{"x":{"type":"string","format":"nonsense"}}})";
  const auto refused = filter();
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("tools: now: schema: #/properties/x/format"), std::string::npos)
      << refused.error().message;
  conversation_.tool_choice.kind = ToolChoice::Kind::kNone;  // then it does not matter
  EXPECT_TRUE(filter());
  conversation_.response_format = {.kind = ResponseFormat::Kind::kJsonSchema, .schema = R"({"maximun":1})"};
  const auto format = filter();
  ASSERT_FALSE(format);
  EXPECT_EQ(format.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(format.error().message.find("#/maximun"), std::string::npos) << format.error().message;
}

INSTANTIATE_TEST_SUITE_P(Dialects, TurnFilterTest,
                         ::testing::Values("harmony", "chatml", "llama3", "qwen3", "mistral"),
                         [](const auto& info) { return info.param; });

// Control tokens that have no place where they are cannot be sampled: a turn is never lost to one.
TEST(HarmonyTurn, BodiesEndAsTheirChannelEnds) {
  const auto tokenizer = ToyTokenizer::harmony();
  const std::shared_ptr<const Dialect> dialect = make_harmony(tokenizer).value();
  const auto constraints = std::make_shared<constraint::ConstraintCache>(tokenizer);
  Conversation conversation;
  conversation.messages.push_back({.role = Role::kUser, .content = "Hello."});
  const auto filter = make_turn_filter({.dialect = dialect,
                                        .conversation = std::make_shared<const Conversation>(conversation),
                                        .constraints = constraints})
                          .value();
  std::vector<uint64_t> mask(token_mask_words(tokenizer->vocab_size()));
  const auto specials = [&] {
    EXPECT_TRUE(filter->allowed(mask).value());
    std::vector<std::string> out;
    for (size_t id = 256; id < tokenizer->vocab_size(); ++id)
      if ((mask[id / 64] >> (id % 64) & 1) != 0)
        out.emplace_back(tokenizer->token_bytes(static_cast<TokenId>(id)));
    return out;
  };
  const auto say = [&](std::string_view text) {
    for (const TokenId id : tokenizer->encode(text, Specials::kRecognised)) {
      EXPECT_TRUE(filter->allowed(mask).value());
      EXPECT_TRUE(mask[static_cast<size_t>(id) / 64] >> (static_cast<size_t>(id) % 64) & 1)
          << text << " " << id;
      filter->accept(id);
    }
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(specials(), Names{"<|channel|>"});
  say("<|channel|>analysis<|message|>Hm");
  EXPECT_EQ(specials(), Names{"<|end|>"});
  say("<|end|>");
  EXPECT_EQ(specials(), Names{"<|start|>"});
  say("<|start|>assistant<|channel|>final<|message|>Hi");
  EXPECT_EQ(specials(), Names{"<|return|>"});
}

// Completions without a dialect.
TEST(TextFilter, FormsAndStops) {
  const auto tokenizer = ToyTokenizer::plain();
  const auto constraints = std::make_shared<constraint::ConstraintCache>(tokenizer);
  EXPECT_EQ(make_text_filter({.constraints = constraints}).value(), nullptr);
  const auto filter = make_text_filter({.constraints = constraints,
                                        .format = {.kind = ResponseFormat::Kind::kRegex, .schema = "ab*"},
                                        .stop_tokens = {1000}})
                          .value();
  std::vector<uint64_t> mask(token_mask_words(tokenizer->vocab_size()));
  const auto has = [&](TokenId id) {
    return (mask[static_cast<size_t>(id) / 64] >> (static_cast<size_t>(id) % 64) & 1) != 0;
  };
  ASSERT_TRUE(filter->allowed(mask).value());
  EXPECT_TRUE(has('a') && !has('b') && !has(1000));
  ASSERT_TRUE(filter->accept('a'));
  ASSERT_TRUE(filter->allowed(mask).value());
  EXPECT_TRUE(!has('a') && has('b') && has(1000));
  const auto whole =
      make_text_filter({.constraints = constraints,
                        .format = {.kind = ResponseFormat::Kind::kGrammar, .schema = "root ::= \"x\""}})
          .value();
  ASSERT_TRUE(whole->allowed(mask).value());
  EXPECT_FALSE(whole->accept('x'));  // nothing can follow: the end
  const auto stops = make_text_filter({.constraints = constraints, .stops = {"bc"}}).value();
  EXPECT_FALSE(stops->allowed(mask).value());
  EXPECT_TRUE(stops->accept('b'));
  EXPECT_FALSE(stops->accept('c'));
  const auto bad =
      make_text_filter({.constraints = constraints,
                        .format = {.kind = ResponseFormat::Kind::kGrammar, .schema = "root ::= ("}});
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("line 1"), std::string::npos) << bad.error().message;
}

}  // namespace
}  // namespace atelier::chat
