#include <gtest/gtest.h>

#include <csignal>

#include "agent/sandbox/launcher.h"
#include "tests/agent/escape_world.h"
#include "tests/agent/mcp_fake_server.h"

int main(int argc, char** argv) {
  // The sandbox's launcher is the program that uses the sandbox, started anew.
  if (const auto status = atelier::agent::run_sandbox_launcher(argc, argv)) return *status;
  if (const auto status = atelier::agent::run_escape_action(argc, argv)) return *status;
  if (const auto status = atelier::agent::run_fake_mcp_server(argc, argv)) return *status;
  std::signal(SIGPIPE, SIG_IGN);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
