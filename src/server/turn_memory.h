// What clients do not send back as it was sampled. Reasoning and preambles that came with a call, which
// models that reason between calls (gpt-oss) need in the same turn again; and the very ids of a turn: text
// rendered anew may come out as other tokens, and then nothing behind it is found in the prefix cache.
#pragma once

#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "chat/conversation.h"

namespace atelier::server {

// Thread-safe. Bounded: the turns asked for longest ago are forgotten first.
class TurnMemory {
 public:
  static constexpr size_t kMaxBytes = size_t{64} << 20;

  // Keeps a turn that `model` said, with its ids in `turn.sampled`: under the id of its first call, or, if it
  // has none, under what it says.
  void remember(std::string_view model, const chat::Message& turn);
  // Assistant messages that are known: those with calls that came without reasoning get theirs back, and
  // those that say what was said (arguments may be written otherwise) get their ids.
  void restore(std::string_view model, chat::Conversation& conversation);

  size_t size() const;

 private:
  struct Entry {
    std::string key;
    chat::Message turn;
    size_t bytes() const;
  };
  static std::string key_of(std::string_view model, const chat::Message& turn);

  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // most recent first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
  size_t bytes_ = 0;
};

}  // namespace atelier::server
