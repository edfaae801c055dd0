// Time since this process was started, loading of the program included.
#pragma once

namespace atelier::cli {

// From the kernel's own record (10 ms resolution); 0 where it cannot be read.
double seconds_since_process_start();

}  // namespace atelier::cli
