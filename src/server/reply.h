// How one API family tells the story of a task: as events while it runs, or as a whole at its end.
#pragma once

#include <span>
#include <string>

#include "chat/dialect.h"
#include "server/failure.h"
#include "server/json_out.h"
#include "server/task.h"

namespace atelier::server {

// What is known once a request has its place: for the first event.
struct Beginning {
  std::string model;  // its id
  const Tokenizer* tokenizer = nullptr;
  size_t n_choices = 1;
  std::vector<std::vector<TokenId>> prompts{};  // of raw continuations
};

// Called on the network thread, in the order of the declarations; delta, tokens and choice_end as they come.
// The streaming calls append to `out`.
class Reply {
 public:
  virtual ~Reply() = default;
  virtual ErrorStyle style() const = 0;
  virtual bool streams() const = 0;
  virtual std::string_view stream_type() const { return "text/event-stream"; }
  virtual std::string heartbeat() const { return ": still here\n\n"; }

  virtual void begin(const Beginning& beginning) = 0;
  // The prompt of choices [first_choice, first_choice + n) is done: its counts of tokens are known.
  virtual void prompt_done(size_t /*first_choice*/, const PromptEvent&, std::string&) {}
  // `tokens`: those whose text the delta carries or completes, where log-probabilities were asked for.
  virtual void delta(size_t choice, const chat::Delta& delta, std::span<const TokenInfo> tokens,
                     std::string& out) = 0;
  virtual void choice_end(size_t choice, const ChoiceResult& result, std::string& out) = 0;
  virtual void end(const Outcome& outcome, std::string& out) = 0;
  virtual void fail(const Failure& failure, std::string& out) = 0;  // after the stream began

  virtual OrderedJson whole(const Outcome& outcome) = 0;
};

}  // namespace atelier::server
