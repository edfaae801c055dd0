// Where hunks land and what they leave untouched.
#include <gtest/gtest.h>

#include "agent/patch/edit_file.h"
#include "agent/patch/seek.h"

namespace atelier::agent {
namespace {

std::vector<Hunk> hunks_of(const std::string& body) {
  auto patch = parse_patch("*** Begin Patch\n*** Update File: f\n" + body + "*** End Patch\n");
  EXPECT_TRUE(patch.has_value()) << patch.error().message;
  return patch ? std::move(patch->sections[0].hunks) : std::vector<Hunk>();
}

std::string edited(const std::string& content, const std::string& body) {
  const auto result = apply_hunks("f", content, hunks_of(body));
  EXPECT_TRUE(result.has_value()) << result.error().message;
  return result.value_or("FAILED");
}

std::string refusal(const std::string& content, const std::string& body) {
  const auto result = apply_hunks("f", content, hunks_of(body));
  EXPECT_FALSE(result.has_value()) << *result;
  return result ? std::string() : result.error().message;
}

void expect_in(const std::string& message, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(PatchEdit, ReplacesInsertsAndRemoves) {
  EXPECT_EQ(edited("a\nb\nc\n", "@@\n a\n-b\n+B\n c\n"), "a\nB\nc\n");
  EXPECT_EQ(edited("a\nb\nc\n", "@@\n a\n+x\n+y\n b\n"), "a\nx\ny\nb\nc\n");
  EXPECT_EQ(edited("a\nb\nc\n", "@@\n-b\n"), "a\nc\n");
  EXPECT_EQ(edited("a\n", "@@\n-a\n"), "");
  EXPECT_EQ(edited("a\nb\nc\nd\ne\n", "@@\n-b\n+B\n@@\n-d\n+D\n"), "a\nB\nc\nD\ne\n");
  // Several changes in one hunk.
  EXPECT_EQ(edited("a\nb\nc\nd\n", "@@\n-a\n+A\n b\n-c\n d\n+E\n"), "A\nb\nd\nE\n");
}

TEST(PatchEdit, TheFirstPlaceAfterTheCursorCounts) {
  EXPECT_EQ(edited("x\nx\nx\n", "@@\n-x\n+y\n"), "y\nx\nx\n");
  EXPECT_EQ(edited("x\nx\nx\n", "@@\n-x\n+y\n@@\n-x\n+z\n"), "y\nz\nx\n");
  // The lines of a hunk are behind the cursor once it is applied, context too.
  EXPECT_EQ(edited("a\nb\na\nb\n", "@@\n a\n-b\n+1\n@@\n a\n-b\n+2\n"), "a\n1\na\n2\n");
  // A repeating block inside a longer repetition (the classical trap of naive skipping).
  EXPECT_EQ(edited("a\na\na\nb\n", "@@\n a\n a\n-b\n+c\n"), "a\na\na\nc\n");
}

TEST(PatchEdit, AnchorsMoveTheCursor) {
  const std::string file = "class A:\n  def f():\n    pass\nclass B:\n  def f():\n    pass\n";
  EXPECT_EQ(edited(file, "@@ class B:\n-    pass\n+    return\n"),
            "class A:\n  def f():\n    pass\nclass B:\n  def f():\n    return\n");
  EXPECT_EQ(edited(file, "@@ class B:\n@@ def f():\n+    log()\n     pass\n"),
            "class A:\n  def f():\n    pass\nclass B:\n  def f():\n    log()\n    pass\n");
  // Part of a line is enough; whole lines win over parts, beginnings over the rest.
  EXPECT_EQ(edited("fooBar\nx\nfoo(1)\nx\n", "@@ foo(\n-x\n+y\n"), "fooBar\nx\nfoo(1)\ny\n");
  EXPECT_EQ(edited("int foo\nx\nfoo\nx\n", "@@ foo\n-x\n+y\n"), "int foo\nx\nfoo\ny\n");
  EXPECT_EQ(edited("int foo\nx\nfoo bar\nx\n", "@@ foo\n-x\n+y\n"), "int foo\nx\nfoo bar\ny\n");
}

TEST(PatchEdit, AnAnchorMayBeThePassedFunctionOrTheFirstLine) {
  const std::string file = "def f():\n  a\n  b\n  c\n";
  EXPECT_EQ(edited(file, "@@ def f():\n-  a\n+  A\n@@ def f():\n-  c\n+  C\n"), "def f():\n  A\n  b\n  C\n");
  EXPECT_EQ(edited(file, "@@ def f():\n def f():\n-  a\n+  A\n"), "def f():\n  A\n  b\n  c\n");
}

TEST(PatchEdit, AMadeUpAnchorIsForgivenWhereTheLinesStandOnce) {
  EXPECT_EQ(edited("a\nb\n", "@@ nonsense\n-b\n+c\n"), "a\nc\n");
  expect_in(refusal("b\nb\n", "@@ nonsense\n-b\n+c\n"), {"anchor \"nonsense\" not found", "patch line 3"});
  expect_in(refusal("a\n", "@@ nonsense\n+c\n"), {"anchor \"nonsense\" not found"});
  expect_in(refusal("void compute_total(int x)\n", "@@ void compute_totals(int y)\n-b\n"),
            {"nearest is line 1: \"void compute_total(int x)\""});
}

TEST(PatchEdit, PureInsertions) {
  EXPECT_EQ(edited("a\nb\n", "@@\n+c\n"), "a\nb\nc\n");
  EXPECT_EQ(edited("a\nb\n", "@@ a\n+c\n"), "a\nc\nb\n");
  EXPECT_EQ(edited("a\nb\n", "@@ a\n+c\n*** End of File\n"), "a\nb\nc\n");
  EXPECT_EQ(edited("", "@@\n+c\n"), "c\n");
}

TEST(PatchEdit, EndOfFile) {
  EXPECT_EQ(edited("x\na\nx\n", "@@\n-x\n+y\n*** End of File\n"), "x\na\ny\n");
  EXPECT_EQ(edited("x\na\nx\n\n\n", "@@\n-x\n+y\n*** End of File\n"), "x\na\ny\n\n\n");  // blank lines follow
  EXPECT_EQ(edited("a\nb\nc\n", "@@\n-b\n+B\n*** End of File\n"), "a\nB\nc\n");          // a slip, but clear
  expect_in(refusal("b\nb\nc\n", "@@\n-b\n+B\n*** End of File\n"),
            {"at the end of the file", "first at line 1"});
}

TEST(PatchEdit, PassesFromStrictToTolerant) {
  EXPECT_EQ(edited("a  \nb\n", "@@\n a\n-b\n+c\n"), "a  \nc\n");  // right-trimmed; the file's own line stays
  EXPECT_EQ(edited("  a\n  b\n", "@@\n-b\n+c\n"), "  a\n  c\n");  // trimmed; indentation follows
  EXPECT_EQ(edited("x \xe2\x80\x94 \xe2\x80\x9cy\xe2\x80\x9d\n", "@@\n-x - \"y\"\n+z\n"), "z\n");  // folded
  EXPECT_EQ(edited("a\xc2\xa0z\nb\n", "@@\n a z\n-b\n+c\n"), "a\xc2\xa0z\nc\n");
  // A strict place further on wins over a tolerant one that comes first.
  EXPECT_EQ(edited(" x\nx\n", "@@\n-x\n+y\n"), " x\ny\n");
  EXPECT_EQ(edited(" x\nx \n", "@@\n-x\n+y\n"), " x\ny\n");
}

TEST(PatchEdit, IndentationFollowsWhereItDiffersEvenly) {
  EXPECT_EQ(edited("    if a:\n        b\n", "@@\n if a:\n-    b\n+    c\n+\n+    d\n"),
            "    if a:\n        c\n\n        d\n");
  EXPECT_EQ(edited("a\n  b\n", "@@\n  a\n-   b\n+   c\n"), "a\n  c\n");  // one blank too many everywhere
  // Uneven: the added lines are taken as they are.
  EXPECT_EQ(edited("    a\n  b\n", "@@\n a\n-b\n+c\n"), "    a\nc\n");
  EXPECT_EQ(edited("\ta\n", "@@\n-  a\n+  c\n"), "  c\n");
}

TEST(PatchEdit, LineEndingsStay) {
  EXPECT_EQ(edited("a\r\nb\r\nc\r\n", "@@\n a\n-b\n+x\n+y\n c\n"), "a\r\nx\r\ny\r\nc\r\n");
  EXPECT_EQ(edited("a\r\nb\nc\r\n", "@@\n-b\n+x\n"), "a\r\nx\nc\r\n");  // a mixed file stays as mixed
  EXPECT_EQ(edited("a\nb\r\nc\n", "@@\n-b\n+x\n"), "a\nx\r\nc\n");
  EXPECT_EQ(edited("a\r\nb\n", "@@\n a\n+x\n"), "a\r\nx\r\nb\n");  // like the line before it
  EXPECT_EQ(edited("a\r\n", "@@\n+x\r\n a\n"), "x\r\na\r\n");      // no second carriage return
  EXPECT_EQ(edited("a\rb\n", "@@\n-a\rb\n+c\n"), "c\n");           // a lone one is text
}

TEST(PatchEdit, TheLastLineKeepsItsHabit) {
  EXPECT_EQ(edited("a\nb", "@@\n-b\n+c\n"), "a\nc");
  EXPECT_EQ(edited("a\nb", "@@\n-a\n+c\n"), "c\nb");
  EXPECT_EQ(edited("a\nb", "@@\n b\n+c\n+d\n"), "a\nb\nc\nd");
  EXPECT_EQ(edited("a\nb", "@@\n-b\n"), "a\n");
  EXPECT_EQ(edited("a\r\nb", "@@\n b\n+c\n"), "a\r\nb\r\nc");
  EXPECT_EQ(edited("a\nb", "@@\n+c\n"), "a\nb\nc");
  EXPECT_EQ(edited("b", "@@\n-b\n+c\n+d\n"), "c\nd");
  EXPECT_EQ(edited("a\nb\n", "@@\n-b\n+c\n"), "a\nc\n");
}

TEST(PatchEdit, TheByteOrderMarkStays) {
  EXPECT_EQ(edited("\xef\xbb\xbf"
                   "a\nb\n",
                   "@@\n-a\n+x\n"),
            "\xef\xbb\xbfx\nb\n");
  EXPECT_EQ(edited("\xef\xbb\xbf"
                   "a\n",
                   "@@\n-a\n"),
            "\xef\xbb\xbf");
}

TEST(PatchEdit, EmptyLinesAtTheEndOfAHunkMayBeGaps) {
  EXPECT_EQ(edited("a\nb\n", "@@\n-a\n+x\n\n@@\n-b\n+y\n\n"), "x\ny\n");
  EXPECT_EQ(edited("a\n\nb\n", "@@\n-a\n+x\n\n b\n"), "x\n\nb\n");
  EXPECT_EQ(edited("a\n\n", "@@\n-a\n\n"), "\n");  // where they are there, they are context
}

TEST(PatchEdit, BinaryFilesAreRefused) {
  expect_in(refusal(std::string("a\0b\n", 4), "@@\n-a\n"),
            {"f: expected text, found a binary file", "offset 1"});
}

TEST(PatchEdit, SaysWhatIsMissingAndWhatComesNearest) {
  expect_in(refusal("one\ntwo\nthree\n", "@@\n one\n-zwei\n three\n"),
            {"f: hunk 1 (patch line 3)", "context not found after line 0", "3 lines beginning with \"one\"",
             "tried exact, right-trimmed, trimmed and folded",
             "nearest is line 1, where line 2 differs: expected \"zwei\", found \"two\""});
  expect_in(refusal("int total_count = compute(a, b);\n", "@@\n-int total_count = compute(a, c);\n+x\n"),
            {"nearest is line 1", "found \"int total_count = compute(a, b);\""});
  expect_in(refusal("a\nb\n", "@@\n b\n-c\n"), {"found the end of the file"});
  expect_in(refusal("a\nb\nc\n", "@@\n-c\n@@\n-a\n"),
            {"hunk 2 (patch line 5)", "stand at line 1, before line 4", "in the order of the file"});
  const std::string none = refusal("qqqq\n", "@@\n-zzzz\n");
  EXPECT_EQ(none.find("nearest"), std::string::npos) << none;
}

TEST(PatchEdit, RepetitionsTakeNoQuadraticTime) {
  const std::string file(400'000, '\n');
  std::string body = "@@\n";
  for (int i = 0; i < 50'000; ++i) body += " \n";
  expect_in(refusal(file, body + "-x\n"), {"context not found"});  // would be 2·10^10 comparisons
}

TEST(PatchEdit, TooManyLinesAreRefused) {
  EXPECT_EQ(apply_hunks("f", std::string(kMaxLines + 1, '\n'), hunks_of("@@\n-x\n")).error().code,
            ErrorCode::kLimit);
}

TEST(PatchSeek, NearestNamesTheFirstLineThatDiffers) {
  const std::string_view lines[] = {"a", "b", "c", "d", "e"};
  std::vector<TextLine> file;
  for (const auto line : lines) file.push_back({line, LineEnd::kLf});
  const std::string_view block[] = {"c", "x", "e"};
  const auto near = nearest(file, block);
  ASSERT_TRUE(near.has_value());
  EXPECT_EQ(near->line, 2u);
  EXPECT_EQ(near->differing, 1u);
  const std::string_view other[] = {"zzzz"};
  EXPECT_FALSE(nearest(file, other).has_value());
}

}  // namespace
}  // namespace atelier::agent
