#include "io/store.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "io/model_names.h"
#include "io/sha256.h"
#include "store_fixture.h"

namespace atelier {
namespace {

namespace fs = std::filesystem;
using testing::names_in;
using testing::StoreTest;
using testing::tiny_gguf;
using testing::write;

// SHA-256 of FIPS 180-2, appendix B, and of the empty string.
TEST(Sha256, MatchesTheStandardsVectors) {
  const testing::TempFolder temp;
  EXPECT_EQ(sha256_file(write(temp / "abc", "abc")).value(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_file(write(temp / "empty", "")).value(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_file(write(temp / "million", std::string(1'000'000, 'a'))).value(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  // Longer than the chunk it is read in.
  const fs::path large = write(temp / "large", std::string(5'000'000, 'a'));
  std::vector<uint64_t> seen;
  const auto observe = [&seen](uint64_t bytes) -> Status {
    seen.push_back(bytes);
    return {};
  };
  EXPECT_TRUE(sha256_file(large, observe).has_value());
  EXPECT_GE(seen.size(), 2U);
  EXPECT_EQ(seen.back(), 5'000'000U);
}

TEST(Sha256, RefusesWhatIsNoFile) {
  const testing::TempFolder temp;
  EXPECT_EQ(sha256_file(temp / "absent").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(sha256_file(temp.path()).error().code, ErrorCode::kInvalidArgument);
}

TEST(StoreNames, CannotLeaveTheFolder) {
  for (const std::string_view good : {"starter", "a", "Llama-3.2-1B_Q4", "0"})
    EXPECT_TRUE(is_store_name(good)) << good;
  for (const std::string_view bad :
       {"", ".", "..", "../x", "a/b", ".hidden", "-rf", "a b", "a\nb", "script:x", "ü"})
    EXPECT_FALSE(is_store_name(bad)) << bad;
  EXPECT_TRUE(is_store_name(std::string(128, 'a')));
  EXPECT_FALSE(is_store_name(std::string(129, 'a')));
  EXPECT_FALSE(is_store_name(std::string_view("a\0b", 3)));
}

TEST_F(StoreTest, AnEmptyStoreHasNothingAndCreatesNothing) {
  EXPECT_TRUE(store.list()->models.empty());
  EXPECT_EQ(store.find("starter").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store.remove("starter").error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(store.root()));
}

TEST_F(StoreTest, ImportsAFileAndFindsItAgain) {
  const fs::path file = write(temp / "Tiny Model (v2).gguf", tiny_gguf());
  const auto added = store.import(file, {});
  ASSERT_TRUE(added) << added.error().message;
  EXPECT_EQ(added->name, "Tiny-Model-v2");
  EXPECT_EQ(added->architecture, "llama");
  EXPECT_EQ(added->source, file.string());
  EXPECT_EQ(added->total_bytes(), tiny_gguf().size());
  EXPECT_EQ(added->added.size(), std::string_view("2026-01-31T12:00:00Z").size());
  ASSERT_EQ(added->files.size(), 1U);
  EXPECT_EQ(added->files[0].sha256, sha256_file(file).value());

  const auto found = store.find("Tiny-Model-v2");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->files, added->files);
  EXPECT_EQ(testing::read(found->path), tiny_gguf());
  EXPECT_EQ(store.list()->models.size(), 1U);
  EXPECT_EQ(store.resolve("Tiny-Model-v2").value(), found->path);
  expect_no_leftovers();
}

TEST_F(StoreTest, ImportingTheSameAgainChangesNothingAndOtherContentIsRefused) {
  ASSERT_TRUE(store.import(write(temp / "a/m.gguf", tiny_gguf(8)), {}));
  EXPECT_TRUE(store.import(write(temp / "b/m.gguf", tiny_gguf(8)), {}));
  const auto other = store.import(write(temp / "c/m.gguf", tiny_gguf(16)), {});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(other.error().message.find("atelier rm m"), std::string::npos) << other.error().message;
  EXPECT_EQ(testing::read(store.find("m")->path), tiny_gguf(8));
  EXPECT_TRUE(store.import(temp / "c/m.gguf", {"other", "", {}}));
  EXPECT_EQ(store.list()->models.size(), 2U);
  expect_no_leftovers();
}

TEST_F(StoreTest, ImportsEveryPartOfASplitFileFromAnyOfThem) {
  for (unsigned part = 0; part < 3; ++part)
    write(temp / ("big-0000" + std::to_string(part + 1) + "-of-00003.gguf"), tiny_gguf(8, part, 3));
  const auto added = store.import(temp / "big-00002-of-00003.gguf", {});
  ASSERT_TRUE(added) << added.error().message;
  EXPECT_EQ(added->name, "big");
  EXPECT_EQ(added->files.size(), 3U);
  EXPECT_EQ(added->path.filename(), "big-00001-of-00003.gguf");

  fs::remove(temp / "big-00003-of-00003.gguf");
  const auto missing = store.import(temp / "big-00001-of-00003.gguf", {"again", "", {}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find("big-00003-of-00003.gguf"), std::string::npos);
}

TEST_F(StoreTest, ImportsAFolderWithoutWhatDoesNotBelongToTheModel) {
  testing::write_tiny_folder(temp / "my-model");
  write(temp / "my-model/picture.png", "x");
  write(temp / "my-model/.hidden.json", "{}");
  write(temp / "my-model/sub/config.json", "{}");
  const auto added = store.import(temp / "my-model", {});
  ASSERT_TRUE(added) << added.error().message;
  EXPECT_EQ(added->name, "my-model");
  EXPECT_EQ(added->files.size(), 2U);
  EXPECT_TRUE(fs::is_directory(added->path));
  EXPECT_EQ(names_in(added->path).size(), 2U);
}

TEST_F(StoreTest, RefusesWhatIsNoModel) {
  fs::create_directories(temp / "empty");
  write(temp / "noise/config.json", "{}");
  ASSERT_EQ(::mkfifo((temp / "fifo.gguf").c_str(), 0600), 0);
  const std::pair<fs::path, ErrorCode> cases[] = {
      {temp / "absent.gguf", ErrorCode::kNotFound},
      {temp / "empty", ErrorCode::kNotFound},
      {temp / "noise", ErrorCode::kNotFound},
      {write(temp / "text.txt", "hello"), ErrorCode::kUnsupported},
      {write(temp / "bad.gguf", "not a model at all"), ErrorCode::kCorrupt},
      {write(temp / "cut.gguf", tiny_gguf().substr(0, 90)), ErrorCode::kCorrupt},
      {temp / "fifo.gguf", ErrorCode::kInvalidArgument},
  };
  for (const auto& [path, code] : cases) {
    const auto added = store.import(path, {});
    ASSERT_FALSE(added) << path;
    EXPECT_EQ(added.error().code, code) << added.error().message;
    EXPECT_NE(added.error().message.find(path.string()), std::string::npos) << added.error().message;
    EXPECT_EQ(added.error().message.find('\n'), std::string::npos);
  }
  EXPECT_TRUE(store.list()->models.empty());
  expect_no_leftovers();
}

TEST_F(StoreTest, CancellingLeavesNothing) {
  ImportOptions options;
  options.hooks.cancelled = [] { return true; };
  const auto added = store.import(write(temp / "m.gguf", tiny_gguf()), options);
  ASSERT_FALSE(added);
  EXPECT_EQ(added.error().code, ErrorCode::kInterrupted);
  EXPECT_TRUE(store.list()->models.empty());
  expect_no_leftovers();
}

TEST_F(StoreTest, RemovingANameKeepsWhatOthersUse) {
  const fs::path file = write(temp / "m.gguf", tiny_gguf());
  ASSERT_TRUE(store.import(file, {"one", "", {}}));
  ASSERT_TRUE(store.import(file, {"two", "", {}}));
  ASSERT_TRUE(store.remove("one"));
  EXPECT_EQ(store.find("one").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(testing::read(store.find("two")->path), tiny_gguf());
  EXPECT_EQ(testing::read(file), tiny_gguf());
  EXPECT_EQ(store.remove("../config.json").error().code, ErrorCode::kInvalidArgument);
  expect_no_leftovers();
}

TEST_F(StoreTest, ADamagedEntryIsNamedListedApartAndCanBeReplaced) {
  const fs::path file = write(temp / "m.gguf", tiny_gguf());
  ASSERT_TRUE(store.import(file, {}));
  const fs::path entry = store.root() / "models/m";
  const std::string manifest = testing::read(entry / "manifest.json");

  const std::string bad_manifests[] = {"",
                                       "[]",
                                       "{}",
                                       R"({"format":2})",
                                       R"({"format":1,"files":[]})",
                                       R"({"format":1,"files":[1]})",
                                       R"({"format":1,"files":[{"name":"../../x","bytes":1,"sha256":""}]})",
                                       R"({"format":1,"files":[{"name":"m.gguf","bytes":-1,"sha256":""}]})",
                                       R"({"format":1,"files":[{"name":"absent","bytes":1,"sha256":""}]})",
                                       manifest.substr(0, manifest.size() / 2)};
  for (const std::string& bad : bad_manifests) {
    write(entry / "manifest.json", bad);
    EXPECT_EQ(store.find("m").error().code, ErrorCode::kCorrupt) << bad;
  }
  EXPECT_EQ(store.list()->damaged.size(), 1U);
  EXPECT_EQ(store.resolve("m").error().code, ErrorCode::kCorrupt);

  const auto again = store.import(file, {});
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(store.list()->models.size(), 1U);
  expect_no_leftovers();
}

TEST_F(StoreTest, AShortenedFileIsNoticed) {
  const auto added = store.import(write(temp / "m.gguf", tiny_gguf()), {});
  ASSERT_TRUE(added);
  fs::resize_file(added->path, 40);
  const auto found = store.find("m");
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message.find("found 40"), std::string::npos) << found.error().message;
  EXPECT_TRUE(store.remove("m"));
}

TEST_F(StoreTest, ResolvesNamesBeforePathsAndSaysWhenThereIsNeither) {
  const fs::path file = write(temp / "x.gguf", tiny_gguf());
  EXPECT_EQ(store.resolve(file.string()).value(), file);
  EXPECT_EQ(store.resolve(temp.path().string()).value(), temp.path());
  for (const std::string_view absent : {"nothing", "", "/nowhere/x.gguf"})
    EXPECT_EQ(store.resolve(absent).error().code, ErrorCode::kNotFound) << absent;
}

TEST_F(StoreTest, TheDefaultModelIsTheConfiguredElseTheOnlyElseTheStarter) {
  EXPECT_EQ(store.default_model().value(), "starter");
  const fs::path file = write(temp / "m.gguf", tiny_gguf());
  ASSERT_TRUE(store.import(file, {"one", "", {}}));
  EXPECT_EQ(store.default_model().value(), "one");
  ASSERT_TRUE(store.import(file, {"two", "", {}}));
  EXPECT_EQ(store.default_model().value(), "starter");
  write(store.config_file(), R"({"default_model":"two"})");
  EXPECT_EQ(store.default_model().value(), "two");
  write(store.config_file(), R"({"theme":"dark"})");
  EXPECT_EQ(store.default_model().value(), "starter");
  for (const std::string_view bad : {"", "{", "[]", R"({"default_model":7})"}) {
    write(store.config_file(), bad);
    EXPECT_EQ(store.default_model().error().code, ErrorCode::kCorrupt) << bad;
  }
}

TEST(StoreFolders, FollowXdgAndIgnoreRelativeValues) {
  const auto with = [](const char* data, const char* home) {
    ::setenv("XDG_DATA_HOME", data, 1);
    ::setenv("HOME", home, 1);
    return Store::open().value().root();
  };
  EXPECT_EQ(with("/data", "/users/u"), "/data/atelier");
  EXPECT_EQ(with("relative", "/users/u"), "/users/u/.local/share/atelier");
  EXPECT_EQ(with("", "/users/u"), "/users/u/.local/share/atelier");
  ::unsetenv("XDG_DATA_HOME");
}

TEST_F(StoreTest, LeftoversOfADeadProcessAreSweptAndThoseOfALivingOneAreNot) {
  const auto alive = Staging::create(store.root());
  ASSERT_TRUE(alive);
  write(store.root() / "staging/dead/model/files/part", "unfinished");
  const auto next = Staging::create(store.root());
  ASSERT_TRUE(next);
  EXPECT_TRUE(fs::exists(alive->files()));
  EXPECT_TRUE(fs::exists(next->files()));
  EXPECT_FALSE(fs::exists(store.root() / "staging/dead"));
}

TEST_F(StoreTest, RefusesToStartWithoutSpace) {
  const Status enough = check_free_space(temp.path(), 1);
  EXPECT_TRUE(enough) << enough.error().message;
  const Status never = check_free_space(temp.path(), uint64_t{1} << 62);
  ASSERT_FALSE(never);
  EXPECT_NE(never.error().message.find("MB needed"), std::string::npos) << never.error().message;
}

// A process that imports and removes without pause is killed at changing moments: whatever it was doing, the
// store it leaves lists only whole models, and the next import and removal work.
TEST_F(StoreTest, AKillAtAnyMomentLeavesAReadableStore) {
  const fs::path kept = write(temp / "kept.gguf", tiny_gguf(64));
  const fs::path file = write(temp / "m.gguf", tiny_gguf(4096));
  ASSERT_TRUE(store.import(kept, {}));
  for (int round = 0; round < 40; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (;;) {
        (void)store.import(file, {});
        (void)store.remove("m");
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(500 + 357 * round));
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);

    const auto listing = store.list();
    ASSERT_TRUE(listing);
    EXPECT_TRUE(listing->damaged.empty()) << listing->damaged.front().message;
    for (const StoredModel& model : listing->models)
      EXPECT_EQ(sha256_file(model.path).value(), model.files[0].sha256) << model.name;
    EXPECT_TRUE(store.find("kept"));
  }
  EXPECT_TRUE(store.import(file, {}));
  EXPECT_TRUE(store.remove("m"));
  expect_no_leftovers();
}

}  // namespace
}  // namespace atelier
