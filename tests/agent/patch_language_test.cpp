// Whatever the language of a scope generates applies, and does what it says.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "agent/patch/apply.h"
#include "agent/patch/patch_guard.h"
#include "agent/patch/patch_language.h"
#include "agent/patch/patch_scope.h"
#include "agent/patch/plan.h"
#include "agent/patch/replace_language.h"
#include "chat/json_text.h"
#include "engine/constraint/config_store.h"
#include "engine/token_filter.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent {
namespace {

using constraint::ConfigId;
using constraint::ConfigStore;
using constraint::Grammar;
using constraint::GrammarBuilder;

std::shared_ptr<const Grammar> grammar_of(const PatchScope& scope, PatchSpelling spelling) {
  GrammarBuilder builder;
  const auto language = patch_language(builder, scope, spelling);
  EXPECT_TRUE(language) << language.error().message;
  const auto root = builder.declare("patch");
  builder.define(root, *language);
  auto grammar = builder.build(root);
  EXPECT_TRUE(grammar) << grammar.error().message;
  return *grammar;
}

// Follows texts, byte by byte.
class Follower {
 public:
  explicit Follower(std::shared_ptr<const Grammar> grammar)
      : store_(std::move(grammar)), at_(store_.start()) {}
  bool take(std::string_view text) {
    for (const char c : text) {
      at_ = store_.step(at_, static_cast<uint8_t>(c));
      if (at_ == ConfigStore::kDead) return false;
    }
    return true;
  }
  bool complete() { return store_.accepts(at_); }
  std::vector<uint8_t> choices() {
    std::vector<uint8_t> bytes;
    for (size_t c = 0; c < store_.grammar().n_classes(); ++c)
      if (store_.has_step(at_, c)) {
        const uint8_t first = store_.grammar().class_first(c);
        for (size_t i = 0; i < store_.grammar().class_size(c); ++i)
          bytes.push_back(static_cast<uint8_t>(first + i));
      }
    return bytes;
  }

