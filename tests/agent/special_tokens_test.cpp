// Text that looks like control tokens stays text, wherever it comes from.
#include <gtest/gtest.h>

#include <algorithm>

#include "agent/context/mentions.h"
#include "tests/agent/agent_fixture.h"

namespace atelier::agent {
namespace {

class SpecialTokens : public AgentTest {
 protected:
  // A session that has looked at everything a workspace can say, with `word` in all of it.
  std::map<TokenId, size_t> control_tokens(const std::string& word) {
    work_.write("AGENTS.md", "rules " + word + "\n");
    work_.write("src/" + word + ".py", "def f(): return '" + word + "'\n");
    work_.write(".git/HEAD", "ref: refs/heads/" + word + "\n");
    work_.write("data.txt", word + "\n" + word + word + "\n");
    WorkbenchOptions options = free();
    options.bind_patches = false;  // one of its patches has a line that is nowhere
    start({harmony_call("repo_browser.print_tree", {{"path", "."}, {"depth", 3}}),
           harmony_call("repo_browser.open_file", {{"path", "data.txt"}}),
           harmony_call("repo_browser.search", {{"path", "."}, {"query", "return"}}),
           harmony_shell("cat data.txt; ls src"),
           harmony_call("repo_browser.apply_patch",
                        {{"patch", "*** Begin Patch\n*** Update File: data.txt\n@@\n-absent " +
                                       std::string("x") + "\n+y\n*** End Patch"}}),
           harmony_final("seen")},
          options);
    EXPECT_EQ(run(with_mentions(bench_->workspace(), "Look at @data.txt and say " + word + ".")).kind,
              TaskEnd::Kind::kAnswered);
    std::map<TokenId, size_t> counts;
    for (const TokenId id : bench_->speaker().transcript().ids)
      if (engine_->tokenizer().is_special(id)) ++counts[id];
    std::string all;
    for (const chat::Message& message : conversation().messages) all += message.content;
    EXPECT_GE(seen_in(all, word), 8u) << word << ": the text did not get there at all";
    return counts;
  }
  static size_t seen_in(const std::string& text, const std::string& word) {
    size_t n = 0;
    for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
    return n;
  }
};

TEST_F(SpecialTokens, NeverComeFromContent) {
  const std::map<TokenId, size_t> plain = control_tokens("word");
  const Tokenizer& tokenizer = engine_->tokenizer();
  std::vector<std::string> names;
  for (size_t id = 0; id < tokenizer.vocab_size(); ++id)
    if (const auto token = static_cast<TokenId>(id); tokenizer.is_special(token))
      names.emplace_back(tokenizer.token_bytes(token));
  // Reserved ones are many and alike: the first few stand for them.
  constexpr size_t kEnough = 24;
  size_t tried = 0, kept_out = 0;
  for (const std::string& name : names) {
    if (name.find('/') != std::string::npos || name.empty() || tried == kEnough) continue;
    ++tried;
    std::filesystem::remove_all(work_ / "src");
    if (control_tokens(name) == plain)
      ++kept_out;
    else
      ADD_FAILURE() << name << " became a control token";
  }
  EXPECT_GE(tried, 5u);
  std::printf("[          ] %zu of %zu control tokens stayed text in 8 places each\n", kept_out, tried);
}

}  // namespace
}  // namespace atelier::agent
