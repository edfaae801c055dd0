// Any text as config.json (or params.json) of a published checkpoint: a model or a typed error. The first
// byte of an input chooses the checkpoint, whose tensors stay as they are.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "io/json_text.h"
#include "models/model.h"

namespace {

using namespace atelier;
namespace fs = std::filesystem;

constexpr const char* kModels[] = {"llama-f32", "llama3-meta", "gpt-oss-hf", "gpt-oss-original",
                                   "gpt2-hf",   "qwen2-hf",    "qwen3-hf",   "gemma3-hf"};

// A folder in memory, where the machine has one, with the tensors of each checkpoint.
class Folders {
 public:
  Folders() {
    std::error_code error;
    const fs::path base = fs::is_directory("/dev/shm", error) ? "/dev/shm" : fs::temp_directory_path();
    std::string name = (base / "atelier-fuzz-config-XXXXXX").string();
    ATELIER_CHECK(::mkdtemp(name.data()) != nullptr);
    root_ = name;
    for (const char* model : kModels) {
      const fs::path source = fs::path(ATELIER_TEST_DATA) / "models" / model;
      fs::create_directories(root_ / model);
      for (const auto& item : fs::directory_iterator(source))
        if (item.path().extension() == ".safetensors")
          fs::create_symlink(item.path(), root_ / model / item.path().filename());
      configs_.push_back(root_ / model /
                         (fs::exists(source / "config.json") ? "config.json" : "params.json"));
    }
  }
  Folders(const Folders&) = delete;
  Folders& operator=(const Folders&) = delete;
  ~Folders() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  const fs::path& config(size_t which) const { return configs_[which % configs_.size()]; }

 private:
  fs::path root_;
  std::vector<fs::path> configs_;
};

void check_typed(const Error& error) {
  ATELIER_CHECK(error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kUnsupported ||
                error.code == ErrorCode::kNotFound || error.code == ErrorCode::kLimit);
  ATELIER_CHECK(!error.message.empty() && error.message.find('\n') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Folders folders;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  // What does not parse needs no files: most of the inputs.
  if (const auto json = parse_json(text); !json) {
    check_typed(json.error());
    return 0;
  }
  const fs::path& config = folders.config(data[0]);
  std::ofstream(config, std::ios::binary) << text;
  auto opened = Checkpoint::open(config.parent_path());
  if (!opened) {
    check_typed(opened.error());
    return 0;
  }
  const auto model = load_model(std::make_shared<const Checkpoint>(std::move(*opened)));
  if (!model) {
    check_typed(model.error());
    return 0;
  }
  const ModelInfo& info = (*model)->info();
  ATELIER_CHECK(info.n_layers == info.cache.size() && info.vocab_size > 0 && info.n_params > 0);
  return 0;
}
