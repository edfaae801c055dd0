// Random edits, once as a unified diff for `git apply`, once in our format: the same files must come out.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <sstream>

#include "agent/patch/apply.h"
#include "agent/patch/text.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent {
namespace {

constexpr size_t kContext = 3;  // lines around a change, in both formats

// One line of an edit script: ' ' kept, '-' removed, '+' added.
struct Step {
  char kind;
  std::string text;  // without its newline
};
using Script = std::vector<Step>;

struct FileEdit {
  std::string path, before, after;
  std::string unified;  // hunks with line numbers
  std::string ours;     // hunks without
};

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  size_t below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  // Lines from a small alphabet, so that repetitions are common; indentation, blank lines, trailing blanks, a
  // few letters that folding knows.
  std::string line() {
    static const std::vector<std::string> kWords = {"foo",
                                                    "bar();",
                                                    "}",
                                                    "return x;",
                                                    "",
                                                    "",
                                                    "if (a) {",
                                                    "caf\xc3\xa9",
                                                    "\xe2\x80\x9cq\xe2\x80\x9d",
                                                    "-- dash",
                                                    "+ plus",
                                                    "@@ at",
                                                    "*** stars",
                                                    "*** End Patch",
                                                    "# hash",
                                                    "trailing  "};
    const std::string& word = kWords[below(kWords.size())];
    if (word.empty()) return {};
    return std::string(2 * below(4), ' ') + word + (below(4) == 0 ? std::to_string(below(50)) : "");
  }

  Script script(size_t n_lines) {
    Script steps;
    for (size_t i = 0; i < n_lines; ++i) {
      switch (below(8)) {
        case 0:
          steps.push_back({'-', line()});
          break;
        case 1:
          steps.push_back({'+', line()});
          break;
        case 2:
          steps.push_back({'-', line()});
          steps.push_back({'+', line()});
          break;
        default:
          for (size_t k = below(6); k > 0; --k) steps.push_back({' ', line()});
      }
    }
    return steps;
  }

 private:
  std::mt19937 random_;
};

// Groups of changes with their context, as [begin, end) of the script.
std::vector<std::pair<size_t, size_t>> groups(const Script& steps) {
  std::vector<std::pair<size_t, size_t>> all;
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].kind == ' ') continue;
    const size_t begin = i > kContext ? i - kContext : 0;
    const size_t end = std::min(steps.size(), i + 1 + kContext);
    if (!all.empty() && begin <= all.back().second) {
      all.back().second = end;
    } else {
      all.push_back({begin, end});
    }
  }
  return all;
}

// Whether `hunk`'s old lines stand only once in the old file at or after `from`: only then do both formats
// say the same, for ours knows no line numbers.
bool unique_from(const std::vector<std::string>& file, const std::vector<std::string>& block, size_t from) {
  size_t n = 0;
  for (size_t i = from; i + block.size() <= file.size(); ++i)
    if (std::equal(block.begin(), block.end(), file.begin() + static_cast<std::ptrdiff_t>(i))) ++n;
  return n == 1;
}

// Both forms of an edit. `newline`: how lines end; `last`: whether the last old and the last new line do.
// Nothing where our format could not tell the place.
std::optional<FileEdit> edit_of(const std::string& path, const Script& steps, const std::string& newline,
                                bool last) {
  FileEdit edit{path, {}, {}, {}, {}};
  std::vector<std::string> old_lines;
  for (const Step& step : steps) {
    if (step.kind != '+') edit.before += step.text + newline, old_lines.push_back(step.text);
    if (step.kind != '-') edit.after += step.text + newline;
  }
  if (edit.before.empty() || edit.before == edit.after) return std::nullopt;
  size_t old_last = 0, new_last = 0;  // steps that make the last lines
  for (size_t i = 0; i < steps.size(); ++i) {
    if (steps[i].kind != '+') old_last = i;
    if (steps[i].kind != '-') new_last = i;
  }
  if (!last) {
    // Our format keeps what is; a diff that also changes this would be another edit.
    const bool both = old_last == new_last ||
                      (steps[old_last].kind == '-' && steps[new_last].kind == '+' && new_last > old_last);
    // An empty line that does not end is no line.
    if (!both || steps[old_last].text.empty() || steps[new_last].text.empty()) return std::nullopt;
    // A single line that does not end says nothing of how lines end in its file: new ones get a newline.
    if (newline != "\n" && old_lines.size() == 1) return std::nullopt;
    edit.before.resize(edit.before.size() - newline.size());
    edit.after.resize(edit.after.size() - newline.size());
  }
  std::vector<size_t> old_at(steps.size() + 1, 0), new_at(steps.size() + 1, 0);
  for (size_t i = 0; i < steps.size(); ++i) {
    old_at[i + 1] = old_at[i] + (steps[i].kind != '+' ? 1 : 0);
    new_at[i + 1] = new_at[i] + (steps[i].kind != '-' ? 1 : 0);
  }
  size_t cursor = 0;
  for (const auto& [begin, end] : groups(steps)) {
    const size_t n_old = old_at[end] - old_at[begin], n_new = new_at[end] - new_at[begin];
    edit.unified += fmt::format("@@ -{},{} +{},{} @@\n", old_at[begin] + (n_old > 0 ? 1 : 0), n_old,
                                new_at[begin] + (n_new > 0 ? 1 : 0), n_new);
    edit.ours += "@@\n";
    std::vector<std::string> block;
    for (size_t i = begin; i < end; ++i) {
      edit.unified += steps[i].kind + steps[i].text +
                      (newline == "\r\n" && (last || (i != old_last && i != new_last)) ? "\r\n" : "\n");
      if (!last && (i == old_last || i == new_last)) edit.unified += "\\ No newline at end of file\n";
      edit.ours += steps[i].kind + steps[i].text + "\n";
      if (steps[i].kind != '+') block.push_back(steps[i].text);
    }
    if (block.empty() || !unique_from(old_lines, block, cursor)) return std::nullopt;
    cursor = old_at[end];
  }
  return edit;
}

