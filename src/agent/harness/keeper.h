// Who keeps what an agent does, so that it can be taken up again or taken back.
#pragma once

#include <span>
#include <string>

#include "agent/harness/speaker.h"
#include "agent/workspace/change.h"
#include "base/result.h"

namespace atelier::agent {

struct TaskEnd;

// Called at the places a conversation can be taken up from. What a call was given is kept when it returns; an
// error ends the task.
class TurnKeeper {
 public:
  virtual ~TurnKeeper() = default;
  // The user's `task` stands at the end of the transcript; nothing was done for it yet.
  virtual Status on_task(const Transcript& transcript, const std::string& task) = 0;
  // The model has spoken, or its tools have answered.
  virtual Status on_step(const Transcript& transcript) = 0;
  // A tool is about to run that may change files.
  virtual Status before_effects() = 0;
  // A tool itself changed these.
  virtual Status on_changes(std::span<const FileChange> changes) = 0;
  virtual Status on_end(const Transcript& transcript, const TaskEnd& end) = 0;
};

}  // namespace atelier::agent
