// An agent's work as JSON lines, for programs: `atelier exec --json`.
//
//   {"type":"thread.started","thread_id":…}           once
//   {"type":"turn.started"}
//   {"type":"item.started"|"item.updated"|"item.completed","item":{"id","type",…}}
//   {"type":"turn.completed","usage":{…}}  or  {"type":"turn.failed","error":{"message"},"usage":{…}}
//
// Items by type: reasoning, message {text}; command {command, output, exit_code}; patch {changes: [{path,
// kind}]}; plan {items: [{text, status}]}; tool {tool, arguments, output}. All but the first two have a
// status.
#pragma once

#include <chrono>
#include <functional>
#include <nlohmann/json_fwd.hpp>

#include "agent/harness/agent.h"

namespace atelier::agent {

class JsonEvents : public AgentObserver {
 public:
  // `write` gets each line, without its end.
  explicit JsonEvents(std::function<void(const std::string& line)> write) : write_(std::move(write)) {}

  void thread_started(const std::string& thread_id);
  void on_turn_started() override;
  void on_item(Phase phase, const Item& item, std::string_view more) override;
  void on_note(std::string_view text) override;
  void turn_ended(const TaskEnd& end);
  void turn_failed(const std::string& message, const AgentUsage& usage);

 private:
  void emit(const chat::Json& event) const;
  std::function<void(const std::string&)> write_;
  std::chrono::steady_clock::time_point updated_{};  // when the running command was last told about
};

// Updates of a running command come at most this often.
inline constexpr auto kUpdateEvery = std::chrono::milliseconds(500);
// The text of a command so far is repeated in updates up to this many bytes.
inline constexpr size_t kMaxUpdateBytes = 16 << 10;

}  // namespace atelier::agent