 private:
  ConfigStore store_;
  ConfigId at_;
};

bool accepts(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  Follower follower(grammar);
  return follower.take(text) && follower.complete();
}

// A random text of the language. Classes of bytes are drawn evenly, so that markers come as often as letters;
// after a while it heads for the end where it can. `guard`: where it is given, no file is named twice.
std::string sample(const std::shared_ptr<const Grammar>& grammar, std::mt19937& random, PatchGuard* guard) {
  Follower follower(grammar);
  std::string text;
  if (guard != nullptr) guard->push("{\"patch\": \"");
  for (size_t n = 0; n < 60'000; ++n) {
    if (follower.complete()) return text;
    std::vector<uint8_t> choices = follower.choices();
    if (guard != nullptr)
      std::erase_if(choices, [&](uint8_t byte) {
        const char c = static_cast<char>(byte);
        return !guard->names_once(std::string_view(&c, 1));
      });
    if (choices.empty()) break;
    uint8_t byte = choices[random() % choices.size()];
    // Markers, line ends, ends of texts.
    for (const char wanted : {'*', '\\', '\n', 'n', 'E', '@', '-'}) {
      const bool there = std::ranges::find(choices, static_cast<uint8_t>(wanted)) != choices.end();
      if (there && random() % (n > 3000 ? 2 : 7) == 0) {
        byte = static_cast<uint8_t>(wanted);
        break;
      }
    }
    text += static_cast<char>(byte);
    EXPECT_TRUE(follower.take(text.substr(text.size() - 1)));
    if (guard != nullptr) guard->push(text.substr(text.size() - 1));
  }
  return {};
}

class PatchLanguage : public ::testing::Test {
 protected:
  PatchScope scope(const std::vector<std::string>& seen) {
    auto workspace = Workspace::open(work_.path());
    return patch_scope(*workspace, seen);
  }
  Result<std::vector<FileChange>> plan(const std::string& text) {
    auto workspace = Workspace::open(work_.path());
    ATELIER_TRY(const Patch patch, parse_patch(text));
    return plan_patch(*workspace, patch);
  }
  ScratchFolder work_;
};

TEST_F(PatchLanguage, TakesThePatchesModelsWrite) {
  work_.write("src/a.py", "import os\n\ndef f(x):\n    return x\n\ndef g(x):\n    return x\n");
  const auto grammar = grammar_of(scope({"src/a.py"}), PatchSpelling::kPlain);
  const auto patch = [](const std::string& body) { return "*** Begin Patch\n" + body + "*** End Patch"; };
  const std::string update = "*** Update File: src/a.py\n";
  for (const std::string& body :
       {update + "@@\n def f(x):\n-    return x\n+    return 2 * x\n",
        update + "@@ def g(x):\n-    return x\n+    return 2 * x\n",
        update + "@@\n-import os\n@@ def g(x):\n     return x\n+\n+# the end\n",
        update + "@@\n+# at the end\n",
        "*** Add File: src/b.py\n+x = 1\n" + update + "@@\n \n+import sys\n def f(x):\n",
        std::string("*** Delete File: src/a.py\n"),
        update + "*** Move to: src/deep/er/c.py\n@@\n-import os\n",
        std::string("*** Add File: Makefile\n+all:\n+\ttrue\n")}) {
    EXPECT_TRUE(accepts(grammar, patch(body))) << body;
    EXPECT_TRUE(plan(patch(body))) << plan(patch(body)).error().message;
  }
  for (const std::string& body :
       {std::string(), update, update + "@@\n", update + "@@\n-import sys\n",
        update + "@@\n import os\n def f(x):\n", update + "@@ def g(x):\n-def f(x):\n",
        update + "@@\n-    return x\n@@\n-import os\n", std::string("*** Add File: src/a.py\n+x\n"),
        std::string("*** Add File: SRC/A.PY/x.py\n+x\n"), std::string("*** Add File: ../b.py\n+x\n"),
        std::string("*** Add File: .envrc\n+x\n"), std::string("*** Add File: src/.git/x\n+x\n"),
        std::string("*** Add File: src/new\n+x\n"), std::string("*** Update File: src/b.py\n@@\n+x\n"),
        std::string("*** Delete File: src/b.py\n")}) {
    EXPECT_FALSE(accepts(grammar, patch(body))) << body;
  }
}

TEST_F(PatchLanguage, SpellsJsonAsJsonDoes) {
  work_.write("q.c", "char *s = \"a\\\\b\";\n\tint x; /* \xc3\xa9 */\n");
  const auto grammar = grammar_of(scope({"q.c"}), PatchSpelling::kJson);
  const std::string patch =
      "*** Begin Patch\n*** Update File: q.c\n@@\n-char *s = \"a\\\\b\";\n+char *s = \"\";\n \tint x; /* "
      "\xc3\xa9 */\n"
      "*** End Patch";
  const std::string json = chat::compact_json(chat::Json(patch));
  EXPECT_TRUE(accepts(grammar, json.substr(1, json.size() - 2))) << json;
  EXPECT_FALSE(accepts(grammar, patch));
}

// Anchors that the applier would find elsewhere first are not offered.
TEST_F(PatchLanguage, AnchorsLeadWhereTheyStand) {
  work_.write("a.txt", "begin\n  x\n    x2\nmiddle\n  y\n    z\nx\nend\n");
  const auto grammar = grammar_of(scope({"a.txt"}), PatchSpelling::kPlain);
  const std::string head = "*** Begin Patch\n*** Update File: a.txt\n", end = "*** End Patch";
  EXPECT_FALSE(accepts(grammar, head + "@@ x\n-middle\n" + end));
  EXPECT_TRUE(accepts(grammar, head + "@@ x\n-end\n" + end));
  EXPECT_TRUE(accepts(grammar, head + "@@ y\n-x\n" + end));
  EXPECT_FALSE(accepts(grammar, head + "@@ z\n-x\n" + end)) << "z begins nothing";
}

// Files made to be difficult: repeated lines, blanks, brackets, markers, missing newlines, CRLF.
std::string difficult_file(std::mt19937& random) {
  const std::vector<std::string> lines = {"}",
                                          "{",
                                          "",
                                          "  }",
                                          "\t}",
                                          " ",
                                          "x",
                                          "x ",
                                          "  x",
                                          "@@",
                                          "*** End Patch",
                                          "*** Update File: a",
                                          "-x",
                                          "+x",
                                          "\\",
                                          "\"",
                                          "def f():",
                                          "  def f():",
                                          "\xe2\x80\x9cx\xe2\x80\x9d",
                                          "*** End of File",
                                          "- 1",
                                          "@@ x @@"};
  std::string text;
  const size_t n = random() % 12;
  const bool crlf = random() % 5 == 0;
  for (size_t i = 0; i < n; ++i) text += lines[random() % lines.size()] + (crlf ? "\r\n" : "\n");
  if (!text.empty() && random() % 4 == 0) text.pop_back();
  if (random() % 20 == 0) text = "\xef\xbb\xbf" + text;
  return text;
}

bool names_twice(const std::string& patch, const std::vector<std::string>& names) {
  return std::ranges::any_of(names, [&](const std::string& name) {
    const size_t first = patch.find(" File: " + name + "\n");
    return first != std::string::npos && patch.find(" File: " + name + "\n", first + 1) != std::string::npos;
  });
}

// The figure: of patches sampled at random, all apply at once; those that happen to change nothing are told
// apart, since that is the one thing a grammar cannot see.
TEST_F(PatchLanguage, EverySampleApplies) {
  std::mt19937 random(1);
  const auto workspace = Workspace::open(work_.path());
  const auto tokenizer = *Tokenizer::load(std::filesystem::path(ATELIER_TEST_DATA "/tokenizer/gpt-oss.json"));
  size_t n = 0, applied = 0, unchanged = 0;
  const size_t rounds = std::getenv("ATELIER_LONG_TESTS") != nullptr ? 2000 : 60;
  for (size_t round = 0; round < rounds; ++round) {
    std::vector<std::string> names = {"a.txt", "b/c.txt", "b/d/e f.txt"};
    const PatchSpelling spelling = round % 3 == 0 ? PatchSpelling::kPlain : PatchSpelling::kJson;
    for (const std::string& name : names) work_.write(name, difficult_file(random));
    const auto bound = std::make_shared<const PatchScope>(scope(names));
    const auto grammar = grammar_of(*bound, spelling);
    for (int i = 0; i < 5; ++i) {
      PatchGuard guard(*workspace, *tokenizer, bound);
      std::string text = sample(grammar, random, spelling == PatchSpelling::kJson ? &guard : nullptr);
      ASSERT_FALSE(text.empty()) << "a sample that does not end";
      // The guard reads what stands in JSON.
      if (spelling == PatchSpelling::kPlain && names_twice(text, names)) continue;
      if (spelling == PatchSpelling::kJson) {
        const auto json = chat::parse_json("\"" + text + "\"", "patch");
        ASSERT_TRUE(json) << json.error().message << "\n" << text;
        text = json->get<std::string>();
      }
      ++n;
      const auto changes = plan(text);
      if (changes) {
        ++applied;
      } else if (changes.error().message.find("already as it says") != std::string::npos) {
        ++unchanged;
      } else {
        ADD_FAILURE() << changes.error().message << "\n" << text;
      }
    }
  }
  std::printf("[          ] %zu patches sampled: %zu apply, %zu apply and change nothing\n", n, applied,
              unchanged);
  EXPECT_EQ(applied + unchanged, n);
  EXPECT_GT(applied, n * 9 / 10);
}

// A patch that puts back what it took away may not end before it changes something.
TEST_F(PatchLanguage, TheGuardLetsNoPatchEndThatChangesNothing) {
  work_.write("a.txt", "x\ny\n");
  work_.write("b.txt", "z\n");
  auto workspace = Workspace::open(work_.path());
  const auto tokenizer = Tokenizer::load(std::filesystem::path(ATELIER_TEST_DATA "/tokenizer/gpt-oss.json"));
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const Tokenizer& words = **tokenizer;
  const size_t n_words = token_mask_words(words.vocab_size());
  // Which texts of one token may come after `so_far`.
  const auto allowed = [&](const std::string& so_far, std::string_view next) {
    PatchGuard guard(*workspace, words, std::make_shared<const PatchScope>(scope({"a.txt", "b.txt"})));
    // In pieces, as tokens come.
    for (size_t at = 0; at < so_far.size(); at += 3) guard.push(so_far.substr(at, 3));
    std::vector<uint64_t> mask(n_words, ~uint64_t{0});
    for (size_t id = words.vocab_size(); id < n_words * 64; ++id) mask[id / 64] &= ~(uint64_t{1} << id % 64);
    guard.restrict(mask);
    for (size_t id = 0; id < words.vocab_size(); ++id)
      if (words.token_bytes(static_cast<TokenId>(id)) == next) return (mask[id / 64] >> id % 64 & 1) != 0;
    ADD_FAILURE() << "no such token: " << next;
    return false;
  };
  const std::string head = R"({"patch": "*** Begin Patch\n*** Update File: a.txt\n@@\n)";
  EXPECT_FALSE(allowed(head + R"(-x\n+x\n*** )", "E"));
  EXPECT_TRUE(allowed(head + R"(-x\n+x\n*** )", "A"));
  EXPECT_TRUE(allowed(head + R"(-x\n+x\n)", "*"));
  EXPECT_TRUE(allowed(head + R"(-x\n+z\n*** )", "E"));
  EXPECT_TRUE(allowed(head + R"(-x\n+x\n+\\n\n*** )", "E"));
  EXPECT_FALSE(allowed(head + R"( x\n*** )", "E"));
  // Nor does one name a file twice.
  const std::string once = head + R"(-x\n)";
  EXPECT_TRUE(allowed(once + R"(*** Update File: )", "b"));
  EXPECT_FALSE(allowed(once + R"(*** Update File: )", "a"));
  EXPECT_FALSE(allowed(once + R"(*** Delete File: )", "a"));
  const std::string both = once + R"(*** Delete File: b.txt\n)";
  EXPECT_FALSE(allowed(both + R"(*** )", "U"));
  EXPECT_TRUE(allowed(both + R"(*** )", "E"));
  EXPECT_TRUE(allowed(both + R"(*** )", "A"));
  const std::string added = both + R"(*** Add File: c.txt\n+x\n*** Add File: c)";
  EXPECT_FALSE(allowed(added + ".txt", "\\n"));
  EXPECT_TRUE(allowed(added + ".tx", "\\n"));
}

