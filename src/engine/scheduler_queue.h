// A queue in which the owners of what waits take turns.
#pragma once

#include <cstddef>
#include <deque>
#include <list>
#include <string>
#include <utility>

#include "base/check.h"

namespace atelier {

// First come, first served among values of one key; keys with something waiting are served in rotation. So
// whoever sends a thousand requests delays others by one each time round.
template <class T>
class FairQueue {
 public:
  bool empty() const { return lanes_.empty(); }
  size_t size() const { return size_; }  // values, those that remove_if would remove included

  void push(const std::string& key, T value) {
    ++size_;
    for (Lane& lane : lanes_) {
      if (lane.key != key) continue;
      lane.values.push_back(std::move(value));
      return;
    }
    Lane& lane = lanes_.emplace_back();
    lane.key = key;
    lane.values.push_back(std::move(value));
  }

  // What pop() will return.
  T& front() {
    ATELIER_CHECK(!lanes_.empty());
    return lanes_.front().values.front();
  }

  T pop() {
    T value = std::move(front());
    lanes_.front().values.pop_front();
    --size_;
    if (lanes_.front().values.empty()) {
      lanes_.pop_front();
    } else {
      lanes_.splice(lanes_.end(), lanes_, lanes_.begin());
    }
    return value;
  }

  template <class Gone>
  void remove_if(Gone gone) {
    for (auto lane = lanes_.begin(); lane != lanes_.end();) {
      size_ -= std::erase_if(lane->values, gone);
      lane = lane->values.empty() ? lanes_.erase(lane) : std::next(lane);
    }
  }

 private:
  struct Lane {
    std::string key;
    std::deque<T> values;  // at least one
  };
  std::list<Lane> lanes_;
  size_t size_ = 0;
};

}  // namespace atelier
