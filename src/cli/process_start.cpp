#include "cli/process_start.h"

#include <time.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

namespace atelier::cli {

double seconds_since_process_start() {
  std::string stat;
  std::getline(std::ifstream("/proc/self/stat"), stat);
  // Field 22 (proc(5)); the name in field 2 may hold anything but ends with the last ')'.
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string skipped;
  for (int field = 3; field < 22; ++field) fields >> skipped;
  double start_ticks = 0;
  if (!(fields >> start_ticks)) return 0;
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  const double seconds = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  return seconds - start_ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace atelier::cli