// The lines of a file that may come next are not as many alternatives as there are lines.
TEST_F(PatchLanguage, ManyLinesAreFewAlternatives) {
  std::string text;
  for (int i = 0; i < 2500; ++i) text += "int f" + std::to_string(i) + "() {\n  return 1;\n}\n\n";
  work_.write("long.c", text);
  const PatchScope found = scope({"long.c"});
  ASSERT_TRUE(found.files[0].bound);
  const auto grammar = grammar_of(found, PatchSpelling::kPlain);
  ConfigStore store(grammar);
  ConfigId at = store.start();
  const auto take = [&](std::string_view bytes) {
    for (const char c : bytes) at = store.step(at, static_cast<uint8_t>(c));
    return at != ConfigStore::kDead;
  };
  ASSERT_TRUE(take("*** Begin Patch\n*** Update File: long.c\n@@\n"));
  EXPECT_LE(store.elements(at).size(), 4u);
  ASSERT_TRUE(take(" }\n \n"));  // stands 2,500 times
  EXPECT_LE(store.elements(at).size(), 8u);
  ASSERT_TRUE(take("-int f7() {\n"));
  EXPECT_FALSE(take("-}\n"));
  // Any of them, again and again, forwards.
  for (const std::string& hunk :
       {std::string("@@\n-}\n \n int f2400() {\n"), std::string("@@ int f9() {\n-  return 1;\n }\n"),
        std::string("@@\n   return 1;\n }\n \n-int f1200() {\n@@\n-int f1300() {\n")}) {
    const std::string patch = "*** Begin Patch\n*** Update File: long.c\n" + hunk + "*** End Patch";
    EXPECT_TRUE(accepts(grammar, patch)) << hunk;
    EXPECT_TRUE(plan(patch)) << plan(patch).error().message;
  }
  EXPECT_FALSE(accepts(
      grammar, "*** Begin Patch\n*** Update File: long.c\n@@\n-int f9() {\n@@\n-int f8() {\n*** End Patch"));
}

