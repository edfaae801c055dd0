// Styled text, Markdown, code and diffs: what ends up on the screen, as text.
#include <gtest/gtest.h>

#include <random>

#include "agent/tui/blocks.h"
#include "agent/tui/diff_view.h"
#include "agent/tui/highlight.h"
#include "agent/tui/markdown.h"
#include "agent/tui/styled.h"

namespace atelier::agent::tui {
namespace {

std::vector<std::string> texts(const Lines& lines) {
  std::vector<std::string> out;
  for (const Line& line : lines) out.push_back(line.text());
  return out;
}
using Texts = std::vector<std::string>;

Texts rendered_markdown(std::string_view text, size_t width = 40) {
  return texts(markdown(text, {.width = width}));
}

TEST(Styled, WidthsCountColumns) {
  EXPECT_EQ(width_of("abc"), 3u);
  EXPECT_EQ(width_of("äöü"), 3u);
  EXPECT_EQ(width_of("漢字"), 4u);
  EXPECT_EQ(width_of("e\xcc\x81"), 1u);  // a combining accent
  EXPECT_EQ(width_of("🙂"), 2u);
  EXPECT_EQ(width_of("\xff"), 1u);
}

TEST(Styled, NothingThatSpeaksToATerminalGetsThrough) {
  EXPECT_EQ(printable("a\x1b[31mred\x1b[0m"), "ared");
  EXPECT_EQ(printable("a\x1b]0;title\x07"
                      "b"),
            "ab");
  EXPECT_EQ(printable("x\x07y"), "xy");
  EXPECT_EQ(printable("a\tb", 0), "a   b");
  EXPECT_EQ(printable("a\nb"), "a b");
  for (int c = 0; c < 256; ++c) {
    const std::string out = printable(std::string("a") + static_cast<char>(c) + "b");
    for (const char byte : out) EXPECT_FALSE(static_cast<unsigned char>(byte) < 0x20 || byte == 0x7f) << c;
  }
}

TEST(Styled, WrapsBetweenWordsAndBreaksLongOnes) {
  EXPECT_EQ(texts(wrap(Line("one two three"), {.width = 7})), (Texts{"one two", "three"}));
  EXPECT_EQ(texts(wrap(Line("abcdefghij k"), {.width = 4})), (Texts{"abcd", "efgh", "ij k"}));
  EXPECT_EQ(texts(wrap(Line("one two"), {.width = 6, .first = Line("- "), .others = Line("  ")})),
            (Texts{"- one", "  two"}));
  EXPECT_EQ(texts(wrap(Line("漢字漢字"), {.width = 5})), (Texts{"漢字", "漢字"}));
  EXPECT_EQ(texts(wrap(Line(), {.width = 5})), Texts{""});
}

TEST(Styled, WrappedLinesFitAndLoseNothing) {
  std::mt19937 random(7);
  const std::vector<std::string> pieces = {"a",        "word", " ", "  ", "漢", "é", "🙂", "longlonglonglong",
                                           "e\xcc\x81"};
  for (int round = 0; round < 2000; ++round) {
    Line line;
    std::string all;
    for (size_t n = random() % 12; n > 0; --n) {
      const std::string& piece = pieces[random() % pieces.size()];
      line.add(piece, random() % 2 == 0 ? kPlain : kBold);
      all += piece;
    }
    const size_t width = 2 + random() % 20;
    std::string joined;
    for (const Line& part : wrap(line, {.width = width})) {
      EXPECT_LE(width_of(part), width);
      joined += part.text();
    }
    std::erase(joined, ' ');
    std::erase(all, ' ');
    EXPECT_EQ(joined, all);
    EXPECT_LE(width_of(clipped(line, width)), width);
  }
}

TEST(Styled, DressesAsTheTerminalCan) {
  const Line line("x", Style{.colour = Colour::kRed, .bold = true});
  EXPECT_EQ(rendered(line, Dress::kColours), "\x1b[1;31mx\x1b[0m");
  EXPECT_EQ(rendered(line, Dress::kAttributes), "\x1b[1mx\x1b[0m");
  EXPECT_EQ(rendered(line, Dress::kPlain), "x");
}

TEST(Markdown, ParagraphsListsAndCode) {
  EXPECT_EQ(rendered_markdown(
                "# Head\n\nSome *text* and `code`.\n\n- one\n- two\n  - inner\n\n1. first\n2. second\n"),
            (Texts{"Head", "", "Some text and code.", "", "• one", "• two", "  • inner", "", "1. first",
                   "2. second"}));
  EXPECT_EQ(rendered_markdown("```cpp\nint x = 1;\n\nreturn;\n```\n"),
            (Texts{"  int x = 1;", "  ", "  return;"}));
  EXPECT_EQ(rendered_markdown("> quoted\n> more\n"), Texts{"▎ quoted more"});
  EXPECT_EQ(rendered_markdown("- [x] done\n- [ ] open\n"), (Texts{"☑ done", "☐ open"}));
}

TEST(Markdown, LinksSayWhereTheyLead) {
  EXPECT_EQ(rendered_markdown("see [here](http://a.b/c)"), Texts{"see here (http://a.b/c)"});
  EXPECT_EQ(rendered_markdown("see <http://a.b/c>"), Texts{"see http://a.b/c"});
}

TEST(Markdown, TablesFitTheWidth) {
  EXPECT_EQ(rendered_markdown("| a | bb |\n|---|---|\n| 1 | 2 |\n"), (Texts{"a │ bb", "──┼───", "1 │ 2"}));
  for (const std::string& line : rendered_markdown(
           "| name | what it is |\n|---|---|\n| x | a long text that must be broken somewhere |\n", 24))
    EXPECT_LE(width_of(line), 24u) << line;
}

TEST(Markdown, HostileTextIsOnlyText) {
  for (const std::string& line : rendered_markdown("a\x1b[2Jb `\x1b]0;x\x07` <b>html</b> &amp; &#27;[2J"))
    for (const char c : line) EXPECT_NE(c, '\x1b');
}

// However a text arrives, the same lines are handed out in the end.
TEST(MarkdownStream, IsTheSameInPieces) {
  const std::string text =
      "Intro *line*\ngoes on.\n\n- one\n- two\n\n  still two\n\n```py\ndef f():\n    return 1\n\n\nx = "
      "2\n```\n\n"
      "| a | b |\n|---|---|\n| 1 | 2 |\n\n1. a\n\n2. b\n\n> quote\n\n    indented code\n\nThe end.";
  const auto stream = [&](size_t step) {
    MarkdownStream markdown({.width = 30});
    Lines all;
    for (size_t at = 0; at < text.size(); at += step) {
      const Lines lines = markdown.push(std::string_view(text).substr(at, step));
      all.insert(all.end(), lines.begin(), lines.end());
      markdown.pending();
    }
    const Lines rest = markdown.finish();
    all.insert(all.end(), rest.begin(), rest.end());
    return texts(all);
  };
  const Texts whole = stream(text.size());
  for (size_t step = 1; step < 12; ++step) EXPECT_EQ(stream(step), whole) << step;
  EXPECT_EQ(whole.front(), "Intro line goes on.");
  EXPECT_EQ(whole.back(), "The end.");
}

TEST(MarkdownStream, HandsOutCodeLineByLine) {
  MarkdownStream stream({.width = 30});
  EXPECT_EQ(texts(stream.push("```sh\necho a\necho b")), Texts{"  echo a"});
  EXPECT_EQ(texts(stream.pending()), Texts{"  echo b"});
  EXPECT_EQ(texts(stream.push("\n```\nafter")), Texts{"  echo b"});
  EXPECT_EQ(texts(stream.finish()), (Texts{"", "after"}));
}

TEST(Highlight, TellsTokensApart) {
  Highlighter cpp(language_named("cpp"));
  const Line line = cpp.line("return \"a\\\"b\"; // done");
  ASSERT_EQ(line.spans.size(), 5u);
  EXPECT_EQ(line.spans[0].text, "return");
  EXPECT_EQ(line.spans[2].text, "\"a\\\"b\"");
  EXPECT_EQ(line.spans[4].text, "// done");
  const Style comment = cpp.line("/* begins").spans[0].style;
  EXPECT_EQ(cpp.line("still").spans[0].style, comment);
  EXPECT_EQ(cpp.line("ends */ x").spans.back().style, kPlain);
  EXPECT_EQ(language_of_file("src/a.py"), language_named("python"));
  EXPECT_EQ(language_named("klingon"), nullptr);
}

TEST(Highlight, LosesNoByte) {
  std::mt19937 random(3);
  const std::string alphabet = "ab \"'`/*#-<>\\0_\xc3\xa4";
  for (const char* name : {"cpp", "python", "js", "rust", "go", "sh", "json", "yaml", "sql", "html", "lua"}) {
    Highlighter highlighter(language_named(name));
    for (int round = 0; round < 300; ++round) {
      std::string text;
      for (size_t n = random() % 20; n > 0; --n) text += alphabet[random() % alphabet.size()];
      EXPECT_EQ(highlighter.line(text).text(), text) << name;
    }
  }
}

// Applying what a diff says to the old text gives the new one.
TEST(Diff, IsAnEditFromOneTextToTheOther) {
  std::mt19937 random(11);
  const auto text = [&] {
    std::string out;
    for (size_t n = random() % 20; n > 0; --n)
      out += std::string(1, static_cast<char>('a' + random() % 4)) + "\n";
    return out;
  };
  for (int round = 0; round < 3000; ++round) {
    const std::string before = text(), after = text();
    std::string kept, made;
    size_t a = 0, b = 0;
    for (const DiffLine& line : diff_lines(before, after)) {
      if (line.kind != DiffLine::Kind::kAdded) {
        kept += std::string(line.text) + "\n";
        EXPECT_EQ(line.before, ++a);
      }
      if (line.kind != DiffLine::Kind::kRemoved) {
        made += std::string(line.text) + "\n";
        EXPECT_EQ(line.after, ++b);
      }
    }
    ASSERT_EQ(kept, before);
    ASSERT_EQ(made, after);
  }
}

TEST(Diff, IsShortAndBounded) {
  EXPECT_EQ(diff_stat(diff_lines("a\nb\nc\nd\n", "a\nx\nc\nd\n")).added, 1u);
  EXPECT_EQ(diff_stat(diff_lines("a\nb\nc\n", "b\nc\na\n")).removed, 1u);
  std::string before, after;
  for (int i = 0; i < 20000; ++i) {
    before += "old " + std::to_string(i) + "\n";
    after += "new " + std::to_string(i) + "\n";
  }
  EXPECT_EQ(diff_stat(diff_lines(before, after)).added, 20000u);
}

TEST(Diff, ShowsHunksWithNumbers) {
  std::string before;
  for (int i = 1; i <= 20; ++i) before += "line " + std::to_string(i) + "\n";
  std::string after = before;
  after.replace(after.find("line 10\n"), 8, "changed\n");
  const FileChange change{.path = "a.txt",
                          .before = FileVersion{before, 0644},
                          .after = FileVersion{after, 0644},
                          .moved_from = {},
                          .moved_to = {}};
  EXPECT_EQ(texts(diff_view(change, {.width = 40, .context = 1})),
            (Texts{"a.txt (+1 −1)", "  9  line 9", " 10 -line 10", " 10 +changed", " 11  line 11"}));
}

TEST(Blocks, CommandsShowBeginningAndEnd) {
  Item item{.kind = Item::Kind::kCommand, .state = Item::State::kFailed, .text = "make test", .exit_code = 2};
  for (int i = 1; i <= 30; ++i) item.output += "out " + std::to_string(i) + "\n";
  const Texts lines = texts(item_block(item, 3.2, {.width = 40, .max_output_lines = 6}));
  EXPECT_EQ(lines, (Texts{"● Ran make test (exit 2, 3.2 s)", "  │ out 1", "  │ out 2", "  │ … 25 more lines",
                          "  │ out 28", "  │ out 29", "  │ out 30"}));
}

TEST(Blocks, NumbersForPeople) {
  EXPECT_EQ(duration_text(0.42), "0.4 s");
  EXPECT_EQ(duration_text(12.4), "12 s");
  EXPECT_EQ(duration_text(185), "3 min 05 s");
  EXPECT_EQ(count_text(950), "950");
  EXPECT_EQ(count_text(12345), "12.3k");
}

}  // namespace
}  // namespace atelier::agent::tui
