// Responses that clients may continue (previous_response_id) or fetch again.
#pragma once

#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "server/json_out.h"

namespace atelier::server {

// Thread-safe, in memory only. Bounded: the ones used longest ago go first.
class ResponseStore {
 public:
  static constexpr size_t kMaxBytes = size_t{128} << 20;

  struct Stored {
    std::string response;  // the response object as JSON text
    std::string items;     // all items of the conversation up to and with its output, as a JSON list
    size_t n_input = 0;    // how many of these were its input
  };
  void put(const std::string& id, Stored stored);
  std::optional<Stored> get(const std::string& id);
  bool erase(const std::string& id);

 private:
  struct Entry {
    std::string id;
    Stored stored;
    size_t bytes() const { return id.size() + stored.response.size() + stored.items.size(); }
  };
  void remove(std::list<Entry>::iterator entry);

  std::mutex mutex_;
  std::list<Entry> entries_;  // most recent first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_id_;
  size_t bytes_ = 0;
};

}  // namespace atelier::server