// Nobody who has seen a long file is kept from changing it: its lines are free.
TEST_F(PatchLanguage, LongFilesAreOfferedWithoutTheirLines) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "line " + std::to_string(i) + "\n";
  work_.write("long.txt", text);
  work_.write("short.txt", "x\n");
  const PatchScope found = scope({"long.txt", "short.txt"});
  ASSERT_EQ(found.files.size(), 2u);
  EXPECT_FALSE(found.files[0].bound);
  EXPECT_TRUE(found.files[1].bound);
  const auto grammar = grammar_of(found, PatchSpelling::kPlain);
  const std::string head = "*** Begin Patch\n*** Update File: ", end = "*** End Patch";
  const std::string change = head + "long.txt\n@@ line 7\n line 8\n-line 9\n+nine\n" + end;
  EXPECT_TRUE(accepts(grammar, change));
  EXPECT_TRUE(plan(change)) << plan(change).error().message;
  EXPECT_TRUE(accepts(grammar, head + "long.txt\n@@\n-line x\n" + end));
  EXPECT_FALSE(accepts(grammar, head + "short.txt\n@@\n-line x\n" + end));
  EXPECT_FALSE(accepts(grammar, head + "long.txt\n@@\n" + end));
}

TEST_F(PatchLanguage, ScopesLeaveOutWhatCannotBePatched) {
  work_.write("binary", std::string("a\0b", 3));
  work_.write("a.txt", "x\n");
  std::filesystem::create_symlink("a.txt", work_ / "link");
  const PatchScope found = scope({"binary", "link", "gone", "a.txt"});
  ASSERT_EQ(found.files.size(), 1u);
  EXPECT_EQ(found.files[0].path, "a.txt");
  EXPECT_NE(scope_key(found), scope_key(scope({})));
}

