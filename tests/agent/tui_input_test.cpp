// Keys, the text being typed, and what may be typed next.
#include <gtest/gtest.h>

#include "agent/tui/completion.h"
#include "agent/tui/editor.h"
#include "agent/tui/keys.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent::tui {
namespace {

using Code = Key::Code;

std::vector<Key> keys(std::string_view bytes, size_t step = 1000) {
  KeyReader reader;
  std::vector<Key> out;
  for (size_t at = 0; at < bytes.size(); at += step)
    for (Key& key : reader.push(bytes.substr(at, step))) out.push_back(std::move(key));
  for (Key& key : reader.flush()) out.push_back(std::move(key));
  return out;
}

TEST(Keys, WhatTerminalsSend) {
  EXPECT_EQ(keys("ab"), (std::vector<Key>{{.code = Code::kText, .text = "ab"}}));
  EXPECT_EQ(keys("\x03"), (std::vector<Key>{{.code = Code::kText, .text = "c", .control = true}}));
  EXPECT_EQ(keys("\r\n\t"),
            (std::vector<Key>{
                {.code = Code::kEnter}, {.code = Code::kEnter, .control = true}, {.code = Code::kTab}}));
  EXPECT_EQ(keys("\x1b[A\x1bOB"), (std::vector<Key>{{.code = Code::kUp}, {.code = Code::kDown}}));
  EXPECT_EQ(keys("\x1b[1;5D"), (std::vector<Key>{{.code = Code::kLeft, .control = true}}));
  EXPECT_EQ(keys("\x1b[3~"), (std::vector<Key>{{.code = Code::kDelete}}));
  EXPECT_EQ(keys("\x1b\r"), (std::vector<Key>{{.code = Code::kEnter, .alt = true}}));
  EXPECT_EQ(keys("\x1b[13;2u"), (std::vector<Key>{{.code = Code::kEnter, .shift = true}}));
  EXPECT_EQ(keys("\x1b[27;2;13~"), (std::vector<Key>{{.code = Code::kEnter, .shift = true}}));
  EXPECT_EQ(keys("\x1b"), (std::vector<Key>{{.code = Code::kEscape}}));
  EXPECT_EQ(keys("\x1b\x1b"), (std::vector<Key>{{.code = Code::kEscape}, {.code = Code::kEscape}}));
  EXPECT_EQ(keys("\x1b"
                 "b"),
            (std::vector<Key>{{.code = Code::kText, .text = "b", .alt = true}}));
}

TEST(Keys, AnEscapeWaitsForWhatMayFollow) {
  KeyReader reader;
  EXPECT_TRUE(reader.push("\x1b").empty());
  EXPECT_TRUE(reader.waiting());
  EXPECT_EQ(reader.push("[A"), (std::vector<Key>{{.code = Code::kUp}}));
  EXPECT_FALSE(reader.waiting());
}

TEST(Keys, APasteIsOnePieceWhateverStandsInIt) {
  const std::string pasted = "two\rlines \x1b[A and \x03 keys";
  const std::string bytes = "x\x1b[200~" + pasted + "\x1b[201~y";
  for (size_t step = 1; step < bytes.size(); ++step) {
    const std::vector<Key> got = keys(bytes, step);
    ASSERT_EQ(got.size(), 3u) << step;
    EXPECT_EQ(got[1].code, Code::kPaste);
    EXPECT_EQ(got[1].text, "two\nlines \x1b[A and \x03 keys");
    EXPECT_EQ(got[2].text, "y");
  }
}

TEST(Keys, AnyBytesInAnyPiecesAreRead) {
  unsigned state = 1;
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    for (int i = 0; i < 24; ++i) {
      state = state * 1664525 + 1013904223;
      constexpr std::string_view kLikely = "\x1b[O;~u0123ABM\xc3\xa4\xff";
      bytes += (state >> 28) < 12 ? kLikely[(state >> 20) % kLikely.size()] : static_cast<char>(state >> 16);
    }
    keys(bytes, 1 + static_cast<size_t>(round) % 5);
  }
}

class EditorTest : public ::testing::Test {
 protected:
  void press(std::string_view bytes) {
    for (const Key& key : keys(bytes)) editor_.press(key);
  }
  Editor editor_;
};

TEST_F(EditorTest, MovesAndErasesByCharactersAndWords) {
  press("hello wörld\x01\x1b[C>\x05!");
  EXPECT_EQ(editor_.text(), "h>ello wörld!");
  press("\x17");
  EXPECT_EQ(editor_.text(), "h>ello ");
  press("\x19\x7f\x7f");
  EXPECT_EQ(editor_.text(), "h>ello wörl");
  press("\x15");
  EXPECT_EQ(editor_.text(), "");
  press("e\xcc\x81x\x1b[D\x7f");
  EXPECT_EQ(editor_.text(), "x");
}

TEST_F(EditorTest, HasLines) {
  press("one\ntwo\x1b\rthree");
  EXPECT_EQ(editor_.text(), "one\ntwo\nthree");
  press("\x1b[A\x1b[AX");
  EXPECT_EQ(editor_.text(), "oneX\ntwo\nthree");
  press("\x05\\");
  EXPECT_TRUE(editor_.press({.code = Code::kEnter}));
  EXPECT_EQ(editor_.text(), "oneX\n\ntwo\nthree");
  EXPECT_FALSE(editor_.press({.code = Code::kEnter}));
}

TEST_F(EditorTest, GoesThroughItsHistory) {
  press("first");
  EXPECT_EQ(editor_.take(), "first");
  press("second");
  editor_.take();
  press("unsent\x1b[A");
  EXPECT_EQ(editor_.text(), "second");
  press("\x1b[A\x1b[A");
  EXPECT_EQ(editor_.text(), "first");
  press("\x1b[B\x1b[B");
  EXPECT_EQ(editor_.text(), "unsent");
}

TEST_F(EditorTest, ShowsWhereTheCursorIs) {
  press("0123456789\nab");
  const Editor::View view = editor_.view(8, Line("> "));
  ASSERT_EQ(view.lines.size(), 3u);
  EXPECT_EQ(view.lines[0].text(), "> 01234");
  EXPECT_EQ(view.lines[1].text(), "  56789");
  EXPECT_EQ(view.row, 2u);
  EXPECT_EQ(view.column, 4u);
}

TEST(History, OutlivesTheProgram) {
  const ScratchFolder folder;
  {
    History history(folder / "state/history");
    history.add("one\nof two lines");
    history.add("two");
    history.add("two");
  }
  std::ofstream(folder / "state/history", std::ios::app) << "not json\n";
  const History again(folder / "state/history");
  EXPECT_EQ(again.entries(), (std::vector<std::string>{"one\nof two lines", "two"}));
}

TEST(Completion, CommandsAndFiles) {
  const std::vector<std::string> files = {"src/agent/app.cpp", "src/app.h", "docs/apples.md", "x.txt"};
  const Completion command = complete("/un", 3, files);
  ASSERT_EQ(command.candidates.size(), 1u);
  EXPECT_EQ(command.candidates[0].text, "/undo");
  EXPECT_TRUE(complete("say /un", 7, files).empty());
  const Completion file = complete("look at @app", 12, files);
  EXPECT_EQ(file.begin, 8u);
  ASSERT_EQ(file.candidates.size(), 3u);
  EXPECT_EQ(file.candidates[0].text, "@src/app.h");
  EXPECT_EQ(matching_files("sgap", files, 8), std::vector<std::string>{"src/agent/app.cpp"});
  EXPECT_TRUE(complete("mail me@app", 11, files).empty());
}

}  // namespace
}  // namespace atelier::agent::tui
