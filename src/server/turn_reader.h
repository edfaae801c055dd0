// Sampled tokens of one choice, read as an assistant's turn or as plain text.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "chat/dialect.h"
#include "engine/generate.h"
#include "server/task.h"

namespace atelier::server {

// Text as it is, for raw continuations: everything but special tokens is the answer.
std::unique_ptr<chat::Parser> make_raw_parser(const Tokenizer& tokenizer);

class TurnReader {
 public:
  struct Options {
    std::unique_ptr<chat::Parser> parser;
    std::vector<std::string> stops{};
    bool logprobs = false;
    std::string call_prefix = "call_";  // of the ids that tool calls get
  };
  explicit TurnReader(Options options);

  // What a token added; `tokens` are those whose text stands in the answer, the given one at most.
  struct Step {
    std::vector<chat::Delta> deltas{};
    std::vector<TokenInfo> tokens{};
  };
  Step push(const TokenEvent& event);
  // The turn is over: what was held back, and then result().
  Step finish(EndReason reason);
  const ChoiceResult& result() const { return result_; }
  ChoiceResult& result() { return result_; }

 private:
  void pass_on(std::vector<chat::Delta> deltas, Step& step);
  std::string new_call_id();

  std::unique_ptr<chat::Parser> parser_;
  std::vector<std::string> stop_list_;
  StopStringFilter stops_;
  std::string answer_;  // so far, to tell which stop string it was
  bool logprobs_;
  std::string call_prefix_;
  std::vector<std::string> call_ids_;
  ChoiceResult result_;
};

// "chatcmpl-" and 24 random characters.
std::string new_id(std::string_view prefix);

}  // namespace atelier::server
