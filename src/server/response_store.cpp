#include "server/response_store.h"

namespace atelier::server {

void ResponseStore::remove(std::list<Entry>::iterator entry) {
  bytes_ -= entry->bytes();
  by_id_.erase(entry->id);
  entries_.erase(entry);
}

void ResponseStore::put(const std::string& id, Stored stored) {
  const std::lock_guard lock(mutex_);
  if (const auto known = by_id_.find(id); known != by_id_.end()) remove(known->second);
  entries_.push_front({id, std::move(stored)});
  by_id_[id] = entries_.begin();
  bytes_ += entries_.front().bytes();
  while (bytes_ > kMaxBytes) remove(std::prev(entries_.end()));
}

std::optional<ResponseStore::Stored> ResponseStore::get(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto known = by_id_.find(id);
  if (known == by_id_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, known->second);
  return known->second->stored;
}

bool ResponseStore::erase(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto known = by_id_.find(id);
  if (known == by_id_.end()) return false;
  remove(known->second);
  return true;
}

}  // namespace atelier::server
