// The patch format: what parses to what, and which line is to blame.
#include <gtest/gtest.h>

#include "agent/patch/patch.h"
#include "agent/patch/text.h"

namespace atelier::agent {
namespace {

using Kind = HunkLine::Kind;

std::string enveloped(std::string_view body) {
  return "*** Begin Patch\n" + std::string(body) + "*** End Patch\n";
}

Patch parsed(std::string_view text) {
  auto patch = parse_patch(text);
  EXPECT_TRUE(patch.has_value()) << patch.error().message;
  return patch ? std::move(*patch) : Patch{};
}

std::string refusal(std::string_view text) {
  const auto patch = parse_patch(text);
  EXPECT_FALSE(patch.has_value()) << text;
  return patch ? std::string() : patch.error().message;
}

TEST(PatchParse, ReadsEverySection) {
  const Patch patch =
      parsed(enveloped("*** Add File: a/new.txt\n+one\n+\n+ two\n"
                       "*** Delete File: old.txt\n"
                       "*** Update File: src/x.cpp\n*** Move to: src/y.cpp\n"
                       "@@ class A\n@@  void f()\n context\n-removed\n+added\n*** End of File\n"));
  ASSERT_EQ(patch.sections.size(), 3u);
  EXPECT_EQ(patch.sections[0].kind, Section::Kind::kAdd);
  EXPECT_EQ(patch.sections[0].path, "a/new.txt");
  EXPECT_EQ(patch.sections[0].lines, (std::vector<std::string>{"one", "", " two"}));
  EXPECT_EQ(patch.sections[1].kind, Section::Kind::kDelete);
  EXPECT_EQ(patch.sections[1].path, "old.txt");
  const Section& update = patch.sections[2];
  EXPECT_EQ(update.kind, Section::Kind::kUpdate);
  EXPECT_EQ(update.move_to, "src/y.cpp");
  EXPECT_EQ(update.line, 7u);
  ASSERT_EQ(update.hunks.size(), 1u);
  const Hunk& hunk = update.hunks[0];
  ASSERT_EQ(hunk.anchors.size(), 2u);
  EXPECT_EQ(hunk.anchors[0].text, "class A");
  EXPECT_EQ(hunk.anchors[1].text, "void f()");
  EXPECT_EQ(hunk.anchors[1].line, 10u);
  EXPECT_TRUE(hunk.end_of_file);
  ASSERT_EQ(hunk.lines.size(), 3u);
  EXPECT_EQ(hunk.lines[0].kind, Kind::kContext);
  EXPECT_EQ(hunk.lines[1].text, "removed");
  EXPECT_EQ(hunk.lines[2].kind, Kind::kAdded);
}

TEST(PatchParse, TheFirstHunkNeedsNoHeader) {
  const Patch patch = parsed(enveloped("*** Update File: x\n a\n-b\n@@\n+c\n d\n"));
  ASSERT_EQ(patch.sections[0].hunks.size(), 2u);
  EXPECT_EQ(patch.sections[0].hunks[0].lines.size(), 2u);
  EXPECT_TRUE(patch.sections[0].hunks[1].anchors.empty());
}

TEST(PatchParse, MarkersMayBePadded) {
  const Patch patch =
      parsed("\n  *** Begin Patch  \n\n   *** Update File:   x y.txt  \n@@\n-a\n+b\n *** End Patch \n\n");
  ASSERT_EQ(patch.sections.size(), 1u);
  EXPECT_EQ(patch.sections[0].path, "x y.txt");
  EXPECT_EQ(parsed(enveloped("*** Delete File: a\n\n\n  *** Delete File: b\n")).sections.size(), 2u);
  EXPECT_EQ(parsed(enveloped("*** Add File: a\n+x\n\n  *** Add File: b\n+y\n")).sections.size(), 2u);
}

// A file about patches holds such lines: behind a space they are its text.
TEST(PatchParse, MarkersInContextAreText) {
  const Patch patch =
      parsed(enveloped("*** Update File: x\n@@\n *** Update File: y\n-*** End of File\n+*** End Patch\n"));
  ASSERT_EQ(patch.sections.size(), 1u);
  ASSERT_EQ(patch.sections[0].hunks[0].lines.size(), 3u);
  EXPECT_EQ(patch.sections[0].hunks[0].lines[0].text, "*** Update File: y");
  EXPECT_EQ(patch.sections[0].hunks[0].lines[1].text, "*** End of File");
  EXPECT_FALSE(patch.sections[0].hunks[0].end_of_file);
}

TEST(PatchParse, UnifiedDiffHeadersKeepOnlyTheirAnchor) {
  const Patch patch = parsed(
      enveloped("*** Update File: x\n@@ -1,3 +1,4 @@ def f():\n-a\n@@ -9 +10 @@\n-b\n@@ int g() @@\n-c\n"));
  const auto& hunks = patch.sections[0].hunks;
  ASSERT_EQ(hunks.size(), 3u);
  EXPECT_EQ(hunks[0].anchors[0].text, "def f():");
  EXPECT_TRUE(hunks[1].anchors.empty());
  EXPECT_EQ(hunks[2].anchors[0].text, "int g()");
  // Not ranges: an anchor that begins with a sign.
  EXPECT_EQ(parsed(enveloped("*** Update File: x\n@@ -x +y\n-a\n")).sections[0].hunks[0].anchors[0].text,
            "-x +y");
}

TEST(PatchParse, EmptyLinesAreEmptyContext) {
  const Patch patch = parsed(enveloped("*** Update File: x\n@@\n a\n\n-b\n\n*** Delete File: y\n"));
  const auto& lines = patch.sections[0].hunks[0].lines;
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_TRUE(lines[1].wholly_empty);
  EXPECT_EQ(lines[1].kind, Kind::kContext);
  EXPECT_TRUE(lines[3].wholly_empty);
}

TEST(PatchParse, EmptyLinesInsideANewFileAreItsOwnAtItsEndTheyAreNot) {
  const Patch patch = parsed(enveloped("*** Add File: x\n+a\n\n\n+b\n\n"));
  EXPECT_EQ(patch.sections[0].lines, (std::vector<std::string>{"a", "", "", "b"}));
  EXPECT_TRUE(parsed(enveloped("*** Add File: empty\n")).sections[0].lines.empty());
}

TEST(PatchParse, CarriageReturnsOfTheTransportGo) {
  const Patch patch =
      parsed("*** Begin Patch\r\n*** Update File: x\r\n@@ f\r\n-a\r\n+b\r\r\n*** End Patch\r\n");
  EXPECT_EQ(patch.sections[0].path, "x");
  EXPECT_EQ(patch.sections[0].hunks[0].anchors[0].text, "f");
  EXPECT_EQ(patch.sections[0].hunks[0].lines[0].text, "a");
  EXPECT_EQ(patch.sections[0].hunks[0].lines[1].text, "b\r");
}

TEST(PatchParse, AMoveNeedsNoHunks) {
  const Patch patch = parsed(enveloped("*** Update File: a\n*** Move to: b\n"));
  EXPECT_TRUE(patch.sections[0].hunks.empty());
  EXPECT_EQ(patch.sections[0].move_to, "b");
}

TEST(PatchParse, SaysWhichLineIsWrong) {
  EXPECT_NE(refusal("hello\n").find("patch line 1: expected \"*** Begin Patch\", found \"hello\""),
            std::string::npos);
  EXPECT_NE(refusal("").find("found nothing"), std::string::npos);
  EXPECT_NE(refusal("*** Begin Patch\n*** Delete File: a\n").find("may be cut off"), std::string::npos);
  EXPECT_NE(refusal("*** Begin Patch\n").find("may be cut off"), std::string::npos);
  EXPECT_NE(refusal(enveloped("")).find("found none"), std::string::npos);
  EXPECT_NE(refusal(enveloped("*** Frob File: a\n")).find("patch line 2: expected \"*** Add File: PATH\""),
            std::string::npos);
  EXPECT_NE(refusal(enveloped("*** Update File: a\n")).find("expected hunks"), std::string::npos);
  EXPECT_NE(refusal(enveloped("*** Update File:\n")).find("expected a path"), std::string::npos);
  EXPECT_NE(refusal(enveloped("*** Update File: a\n*** Move to:\n")).find("expected a path"),
            std::string::npos);
  EXPECT_NE(refusal(enveloped("*** Update File: a\n@@\n*** Delete File: b\n")).find("hunk is empty"),
            std::string::npos);
  EXPECT_NE(refusal(enveloped("*** Update File: a\n@@\n*** End of File\n")).find("hunk is empty"),
            std::string::npos);
  EXPECT_NE(
      refusal(enveloped("*** Update File: a\n@@\n-x\ny\n")).find("patch line 5: expected a line that starts"),
      std::string::npos);
  EXPECT_NE(refusal(enveloped("*** Update File: a\ny\n")).find("patch line 3: expected \"@@\" or a line"),
            std::string::npos);
  EXPECT_NE(refusal(enveloped("*** Add File: a\n+x\ny\n")).find("every line of a new file starts with \"+\""),
            std::string::npos);
  EXPECT_NE(refusal(enveloped("*** Delete File: a\n-x\n")).find("patch line 3"), std::string::npos);
  EXPECT_NE(refusal(enveloped("*** Delete File: a\n*** End Patch\n*** Begin Patch\n*** Delete File: b\n"))
                .find("one patch at a time"),
            std::string::npos);
  EXPECT_NE(refusal(enveloped("*** Update File: a\n-x\n*** Frob\n")).find("patch line 4"), std::string::npos);
}

// What is quoted from a patch cannot speak to the terminal that shows the message.
TEST(PatchParse, MessagesHoldNoControlBytes) {
  const std::string message = refusal(enveloped("*** \x1b]0;owned\x07 \xff\xe2\x80\xae\n"));
  EXPECT_NE(message.find("\\x1b]0;owned\\x07 \\xff\\xe2\\x80\\xae"), std::string::npos) << message;
  for (const char c : message) EXPECT_GE(static_cast<unsigned char>(c), 0x20u);
}

TEST(PatchParse, Limits) {
  EXPECT_EQ(parse_patch(std::string(kMaxPatchBytes + 1, 'x')).error().code, ErrorCode::kLimit);
  std::string many;
  for (size_t i = 0; i <= kMaxSections; ++i) many += "*** Delete File: a\n";
  EXPECT_EQ(parse_patch(enveloped(many)).error().code, ErrorCode::kLimit);
  std::string hunks = "*** Update File: a\n";
  for (size_t i = 0; i <= kMaxHunks; ++i) hunks += "@@\n-a\n";
  EXPECT_EQ(parse_patch(enveloped(hunks)).error().code, ErrorCode::kLimit);
}

TEST(PatchText, FoldsDashesQuotesAndSpaces) {
  EXPECT_EQ(folded(" a\xe2\x80\x93"
                   "b \xe2\x80\x9cq\xe2\x80\x9d \xe2\x80\x98s\xe2\x80\x99\xc2\xa0z\xe3\x80\x80"),
            "a-b \"q\" 's' z");
  EXPECT_EQ(folded("\xff\xe2\x80"), "\xff\xe2\x80");  // not UTF-8: as it is
  EXPECT_EQ(folded("caf\xc3\xa9"), "caf\xc3\xa9");
}

}  // namespace
}  // namespace atelier::agent
