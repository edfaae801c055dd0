#include "agent/sandbox/launcher.h"
#include "cli/command.h"

int main(int argc, char** argv) {
  if (const auto status = atelier::agent::run_sandbox_launcher(argc, argv)) return *status;
  return atelier::cli::run(argc, argv);
}
