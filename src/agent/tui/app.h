// The terminal interface: a conversation with the agent, in line with whatever the terminal showed before.
//
// What is over scrolls away as ordinary output; below it one region is repainted: what is being said or run,
// the text being typed, a line that tells how things stand. Terminals that cannot move the cursor get the
// same lines without the region, and are read line by line.
#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <string>

#include "agent/tui/worker.h"

namespace atelier::agent::tui {

struct AppOptions {
  WorkerOptions worker{};  // `wake` is filled in
  int input = 0, output = 1;
  std::filesystem::path history_file{};
  std::string greeting{};                          // a line at the beginning
  const std::atomic<bool>* interrupted = nullptr;  // Ctrl-C where keys are not read one by one
  std::function<void()> clear_interrupted{};
};

// Until the user leaves. Errors: a terminal that cannot be set up, a model that cannot be loaded where nobody
// could choose another.
Status run_app(AppOptions options);

}  // namespace atelier::agent::tui
