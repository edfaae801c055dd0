#include "cli/machine.h"

#include <filesystem>
#include <fstream>

namespace atelier::cli {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

// Render nodes are what user programs compute on; each names its kernel driver.
std::vector<std::string> graphics_processors() {
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/class/drm", ignored)) {
    if (!entry.path().filename().string().starts_with("renderD")) continue;
    const std::filesystem::path driver =
        std::filesystem::read_symlink(entry.path() / "device/driver", ignored);
    found.push_back(driver.empty() ? std::string("unknown driver") : driver.filename().string());
  }
  for (const auto& entry : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", ignored)) {
    std::ifstream information(entry.path() / "information");
    for (std::string line; std::getline(information, line);)
      if (line.starts_with("Model:")) found.push_back(line.substr(line.find_first_not_of(" \t", 6)));
  }
  return found;
}

}  // namespace atelier::cli
