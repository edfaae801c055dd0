// What sessions cost in a large repository: `bench_timeline [FILES]` makes one of 10,000 files in 500 folders
// and prints milliseconds for the first look at it, later ones, the end of a task, undo and redo (medians of
// 9).
#include "agent/session/timeline.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace atelier::agent {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}
double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

std::string name_of_file(const std::filesystem::path& work, size_t i) {
  return (work / fmt::format("folder{}/module{}/file{}.txt", i % 20, i % 500, i)).string();
}

Status run(size_t n_files, const std::filesystem::path& scratch) {
  const std::filesystem::path work = scratch / "work";
  for (size_t i = 0; i < n_files; ++i) {
    const std::filesystem::path file = name_of_file(work, i);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << fmt::format("file {}\n{}\n", i, std::string(4000, 'x'));
  }
  ATELIER_TRY(const Workspace workspace, Workspace::open(work));
  const TimelineOptions options{.database = scratch / "state/sessions.db",
                                .journal_folder = scratch / "edits"};
  Transcript transcript;
  ATELIER_TRY(const auto timeline,
              Timeline::begin(workspace, {.id = "20250101-000000-00000001"}, transcript, options));
  Clock::time_point begin = Clock::now();
  ATELIER_CHECK_OK(timeline->before_effects());
  const double first = ms_since(begin);

  std::vector<double> looks, ends, undos, redos;
  for (int round = 0; round < 9; ++round) {
    begin = Clock::now();
    ATELIER_CHECK_OK(timeline->on_task(transcript, "change"));
    ATELIER_CHECK_OK(timeline->before_effects());
    looks.push_back(ms_since(begin));
    for (size_t i = 0; i < 5; ++i)
      std::ofstream(name_of_file(work, i * 37)) << "round " << round << " " << i << "\n";
    begin = Clock::now();
    ATELIER_CHECK_OK(timeline->on_end(transcript, {}));
    ends.push_back(ms_since(begin));
    begin = Clock::now();
    ATELIER_CHECK_OK(timeline->undo().map([](const auto&) {}));
    undos.push_back(ms_since(begin));
    begin = Clock::now();
    ATELIER_CHECK_OK(timeline->redo().map([](const auto&) {}));
    redos.push_back(ms_since(begin));
  }
  fmt::print(
      "{{\"files\":{},\"first_look_ms\":{:.1f},\"look_ms\":{:.1f},\"end_of_task_ms\":{:.1f},\"undo_ms\":{:."
      "1f},"
      "\"redo_ms\":{:.1f},\"worst_undo_ms\":{:.1f}}}\n",
      n_files, first, median(looks), median(ends), median(undos), median(redos),
      *std::ranges::max_element(undos));
  return {};
}

}  // namespace
}  // namespace atelier::agent

int main(int argc, char** argv) {
  std::string scratch = (std::filesystem::temp_directory_path() / "atelier-timeline-XXXXXX").string();
  if (::mkdtemp(scratch.data()) == nullptr) return 1;
  const auto done = atelier::agent::run(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 10'000, scratch);
  std::error_code none;
  std::filesystem::remove_all(scratch, none);
  if (!done) fmt::print(stderr, "{}\n", done.error().message);
  return done ? 0 : 1;
}
