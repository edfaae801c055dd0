// Small valid model files and a folder that cleans up after itself, for the tests of the store and of pull.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "io/store.h"

namespace atelier::testing {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "atelier-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline std::filesystem::path write(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

inline std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

template <class T>
void put(std::string& out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) out += static_cast<char>(static_cast<uint64_t>(value) >> (8 * i));
}

inline void put_string(std::string& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out += text;
}

// GGUF v3 with general.architecture = llama and `n_values` F32 zeros; `parts` > 0 makes it part `part` (from
// 0) of a split file.
inline std::string tiny_gguf(uint64_t n_values = 8, unsigned part = 0, unsigned parts = 0) {
  constexpr uint32_t kU16 = 2, kI32 = 5, kString = 8;
  std::string out = "GGUF";
  put<uint32_t>(out, 3);
  put<uint64_t>(out, 1);
  put<uint64_t>(out, parts == 0 ? 1 : 4);
  put_string(out, "general.architecture");
  put<uint32_t>(out, kString);
  put_string(out, "llama");
  if (parts > 0) {
    put_string(out, "split.no");
    put<uint32_t>(out, kU16);
    put<uint16_t>(out, static_cast<uint16_t>(part));
    put_string(out, "split.count");
    put<uint32_t>(out, kU16);
    put<uint16_t>(out, static_cast<uint16_t>(parts));
    put_string(out, "split.tensors.count");
    put<uint32_t>(out, kI32);
    put<int32_t>(out, static_cast<int32_t>(parts));
  }
  put_string(out, "blk." + std::to_string(part) + ".weight");
  put<uint32_t>(out, 1);
  put<uint64_t>(out, n_values);
  put<uint32_t>(out, 0);  // F32
  put<uint64_t>(out, 0);
  out.resize((out.size() + 31) / 32 * 32);
  out.resize(out.size() + n_values * 4);
  return out;
}

// config.json and model.safetensors with one F32 tensor of two values.
inline void write_tiny_folder(const std::filesystem::path& folder) {
  const std::string header = R"({"model.norm.weight":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  std::string weights;
  put<uint64_t>(weights, header.size());
  weights += header;
  weights.resize(weights.size() + 8);
  write(folder / "model.safetensors", weights);
  write(folder / "config.json", R"({"model_type":"llama","architectures":["LlamaForCausalLM"]})");
}

// Entries directly below `folder`; none where it does not exist.
inline std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& item : std::filesystem::directory_iterator(folder, error))
    names.push_back(item.path().filename().string());
  return names;
}

class StoreTest : public ::testing::Test {
 protected:
  TempFolder temp;
  Store store{temp / "data", temp / "config.json"};

  // Nothing unfinished, whatever happened.
  void expect_no_leftovers() const { EXPECT_TRUE(names_in(store.root() / "staging").empty()); }
};

}  // namespace atelier::testing
