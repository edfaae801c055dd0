// A scripted model that works in a scratch folder, with everything it says and sees within reach of a test.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agent/harness/workbench.h"
#include "models/script.h"
#include "tests/agent/scratch_folder.h"

namespace atelier::agent {

// Remembers what it was told.
class Recorder : public AgentObserver {
 public:
  void on_item(Phase phase, const Item& item, std::string_view) override {
    if (phase == Phase::kStarted) ++started;
    if (phase == Phase::kCompleted) items.push_back(item);
    if (on_completed && phase == Phase::kCompleted) on_completed(item);
  }
  void on_note(std::string_view text) override {
    if (notes.empty()) items_before_note = items.size();
    notes.emplace_back(text);
  }
  bool on_approval(const ApprovalRequest& request) override {
    asked.push_back(request);
    return agree;
  }

  size_t started = 0;
  std::vector<Item> items;
  std::vector<std::string> notes;
  size_t items_before_note = 0;  // the first one
  std::vector<ApprovalRequest> asked;
  bool agree = false;
  std::function<void(const Item&)> on_completed;
};

inline std::string harmony_call(const std::string& tool, const nlohmann::ordered_json& arguments) {
  // In the order of the schema, as the grammar wants it.
  return "<|channel|>analysis to=" + tool + " code<|message|>" + arguments.dump() + "<|call|>";
}
inline std::string harmony_shell(const std::string& line) {
  return harmony_call("container.exec", {{"cmd", {"bash", "-c", line}}});
}
inline std::string harmony_final(const std::string& text) {
  return "<|channel|>final<|message|>" + text + "<|return|>";
}

class AgentTest : public ::testing::Test {
 protected:
  // The model says `turns`, one a step.
  Workbench& start(const std::vector<std::string>& turns, WorkbenchOptions options = {},
                   size_t context = 32768) {
    const std::filesystem::path script = home_ / "script.json";
    std::ofstream(script) << nlohmann::json{{"architecture", "gpt-oss"},
                                            {"tokenizer", ATELIER_TEST_DATA "/tokenizer/gpt-oss.json"},
                                            {"context", context},
                                            {"turns", turns}};
    auto loaded = load_script(script);
    EXPECT_TRUE(loaded) << loaded.error().message;
    engine_ = Engine::create(std::move(loaded->model), loaded->tokenizer, {}, {.n_threads = 1});
    options.folder = work_.path();
    options.session_folder = home_ / "session";
    options.journal_folder = home_ / "edits";
    options.sandbox.policy.scratch = home_ / "tmp";
    options.date = "2025-06-28";
    if (options.agent.cancel == nullptr) options.agent.cancel = &cancel_;
    auto bench = Workbench::open(*engine_, std::move(options));
    EXPECT_TRUE(bench) << bench.error().message;
    bench_ = std::move(*bench);
    return *bench_;
  }
  static WorkbenchOptions free() { return {.sandbox = {.policy = {.mode = SandboxMode::kFull}}}; }

  TaskEnd run(const std::string& task) {
    auto end = bench_->agent().run(task, recorder_);
    EXPECT_TRUE(end) << end.error().message;
    return end ? *end : TaskEnd{};
  }
  const chat::Conversation& conversation() const { return bench_->speaker().transcript().conversation; }
  // What the tools answered, in order.
  std::vector<std::string> results() const {
    std::vector<std::string> out;
    for (const chat::Message& message : conversation().messages)
      if (message.role == chat::Role::kTool) out.push_back(message.content);
    return out;
  }

  ScratchFolder work_, home_;
  std::atomic<bool> cancel_{false};
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Workbench> bench_;
  Recorder recorder_;
};

}  // namespace atelier::agent
