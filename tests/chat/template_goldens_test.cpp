// Renderings of real and of tiny templates against transformers' (tools/template_goldens.py).
#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/file.h"
#include "chat/template/template.h"
#include "tests/figure.h"

namespace atelier::chat {
namespace {

namespace fs = std::filesystem;
constexpr const char* kDate = "2025-06-28";  // the day the goldens were made on

std::vector<Json> read_lines(const fs::path& path) {
  std::ifstream file(path);
  std::vector<Json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(Json::parse(line));
  return rows;
}

// The conversations of a folder, with tools by name replaced by their schemas.
std::vector<Json> read_conversations(const fs::path& folder) {
  std::vector<Json> rows = read_lines(folder / "conversations.jsonl");
  const Json tools = rows.front();
  rows.erase(rows.begin());
  for (Json& row : rows)
    for (auto variable = row["variables"].begin(); variable != row["variables"].end(); ++variable) {
      if (!variable.key().ends_with("tools") || !variable.value().is_array()) continue;
      for (Json& tool : variable.value())
        if (tool.is_string() && tools.contains(tool.get<std::string>()))
          tool = Json(tools[tool.get<std::string>()]);
    }
  return rows;
}

std::string digest(std::string_view text) {
  unsigned char bytes[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes);
  std::string hex;
  for (size_t i = 0; i < 8; ++i) hex += fmt::format("{:02x}", bytes[i]);
  return hex;
}

Result<std::string> render(const ChatTemplate& source, const Json& variables) {
  const jinja::Value values = jinja::from_json(variables);
  auto text = source.render(*values.dict(), kDate);
  if (!text) return tl::unexpected<Error>(text.error());
  return text->str();
}

// What is wrong about `rendered`; empty if it is as `golden` says.
std::string difference(const Json& golden, const Result<std::string>& rendered) {
  if (golden.contains("raised")) {
    if (rendered) return "expected raise_exception, rendered: " + *rendered;
    const auto wanted = golden["raised"].get<std::string>();
    return rendered.error().message.ends_with(wanted) ? "" : wanted + " != " + rendered.error().message;
  }
  if (golden.contains("error"))
    return rendered ? "expected " + golden["error"].get<std::string>() + ", rendered: " + *rendered : "";
  if (!rendered) return rendered.error().message;
  if (golden.contains("text") && golden["text"] != *rendered)
    return "expected:\n" + golden["text"].get<std::string>() + "\nfound:\n" + *rendered;
  if (golden.contains("sha") && golden["sha"] != digest(*rendered)) return "other text:\n" + *rendered;
  return "";
}

struct Tally {
  size_t n_templates = 0;
  size_t n_rendered = 0;
  size_t n_refused = 0;
  size_t n_wrong = 0;
};

void check_template(const fs::path& folder, const std::string& name, const std::vector<Json>& conversations,
                    Tally& tally) {
  const std::vector<Json> goldens = read_lines(folder / (name + ".jsonl"));
  ASSERT_EQ(goldens.size(), conversations.size()) << name;
  const auto source = read_file(folder / "templates" / (name + ".jinja"), 1 << 20);
  ASSERT_TRUE(source) << name;
  const auto parsed = ChatTemplate::parse(*source);
  ++tally.n_templates;
  size_t n_wrong = 0;
  for (size_t i = 0; i < goldens.size(); ++i) {
    const auto rendered = parsed ? render(*parsed, conversations[i]["variables"])
                                 : Result<std::string>(tl::unexpected<Error>(parsed.error()));
    const std::string wrong = difference(goldens[i], rendered);
    (goldens[i].contains("sha") ? tally.n_rendered : tally.n_refused) += wrong.empty() ? 1 : 0;
    if (wrong.empty()) continue;
    if (n_wrong++ == 0) ADD_FAILURE() << name << ", conversation " << i << ": " << wrong;
  }
  tally.n_wrong += n_wrong;
  EXPECT_EQ(n_wrong, 0U) << name;
}

Tally check_folder(const fs::path& folder) {
  const std::vector<Json> conversations = read_conversations(folder);
  Tally tally;
  for (const auto& item : fs::directory_iterator(folder / "templates"))
    check_template(folder, item.path().stem().string(), conversations, tally);
  testing::print_figure(
      "chat templates: {} x {} conversations: {} identical, {} refused as they should be, {} wrong",
      tally.n_templates, conversations.size(), tally.n_rendered, tally.n_refused, tally.n_wrong);
  return tally;
}

TEST(TemplateGoldens, RendersPublishersTemplatesAsTransformersDoes) {
  const Tally tally = check_folder(fs::path(ATELIER_TEST_DATA) / "chat" / "template");
  EXPECT_GE(tally.n_templates, 8U);
  EXPECT_GE(tally.n_rendered, 200 * tally.n_templates);
  // Goldens of templates that may not lie here.
  if (const char* more = std::getenv("ATELIER_TEMPLATE_GOLDENS")) check_folder(more);
}

TEST(TemplateGoldens, FollowsTheRulesOfTheLanguage) {
  const std::vector<Json> rows =
      read_lines(fs::path(ATELIER_TEST_DATA) / "chat" / "template" / "snippets.jsonl");
  ASSERT_GT(rows.size(), 900U);
  const Json& variables = rows[0]["variables"];
  for (size_t i = 1; i < rows.size(); ++i) {
    const Json& row = rows[i];
    const auto source = row["template"].get<std::string>();
    const auto parsed = ChatTemplate::parse(source);
    const auto rendered = parsed ? render(*parsed, row.contains("variables") ? row["variables"] : variables)
                                 : Result<std::string>(tl::unexpected<Error>(parsed.error()));
    EXPECT_EQ(difference(row, rendered), "") << source;
  }
}

TEST(TemplateGoldens, TheComparisonSeesWhatIsWrong) {
  EXPECT_NE(difference({{"sha", digest("a")}}, std::string("b")), "");
  EXPECT_NE(difference({{"sha", digest("a")}, {"text", "a"}}, std::string("b")), "");
  EXPECT_NE(difference({{"raised", "stop"}}, std::string("b")), "");
  EXPECT_NE(difference({{"raised", "stop"}}, fail(ErrorCode::kInvalidArgument, "other")), "");
  EXPECT_NE(difference({{"error", "TypeError"}}, std::string("b")), "");
  EXPECT_NE(difference({{"sha", digest("a")}}, fail(ErrorCode::kInvalidArgument, "a")), "");
  EXPECT_EQ(difference({{"sha", digest("a")}, {"text", "a"}}, std::string("a")), "");
}

}  // namespace
}  // namespace atelier::chat
