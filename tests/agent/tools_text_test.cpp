#include <gtest/gtest.h>

#include "agent/harness/loop_detector.h"
#include "agent/tools/ignore_rules.h"
#include "agent/tools/output_text.h"
#include "agent/tools/tool_host.h"

namespace atelier::agent {
namespace {

TEST(PlainText, SpeaksToNoTerminal) {
  EXPECT_EQ(plain_text("a\x1b[31mred\x1b[0m b"), "ared b");
  EXPECT_EQ(plain_text("\x1b]0;title\x07x\x1b]52;c;aGk=\x1b\\y"), "xy");
  EXPECT_EQ(plain_text("10%\r50%\r100%\ndone\r\n"), "100%\ndone\n");
  EXPECT_EQ(plain_text("a\bb\x07\x7f"), "b");
  EXPECT_EQ(plain_text("\xff\xfe"), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(plain_text("a\xe2\x80\xae"
                       "b"),
            "ab");  // right-to-left override
  EXPECT_EQ(plain_text("\x1b[31"), "");
}

TEST(PlainText, AStreamSplitsNothing) {
  const std::string text = "a\x1b[31mré\x1b]0;t\x07\r\nd\xc3\xa9";
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    PlainStream stream;
    std::string out = stream.push(text.substr(0, cut));
    out += stream.push(text.substr(cut));
    out += stream.finish();
    EXPECT_EQ(out, plain_text(text)) << cut;
  }
}

TEST(ShortenMiddle, KeepsBothEnds) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "line " + std::to_string(i) + "\n";
  const Shortened cut = shorten_middle(text, 400, "[{} left out]");
  EXPECT_TRUE(cut.text.starts_with("line 0\n"));
  EXPECT_TRUE(cut.text.ends_with("line 999\n"));
  EXPECT_NE(cut.text.find(std::to_string(cut.left_out_bytes) + " left out]"), std::string::npos);
  EXPECT_LT(cut.text.size(), 450u);
  EXPECT_EQ(shorten_middle("short", 400, "[{}]").text, "short");
}

TEST(IgnoreRules, FollowGitignore) {
  using Verdict = IgnoreRules::Verdict;
  const IgnoreRules rules("", "*.o\n/build/\n!keep.o\ndoc/**/*.tmp\nnode_modules/\n# no\n");
  EXPECT_EQ(rules.judge("a/b.o", false), Verdict::kIgnored);
  EXPECT_EQ(rules.judge("a/keep.o", false), Verdict::kKept);
  EXPECT_EQ(rules.judge("build", true), Verdict::kIgnored);
  EXPECT_EQ(rules.judge("build", false), Verdict::kNone);
  EXPECT_EQ(rules.judge("a/build", true), Verdict::kNone);
  EXPECT_EQ(rules.judge("doc/x/y/z.tmp", false), Verdict::kIgnored);
  EXPECT_EQ(rules.judge("doc/z.tmp", false), Verdict::kIgnored);
  EXPECT_EQ(rules.judge("a/node_modules", true), Verdict::kIgnored);
}

TEST(Globs, EndQuickly) {
  EXPECT_TRUE(glob_matches("[a-c]?*", "b12"));
  EXPECT_FALSE(glob_matches("*", "a/b"));
  EXPECT_FALSE(glob_matches("*a*a*a*a*a*a*a*a*a*a*b", std::string(5000, 'a')));
}

TEST(ProtectedPaths, AnywhereAndInAnyCase) {
  EXPECT_TRUE(is_protected_path(".git/config"));
  EXPECT_TRUE(is_protected_path("a/.GIT/hooks/x"));
  EXPECT_TRUE(is_protected_path("b/.vscode/tasks.json"));
  EXPECT_FALSE(is_protected_path("src/.github/x"));
  EXPECT_FALSE(is_protected_path("git/config"));
}

TEST(LoopDetector, CountsWithinItsWindow) {
  LoopDetector loops;
  EXPECT_EQ(loops.count("a", "b", "c"), 1u);
  EXPECT_EQ(loops.count("ab", "", "c"), 1u);
  EXPECT_EQ(loops.count("a", "b", "c"), 2u);
  for (size_t i = 0; i < LoopDetector::kWindow; ++i) loops.count("x", std::to_string(i), "");
  EXPECT_EQ(loops.count("a", "b", "c"), 1u);
}

}  // namespace
}  // namespace atelier::agent