// What `replace` may name is there, exactly once.
TEST_F(PatchLanguage, PiecesToReplaceStandOnce) {
  work_.write("a.py", "def f():\n    return 1\n\ndef g():\n    return 1\n");
  work_.write("same.txt", "x\nx\n");
  work_.write("dos.txt", "one\r\ntwo\r\n");
  GrammarBuilder builder;
  constraint::JsonLanguage json(builder, constraint::JsonSpace::kFlexible);
  const auto language = replace_language(json, scope({"a.py", "same.txt", "dos.txt"}));
  ASSERT_TRUE(language) << language.error().message;
  const auto root = builder.declare("replace");
  builder.define(root, *language);
  const auto grammar = builder.build(root);
  ASSERT_TRUE(grammar) << grammar.error().message;
  const auto takes = [&](const std::string& path, const std::string& old_text) {
    return accepts(*grammar, chat::compact_json({{"path", path}, {"old", old_text}, {"new", "y\"\n"}}));
  };
  EXPECT_TRUE(takes("a.py", "def f():"));
  EXPECT_TRUE(takes("a.py",
                    "def f():\n    return 1\n"
                    "\ndef g():"));
  EXPECT_TRUE(takes("a.py", "    return 1\n\ndef g():"));
  EXPECT_TRUE(takes("a.py", "def g():\n    return 1"));
  EXPECT_FALSE(takes("a.py", "    return 1"));  // twice
  EXPECT_FALSE(takes("a.py", "def f():\n"));    // no whole line
  EXPECT_FALSE(takes("a.py", "def h():"));      // nowhere
  EXPECT_TRUE(takes("same.txt", "x\nx"));
  EXPECT_FALSE(takes("same.txt", "x"));
  EXPECT_FALSE(takes("dos.txt", "one"));
}

}  // namespace
}  // namespace atelier::agent
