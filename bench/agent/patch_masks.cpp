// What it costs to hold a patch to a file's lines: the grammar, and the masks on the way through a patch.
//
//   bench_patch_masks TOKENIZER FILE...      TOKENIZER: a tokenizer.json
//
// One line a file: lines, bytes, the time to make grammar and constraint, then of the masks while a hunk
// is written over lines from the middle of the file the median, the largest, and the first one behind "@@".
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "agent/patch/patch_language.h"
#include "base/file.h"
#include "engine/constraint/constraint.h"
#include "engine/token_filter.h"

namespace atelier::agent {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// Five lines from the middle, the third of them replaced.
std::string patch_for(const std::string& path, std::string_view content) {
  std::vector<std::string_view> lines;
  for (size_t at = 0; at < content.size();) {
    const size_t end = std::min(content.find('\n', at), content.size());
    lines.push_back(content.substr(at, end - at));
    at = end + 1;
  }
  std::string patch = "*** Begin Patch\n*** Update File: " + path + "\n@@\n";
  for (size_t i = 0; i < 5 && lines.size() / 2 + i < lines.size(); ++i)
    patch += fmt::format("{}{}\n", i == 2 ? '-' : ' ', lines[lines.size() / 2 + i]);
  return patch + "+a line of our own\n*** End Patch";
}

Status measure(const std::string& path, const Tokenizer& tokenizer,
               const std::shared_ptr<const constraint::TokenTrie>& trie) {
  ATELIER_TRY(const std::string content, read_file(path, size_t{64} << 20));
  const Clock::time_point begin = Clock::now();
  constraint::GrammarBuilder builder;
  ATELIER_TRY(const constraint::ExprId patch,
              patch_language(builder, {.files = {{path, content}}}, PatchSpelling::kPlain));
  const constraint::RuleId root = builder.declare("patch");
  builder.define(root, patch);
  ATELIER_TRY(std::shared_ptr<const constraint::Grammar> grammar, builder.build(root));
  const size_t n_states = grammar->n_states();
  ATELIER_TRY(std::shared_ptr<constraint::Constraint> made, constraint::Constraint::create(grammar, trie));
  made->prepare();
  const double compiled = ms_since(begin);
  constraint::ConstraintMatcher matcher(made);
  std::vector<uint64_t> mask(token_mask_words(tokenizer.vocab_size()));
  std::vector<double> times;
  double first_line = 0;
  std::string so_far;
  for (const TokenId id : tokenizer.encode(patch_for(path, content))) {
    const Clock::time_point before = Clock::now();
    ATELIER_CHECK_OK(matcher.allowed(mask));
    times.push_back(ms_since(before));
    if (so_far.ends_with("@@\n")) first_line = times.back();
    if (!matcher.accept(id, tokenizer))
      return fail(ErrorCode::kUnsupported, "{}: the patch is not legal behind {}", path, so_far);
    so_far += tokenizer.token_bytes(id);
  }
  std::ranges::sort(times);
  fmt::print(
      "{:6} lines {:8} bytes  {:8} states  made in {:7.1f} ms  masks: median {:6.3f} ms, first line {:6.3f} "
      "ms, "
      "largest {:7.3f} ms  {}\n",
      std::ranges::count(content, '\n'), content.size(), n_states, compiled, times[times.size() / 2],
      first_line, times.back(), path);
  return {};
}

Status run(std::span<char*> arguments) {
  ATELIER_TRY(const std::shared_ptr<const Tokenizer> tokenizer,
              Tokenizer::load(std::filesystem::path(arguments[0])));
  const auto trie = constraint::TokenTrie::build(*tokenizer);
  for (const char* path : arguments.subspan(1))
    if (Status done = measure(path, *tokenizer, trie); !done)
      fmt::print("{}: {}\n", path, done.error().message);
  return {};
}

}  // namespace
}  // namespace atelier::agent

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: {} TOKENIZER FILE...\n", argv[0]);
    return 2;
  }
  const auto done = atelier::agent::run(std::span(argv, static_cast<size_t>(argc)).subspan(1));
  if (!done) fmt::print(stderr, "{}\n", done.error().message);
  return done ? 0 : 1;
}
