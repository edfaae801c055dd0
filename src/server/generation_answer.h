// A task on its way: finds the model, queues, reads the tokens and lets a Reply tell it.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "server/answer.h"
#include "server/catalogue.h"
#include "server/reply.h"
#include "server/task.h"
#include "server/turn_memory.h"
#include "server/turn_reader.h"

namespace atelier::server {

// The prompt of a conversation as this model reads it; fills in what the conversation lacks: its date, and
// reasoning that the client did not send back.
Result<std::vector<TokenId>> prompt_ids(const ModelInUse& model, chat::Conversation& conversation,
                                        TurnMemory& memory);

class GenerationAnswer final : public Answer {
 public:
  // Starts at once. `catalogue` and `memory` outlive it.
  GenerationAnswer(Task task, std::unique_ptr<Reply> reply, Catalogue& catalogue, TurnMemory& memory);
  ~GenerationAnswer() override;

  void start(std::function<void()> wake) override;
  State poll(HttpResponse& piece) override;
  std::string heartbeat() override { return reply_->heartbeat(); }
  OrderedJson log_fields() const override;

 private:
  struct Launch;  // shared with whoever loads the model
  struct Run {    // one prompt
    std::unique_ptr<GenerationStream> stream;
    std::vector<TurnReader> readers;
    std::vector<std::vector<TokenId>> sampled;  // by choice
    bool done = false;
  };

  State refuse(const Failure& failure, HttpResponse& piece);
  bool begin(HttpResponse& piece);
  // At most a few dozen events, so that one answer does not hold up the others; false: no more for now.
  bool read_events(size_t run, std::string& out);
  void on_event(size_t run, GenerationEvent event, std::string& out);
  void on_token(size_t run, const TokenEvent& event, std::string& out);
  void tell(size_t choice, const TurnReader::Step& step, std::string& out);
  State finish(HttpResponse& piece);

  std::unique_ptr<Reply> reply_;
  TurnMemory& memory_;
  std::shared_ptr<Launch> launch_;
  std::function<void()> wake_;
  ModelInUse model_;
  std::vector<Run> runs_;
  size_t n_ = 1;
  bool streaming_ = false;  // the head was sent
  Outcome outcome_;
  std::optional<Failure> failure_;
};

}  // namespace atelier::server
