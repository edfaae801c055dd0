// Models come and go: loaded once for all who ask, pushed out when unused, never while in use.
#include "engine/model_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/engine/scheduler_fixture.h"

namespace atelier::testing {
namespace {

// A machine with room for so many models. A model's place is free again when its engine is gone.
class Machine {
 public:
  explicit Machine(int room) : room_(room) {}

  ModelPool::Loader loader() {
    return [this](const std::string& name) -> Result<std::unique_ptr<Engine>> {
      if (hold_up) hold_up->wait();
      ++loads;
      if (name == "unknown") return fail(ErrorCode::kNotFound, "unknown: no such model");
      if (room_.fetch_sub(1) <= 0) {
        room_.fetch_add(1);
        return fail(ErrorCode::kOutOfMemory, "{}: needed 2 MiB, available 1 MiB", name);
      }
      return history_engine({.before_pass = [place = std::make_shared<Place>(&room_)](const Batch&) {}});
    };
  }

  Gate* hold_up = nullptr;
  std::atomic<int> loads{0};

 private:
  struct Place {
    explicit Place(std::atomic<int>* room_in) : room(room_in) {}
    ~Place() { room->fetch_add(1); }
    std::atomic<int>* room;
  };
  std::atomic<int> room_;
};

std::vector<std::string> names(const ModelPool& pool) {
  std::vector<std::string> out;
  for (const ModelLease& model : pool.loaded()) out.push_back(model->name);
  return out;
}

using Names = std::vector<std::string>;

TEST(ModelPool, LoadsOnceAndServes) {
  Machine machine(4);
  ModelPool pool(machine.loader(), {});
  const ModelLease model = pool.acquire("a").value();
  EXPECT_EQ(model, pool.acquire("a").value());
  EXPECT_EQ(machine.loads, 1);
  GenerationRequest request;
  request.prompt = some_ids(20);
  request.max_tokens = 3;
  EXPECT_EQ(ask(model->scheduler, std::move(request)).tokens().size(), 3u);
}

TEST(ModelPool, AllWhoWaitShareOneLoad) {
  Machine machine(4);
  Gate gate;
  machine.hold_up = &gate;
  ModelPool pool(machine.loader(), {});
  std::mutex mutex;
  std::vector<ModelLease> leases;
  for (int i = 0; i < 10; ++i)
    pool.acquire("a", [&](Result<ModelLease> lease) {
      const std::lock_guard lock(mutex);
      leases.push_back(lease.value());
    });
  gate.open();
  const ModelLease model = pool.acquire("a").value();
  (void)pool.acquire("unknown");  // comes after all of them
  const std::lock_guard lock(mutex);
  ASSERT_EQ(leases.size(), 10u);
  for (const ModelLease& lease : leases) EXPECT_EQ(lease, model);
  EXPECT_EQ(machine.loads, 2);
}

TEST(ModelPool, TheLeastRecentlyUsedMakesRoom) {
  Machine machine(2);
  ModelPool pool(machine.loader(), {});
  (void)pool.acquire("a");
  (void)pool.acquire("b");
  (void)pool.acquire("a");
  EXPECT_EQ(names(pool), (Names{"a", "b"}));
  EXPECT_TRUE(pool.acquire("c"));
  EXPECT_EQ(names(pool), (Names{"c", "a"}));
}

TEST(ModelPool, AModelInUseStays) {
  Machine machine(2);
  ModelPool pool(machine.loader(), {});
  ModelLease a = pool.acquire("a").value();
  (void)pool.acquire("b");
  EXPECT_TRUE(pool.acquire("c"));
  EXPECT_EQ(names(pool), (Names{"c", "a"}));
  const ModelLease c = pool.acquire("c").value();
  const auto failed = pool.acquire("d");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kOutOfMemory);
  EXPECT_NE(failed.error().message.find("needed 2 MiB, available 1 MiB"), std::string::npos);
  EXPECT_FALSE(pool.unload("a"));
  a = nullptr;
  EXPECT_TRUE(pool.acquire("d"));
  EXPECT_EQ(names(pool), (Names{"d", "c"}));
}

TEST(ModelPool, CountIsBounded) {
  Machine machine(100);
  ModelPool pool(machine.loader(), {.max_models = 2});
  const ModelLease a = pool.acquire("a").value();
  (void)pool.acquire("b");
  const ModelLease c = pool.acquire("c").value();
  EXPECT_EQ(names(pool), (Names{"c", "a"}));
  EXPECT_EQ(pool.acquire("d").error().code, ErrorCode::kOverloaded);
  EXPECT_EQ(pool.acquire("unknown").error().code, ErrorCode::kOverloaded);
}

TEST(ModelPool, ErrorsAreTheLoadersAndDoNotStick) {
  Machine machine(1);
  ModelPool pool(machine.loader(), {});
  for (int i = 0; i < 2; ++i) EXPECT_EQ(pool.acquire("unknown").error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(pool.acquire("a"));
  EXPECT_TRUE(pool.unload("a"));
  EXPECT_FALSE(pool.unload("a"));
  EXPECT_TRUE(pool.acquire("b"));
}

TEST(ModelPool, WaitersAreBoundedAndToldOfTheEnd) {
  Machine machine(4);
  Gate gate;
  machine.hold_up = &gate;
  std::atomic<int> told{0}, refused{0}, leased{0};
  const auto ready = [&](Result<ModelLease> lease) {
    if (lease) {
      ++leased;
    } else {
      ++(lease.error().code == ErrorCode::kOverloaded ? refused : told);
    }
  };
  {
    ModelPool pool(machine.loader(), {.max_waiting = 3});
    for (int i = 0; i < 5; ++i) pool.acquire("model " + std::to_string(i), ready);
    EXPECT_EQ(refused, 2);
    gate.open();
  }
  EXPECT_EQ(told + leased, 3);
}

TEST(ModelPool, AModelWhoseFileWentBadIsLoadedAgain) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(::testing::TempDir()) / "model_pool_reload";
  const auto restore = [&] {
    fs::remove_all(folder);
    fs::copy(ATELIER_TEST_DATA "/models/llama-f32", folder, fs::copy_options::recursive);
  };
  restore();
  ModelPool pool([&](const std::string&) { return Engine::load(folder, {.n_threads = 1}); }, {});
  const auto say = [&](const ModelLease& model) {
    GenerationRequest request;
    request.prompt = {1, 2, 3};
    request.max_tokens = 4;
    return ask(model->scheduler, std::move(request));
  };
  const ModelLease before = pool.acquire("m").value();
  const std::vector<TokenId> tokens = say(before).tokens();
  EXPECT_EQ(tokens.size(), 4u);
  fs::resize_file(folder / "model.safetensors", 64);
  EXPECT_EQ(say(before).reason(), EndReason::kError);
  EXPECT_FALSE(pool.acquire("m"));  // nothing there to load
  restore();
  const ModelLease after = pool.acquire("m").value();
  EXPECT_NE(after, before);
  EXPECT_EQ(say(after).tokens(), tokens);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace atelier::testing
