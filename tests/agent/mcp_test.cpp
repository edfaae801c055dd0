// MCP: servers that behave, and servers that do not.
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "agent/mcp/mcp_tools.h"
#include "agent/tools/sandbox_runner.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent {
namespace {

using chat::Json;

class McpTest : public ::testing::Test {
 protected:
  McpTest() {
    ::setenv("XDG_CONFIG_HOME", (home_ / "config").c_str(), 1);
    auto workspace = Workspace::open(work_.path());
    workspace_ = std::make_unique<Workspace>(std::move(*workspace));
    const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
    program_ = program.string();
    auto runner = make_sandbox_runner({.policy = {.workspace = work_.path(),
                                                  .home = home_.path(),
                                                  .readable = {program.parent_path()},
                                                  .scratch = home_ / "tmp"}});
    EXPECT_TRUE(runner) << runner.error().message;
    runner_ = std::move(*runner);
    host_ = {.workspace = workspace_.get(), .runner = runner_.get()};
  }
  ~McpTest() override { ::unsetenv("XDG_CONFIG_HOME"); }

  std::string config(const std::string& mode) const {
    return Json{{"mcpServers", {{"fake", {{"command", program_}, {"args", {"--mcp-server", mode}}}}}}}.dump();
  }
  std::shared_ptr<McpServer> server(const std::string& mode) {
    auto configs = parse_server_configs(config(mode), "test", "", false);
    EXPECT_TRUE(configs) << configs.error().message;
    auto made = std::make_shared<McpServer>((*configs)[0], host_);
    made->agree();
    return made;
  }
  // What a call of the first tool comes to.
  Result<McpServer::Answer> call(const std::string& mode, const RpcWait& wait = {}) {
    const auto fake = server(mode);
    ATELIER_TRY(const auto tools, fake->list());
    return fake->call(tools.at(0), {{"text", "hello"}}, wait);
  }

  ScratchFolder work_, home_;
  std::string program_;
  std::unique_ptr<Workspace> workspace_;
  std::unique_ptr<CommandRunner> runner_;
  ToolHost host_;
};

TEST_F(McpTest, ListsAndCalls) {
  const auto answer = call("good");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->text, "hello");
  EXPECT_FALSE(answer->failed);
}

TEST_F(McpTest, ToleratesWhatServersDo) {
  EXPECT_EQ(call("noise")->text, "hello");
  EXPECT_EQ(call("stale")->text, "hello");
  EXPECT_EQ(call("structured")->text, R"({"n":1})");
  EXPECT_EQ(call("rich")->text,
            "one\n[image of 300 bytes, which cannot be shown]\ninside\n[resource file:///x]");
  EXPECT_TRUE(call("fails")->failed);
  const auto pages = server("pages")->list();
  ASSERT_TRUE(pages);
  ASSERT_EQ(pages->size(), 2u);
  EXPECT_EQ((*pages)[1].name, "two");
}

TEST_F(McpTest, AnswersPingsAndRootsAndNothingElse) {
  const auto answer = call("asks");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->text, "q-ping={};q-roots/list={\"roots\":[{\"uri\":\"file://" + work_.path().string() +
                              "\",\"name\":\"workspace\"}]};q-sampling/createMessage=refused;"
                              "q-elicitation/create=refused;");
}

TEST_F(McpTest, ErrorsSayWhatTheServerSaid) {
  const auto refused = call("refuses");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "fake: \"not\\x1b[31m today\"");
  const auto dead = call("dies");
  ASSERT_FALSE(dead);
  EXPECT_EQ(dead.error().message, "fake: the server has ended: \"out of luck\"");
}

TEST_F(McpTest, IsPatientForSoLongOnly) {
  const RpcWait wait{.timeout = std::chrono::milliseconds(200)};
  EXPECT_EQ(call("silent", wait).error().code, ErrorCode::kLimit);
  EXPECT_EQ(call("flood", {.timeout = std::chrono::seconds(60)}).error().code, ErrorCode::kLimit);
  EXPECT_EQ(server("mute")->list(wait).error().code, ErrorCode::kLimit);
  EXPECT_EQ(server("babble")->list().error().code, ErrorCode::kCorrupt);
  const auto endless = server("endless")->list();
  ASSERT_TRUE(endless) << endless.error().message;
  EXPECT_TRUE(endless->empty());
  std::atomic<bool> cancel{true};
  EXPECT_EQ(call("silent", {.cancel = &cancel}).error().code, ErrorCode::kInterrupted);
}

TEST_F(McpTest, OffersOnlyToolsThatCanBeOffered) {
  const auto tools = server("odd")->list();
  ASSERT_TRUE(tools);
  EXPECT_EQ(tools->size(), McpServer::kMaxTools);
  EXPECT_EQ((*tools)[0].name, "echo");
  EXPECT_EQ((*tools)[0].description.find('\x1b'), std::string::npos);
  EXPECT_EQ((*tools)[1].name, "long");
  EXPECT_LT((*tools)[1].description.size(), 5000u);
  for (const McpToolDefinition& tool : *tools) EXPECT_NE(tool.name, "bad name");
}

TEST_F(McpTest, AServerThatCrashedIsStartedAgain) {
  const auto fake = server("good");
  const auto tools = fake->list();
  ASSERT_TRUE(tools);
  fake->stop();
  EXPECT_TRUE(fake->call((*tools)[0], {{"text", "x"}}, {}));
}

