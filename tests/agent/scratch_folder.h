// A folder of a test's own, with files that are easy to write, read and compare.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

namespace atelier::agent {

class ScratchFolder {
 public:
  // kMemory: where nothing waits for a disk, if the machine has such a place.
  enum class Place { kDisk, kMemory };
  explicit ScratchFolder(Place place = Place::kDisk) {
    const bool memory = place == Place::kMemory && ::access("/dev/shm", W_OK | X_OK) == 0;
    const std::filesystem::path parent = memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string name = (parent / "atelier-agent-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = std::filesystem::canonical(name);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

  void write(const std::string& name, const std::string& content, mode_t mode = 0644) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << content;
    ASSERT_EQ(::chmod((path_ / name).c_str(), mode), 0);
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool exists(const std::string& name) const {
    return std::filesystem::symlink_status(path_ / name).type() != std::filesystem::file_type::not_found;
  }
  mode_t mode(const std::string& name) const {
    struct stat info{};
    return ::lstat((path_ / name).c_str(), &info) == 0 ? info.st_mode & 07777 : 0;
  }

  // Every name below the folder, with what it is: two equal trees are equal byte for byte.
  std::map<std::string, std::string> tree() const {
    std::map<std::string, std::string> all;
    for (auto at = std::filesystem::recursive_directory_iterator(path_); const auto& entry : at) {
      const std::string name = entry.path().lexically_relative(path_).string();
      if (entry.is_symlink()) {
        all[name] = "-> " + std::filesystem::read_symlink(entry.path()).string();
      } else if (entry.is_directory()) {
        all[name] = "folder";
      } else if (entry.is_regular_file()) {
        all[name] = std::to_string(mode(name)) + " " + read(name);
      } else {
        all[name] = "special";
      }
    }
    return all;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace atelier::agent