int git_apply(const ScratchFolder& folder, const std::string& patch) {
  std::ofstream(folder / "the.patch", std::ios::binary) << patch;
  const std::string command =
      "cd '" + folder.path().string() +
      "' && GIT_CEILING_DIRECTORIES=/ GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1 git apply "
      "--whitespace=nowarn the.patch >git.log 2>&1";
  const int status = std::system(command.c_str());  // NOLINT: our own words only
  std::filesystem::remove(folder / "the.patch");
  return status;
}

class PatchAgainstGit : public ::testing::TestWithParam<std::tuple<const char*, bool>> {};

TEST_P(PatchAgainstGit, GiveTheSameFiles) {
  const auto [newline, last] = GetParam();
  size_t n_edits = 0, n_hunks = 0;
  for (uint32_t seed = 0; n_edits < 300; ++seed) {
    ASSERT_LT(seed, 20'000u);
    Generator generator(seed);
    std::vector<FileEdit> edits;
    for (size_t i = 0; i < 12; ++i)
      if (auto edit = edit_of(fmt::format("dir{}/file{}.txt", i % 2, i),
                              generator.script(4 + generator.below(40)), newline, last))
        edits.push_back(std::move(*edit));
    if (edits.empty()) continue;
    ScratchFolder git(ScratchFolder::Place::kMemory), ours(ScratchFolder::Place::kMemory),
        state(ScratchFolder::Place::kMemory);
    std::string unified, patch = "*** Begin Patch\n";
    for (const FileEdit& edit : edits) {
      git.write(edit.path, edit.before);
      ours.write(edit.path, edit.before);
      unified += fmt::format("--- a/{0}\n+++ b/{0}\n{1}", edit.path, edit.unified);
      patch += fmt::format("*** Update File: {}\n{}", edit.path, edit.ours);
      n_hunks += static_cast<size_t>(std::count(edit.ours.begin(), edit.ours.end(), '@'));
    }
    patch += "*** End Patch\n";
    ASSERT_EQ(git_apply(git, unified), 0) << git.read("git.log") << unified;
    std::filesystem::remove(git / "git.log");
    const auto workspace = Workspace::open(ours.path());
    const auto changes = apply_patch(*workspace, patch, ApplyOptions{.journal_folder = state.path()});
    ASSERT_TRUE(changes.has_value()) << "seed " << seed << ": " << changes.error().message << "\n" << patch;
    ASSERT_EQ(ours.tree(), git.tree()) << "seed " << seed << "\n" << patch;
    for (const FileEdit& edit : edits) ASSERT_EQ(ours.read(edit.path), edit.after) << "seed " << seed;
    n_edits += edits.size();
  }
  EXPECT_GT(n_hunks, 500u);
}

INSTANTIATE_TEST_SUITE_P(Files, PatchAgainstGit,
                         ::testing::Combine(::testing::Values("\n", "\r\n"), ::testing::Bool()),
                         [](const auto& info) {
                           return std::string(std::get<0>(info.param)[0] == '\r' ? "crlf" : "lf") +
                                  (std::get<1>(info.param) ? "" : "_no_newline_at_end");
                         });

// The comparison itself must notice a difference.
TEST(PatchAgainstGitItself, SeesAWrongEdit) {
  ScratchFolder git;
  git.write("f", "a\nb\n");
  EXPECT_EQ(git_apply(git, "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"), 0);
  EXPECT_EQ(git.read("f"), "a\nc\n");
  EXPECT_NE(git_apply(git, "--- a/f\n+++ b/f\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"), 0);
}

}  // namespace
}  // namespace atelier::agent
