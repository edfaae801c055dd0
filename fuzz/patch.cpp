// Any text as a patch for any file: no crash, and either what the patch says or untouched files. The input up
// to the first byte 0xff is the file's content, the rest the patch as a model might send it.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "agent/patch/apply.h"
#include "agent/patch/edit_file.h"
#include "agent/patch/text_file.h"
#include "agent/workspace/transaction.h"
#include "base/check.h"
#include "base/file.h"

namespace {

using namespace atelier;
using namespace atelier::agent;
namespace fs = std::filesystem;

// A workspace in memory where the machine has one, with a folder for the journal.
struct Scratch {
  fs::path root;
  Scratch() {
    const fs::path parent = fs::exists("/dev/shm") ? fs::path("/dev/shm") : fs::temp_directory_path();
    std::string name = (parent / "atelier-fuzz-XXXXXX").string();
    ATELIER_CHECK(::mkdtemp(name.data()) != nullptr);
    root = name;
    fs::create_directories(root / "w");
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(root, ignored);
  }
};

std::string read(const fs::path& path) { return read_file(path, kMaxFileBytes).value_or("(none)"); }

// What holds for every successful edit of one file, however it was found.
void check_edit(const std::string& content, const std::vector<Hunk>& hunks, const std::string& result) {
  const TextFile before = TextFile::parse("f", content).value();
  const auto after = TextFile::parse("f", result);
  if (!after) return;  // the patch put a zero byte there, which the caller refuses
  ATELIER_CHECK(after->byte_order_mark >= before.byte_order_mark);
  size_t added = 0, removed = 0;
  for (const Hunk& hunk : hunks)
    for (const HunkLine& line : hunk.lines) {
      added += line.kind == HunkLine::Kind::kAdded ? 1 : 0;
      removed += line.kind == HunkLine::Kind::kRemoved ? 1 : 0;
    }
  // An empty added line at the end of a file without a last newline is no line.
  const size_t expected = before.lines.size() + added - removed;
  ATELIER_CHECK(after->lines.size() == expected ||
                (after->lines.size() + 1 == expected && !before.ends_with_newline()));
}

void run_on_files(const std::string& content, std::string_view text) {
  static const Scratch scratch;
  const fs::path folder = scratch.root / "w";
  for (const auto& entry : fs::directory_iterator(folder)) fs::remove_all(entry.path());
  for (const char* name : {"f", "g"}) std::ofstream(folder / name, std::ios::binary) << content;
  const auto workspace = Workspace::open(folder).value();
  const ApplyOptions options{.journal_folder = scratch.root / "edits"};
  const auto changes = apply_patch(workspace, text, options);
  if (changes) {
    for (const FileChange& change : *changes)
      if (change.after) ATELIER_CHECK(read(folder / change.path) == change.after->content);
    ATELIER_CHECK(commit_changes(workspace, inverse(*changes), options.journal_folder).has_value());
  }
  for (const char* name : {"f", "g"}) ATELIER_CHECK(read(folder / name) == content);
  size_t n_files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) n_files += entry.is_directory() ? 0 : 1;
  ATELIER_CHECK(n_files == 2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string all(reinterpret_cast<const char*>(data), size);
  const size_t split = all.find('\xff');
  const std::string content = all.substr(0, split);
  const std::string text = split == std::string::npos ? std::string() : all.substr(split + 1);
  const std::string argv[] = {"bash", "-lc", text};
  (void)unwrap_command(argv);
  const auto patch_text = unwrap_patch(text);
  if (!patch_text) return 0;
  const auto patch = parse_patch(patch_text->text);
  if (!patch) return 0;
  for (const Section& section : patch->sections)
    if (const auto result = apply_hunks(section.path, content, section.hunks);
        result && !section.hunks.empty())
      check_edit(content, section.hunks, *result);
  if (size % 16 == 0) run_on_files(content, text);  // slow
  return 0;
}