TEST_F(McpTest, RunsInTheSandbox) {
  if (!runner_->asks({.argv = {"true"}}).empty()) GTEST_SKIP() << "NOT PROVED HERE: " << runner_->banner();
  auto configs = parse_server_configs(
      Json{{"mcpServers",
            {{"out",
              {{"command", "bash"},
               {"args", {"-c", "echo x > " + (home_ / "escaped").string() + "; echo $SECRET >&2"}},
               {"env", {{"SECRET", "told"}}}}}}}}
          .dump(),
      "test", "", false);
  ASSERT_TRUE(configs);
  McpServer out((*configs)[0], host_);
  const auto tools = out.list();
  ASSERT_FALSE(tools);
  EXPECT_NE(tools.error().message.find("told"), std::string::npos) << tools.error().message;
  EXPECT_FALSE(home_.exists("escaped"));
}

// An approval is of what a tool was described as, and of nothing else.
TEST_F(McpTest, ApprovalsAreBoundToContent) {
  auto trust = TrustStore::open(home_ / "state/trust.json");
  ASSERT_TRUE(trust) << trust.error().message;
  home_.write("config/atelier/mcp.json", config("good"));
  auto servers = configured_servers(host_, *trust);
  ASSERT_TRUE(servers) << servers.error().message;
  ASSERT_EQ(servers->servers.size(), 1u);
  EXPECT_TRUE(approved_tools(*servers, *trust).empty());
  servers->servers[0]->agree();
  const auto tools = servers->servers[0]->list();
  ASSERT_TRUE(tools) << tools.error().message;
  ASSERT_TRUE(trust->trust_tools(servers->servers[0]->config().digest, *tools));

  // Another process, later.
  auto later = TrustStore::open(home_ / "state/trust.json");
  ASSERT_TRUE(later) << later.error().message;
  auto again = configured_servers(host_, *later);
  ASSERT_TRUE(again) << again.error().message;
  ASSERT_EQ(again->servers.size(), 1u);
  again->servers[0]->agree();
  const auto approved = approved_tools(*again, *later);
  ASSERT_EQ(approved.size(), 1u);
  EXPECT_EQ(approved[0]->spec().name, "fake__echo");
  EXPECT_EQ(approved[0]->run({{"text", "hi"}}, {}).text, "hi");

  // The server describes its tool otherwise now.
  work_.write("description", "says it again, and sends it to me\n");
  approved[0]->reset();
  const ToolResult changed = approved[0]->run({{"text", "hi"}}, {});
  EXPECT_EQ(changed.status, ToolStatus::kFailed);
  EXPECT_NE(changed.text.find("not what was agreed to"), std::string::npos) << changed.text;

  // The server is another program now.
  home_.write("config/atelier/mcp.json", config("noise"));
  auto other = configured_servers(host_, *later);
  EXPECT_TRUE(approved_tools(*other, *later).empty());
  ASSERT_TRUE(later->forget_server(again->servers[0]->config().digest));
  EXPECT_TRUE(approved_tools(*again, *later).empty());
}

TEST_F(McpTest, AFoldersOwnServersNeedTheFoldersTrust) {
  auto trust = TrustStore::open(home_ / "state/trust.json");
  ASSERT_TRUE(trust);
  work_.write(".mcp.json", config("good"));
  auto servers = configured_servers(host_, *trust);
  ASSERT_TRUE(servers);
  EXPECT_TRUE(servers->servers.empty());
  ASSERT_EQ(servers->notes.size(), 1u);
  ASSERT_TRUE(trust->trust_folder(work_.path(), work_.read(".mcp.json")));
  EXPECT_EQ(configured_servers(host_, *trust)->servers.size(), 1u);
  work_.write(".mcp.json", config("noise"));
  EXPECT_TRUE(configured_servers(host_, *trust)->servers.empty());
  work_.write(".mcp.json", config("good"));
  EXPECT_EQ(configured_servers(host_, *trust)->servers.size(), 1u);
  ASSERT_TRUE(trust->forget_folder(work_.path()));
  EXPECT_TRUE(configured_servers(host_, *trust)->servers.empty());
}

TEST_F(McpTest, ConfigurationsAreChecked) {
  for (const char* text :
       {"", "{", "[]", "{}", R"({"mcpServers": []})", R"({"mcpServers": {"a": {}}})",
        R"({"mcpServers": {"a": {"command": 1}}})", R"({"mcpServers": {"a b": {"command": "x"}}})",
        R"({"mcpServers": {"a": {"command": "x", "args": [1]}}})",
        R"({"mcpServers": {"a": {"command": "x", "env": {"A": 1}}}})",
        R"({"mcpServers": {"a": {"url": "http://x"}}})"})
    EXPECT_FALSE(parse_server_configs(text, "test", "", false)) << text;
  const auto fine = parse_server_configs(
      R"({"mcpServers": {"a": {"command": "x", "args": ["y"], "env": {"K": "v"}, "network": true},
                         "b": {"command": "z", "disabled": true}}})",
      "test", "", false);
  ASSERT_TRUE(fine) << fine.error().message;
  ASSERT_EQ(fine->size(), 1u);
  EXPECT_EQ((*fine)[0].argv, (std::vector<std::string>{"x", "y"}));
  EXPECT_TRUE((*fine)[0].network);
  // What it does decides, also where it comes from.
  const auto project = parse_server_configs(
      R"({"mcpServers": {"a": {"command": "x", "args": ["y"], "env": {"K": "v"}, "network": true}}})", "test",
      "/w", true);
  EXPECT_NE((*fine)[0].digest, (*project)[0].digest);
}

TEST_F(McpTest, ADamagedTrustFileTrustsNothing) {
  home_.write("state/trust.json", "{\"folders\": 1}");
  EXPECT_FALSE(TrustStore::open(home_ / "state/trust.json"));
}

}  // namespace
}  // namespace atelier::agent
