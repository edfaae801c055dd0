// JSON-RPC 2.0 with a program, one message a line on its standard input and output (MCP's stdio transport).
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "agent/sandbox/sandbox.h"
#include "chat/json_text.h"

namespace atelier::agent {

struct RpcWait {
  std::chrono::milliseconds timeout{std::chrono::seconds(30)};
  const std::atomic<bool>* cancel = nullptr;
};

// The other side is not trusted: lines, messages and patience are bounded, and what it asks is answered with
// refusals but for `ping` and what `answers` knows.
class RpcConnection {
 public:
  static constexpr size_t kMaxLine = size_t{8} << 20;
  static constexpr size_t kMaxMessages = 10'000;  // while one call waits
  static constexpr size_t kMaxNoise = 1000;       // lines that are no messages, in all

  using Answers = std::function<Result<chat::Json>(std::string_view method)>;

  // `name` is put in front of errors.
  RpcConnection(SandboxProcess process, std::string name, Answers answers = {})
      : process_(std::move(process)), name_(std::move(name)), answers_(std::move(answers)) {}

  // Errors: kInvalidArgument with what the server says against it; kLimit past the timeout; kInterrupted;
  // kCorrupt for what is no JSON-RPC; kIo once the program has ended, with the last it said to standard
  // error.
  Result<chat::Json> call(std::string_view method, const chat::Json& parameters, const RpcWait& wait = {});
  Status notify(std::string_view method, const chat::Json& parameters);

 private:
  Status send(const chat::Json& message);
  // The next line, without its end; kLimit past `deadline`.
  Result<std::string> next_line(std::chrono::steady_clock::time_point deadline, const RpcWait& wait);
  Status answer(const chat::Json& request);
  tl::unexpected<Error> ended() const;

  SandboxProcess process_;
  std::string name_;
  Answers answers_;
  std::string pending_;
  size_t searched_ = 0;  // of pending_, for a line's end
  int64_t next_id_ = 1;
  size_t noise_ = 0;
};

}  // namespace atelier::agent
