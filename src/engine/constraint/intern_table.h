// Hash tables from integers to ids, small and quick to clear.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace atelier::constraint {

// splitmix64's finaliser.
inline uint64_t mix_hash(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// Finds ids by the content they stand for; the content lives with the caller.
class InternTable {
 public:
  InternTable() : slots_(64, kFree) {}

  // The id for which equal(id) holds, or add(), which must return a new id whose content has this hash.
  // `hash_of(id)` is asked again when the table grows.
  template <class Equal, class Add, class HashOf>
  uint32_t find_or_add(uint64_t hash, Equal&& equal, Add&& add, HashOf&& hash_of) {
    for (size_t i = hash & mask();; i = (i + 1) & mask()) {
      if (slots_[i] == kFree) break;
      if (equal(slots_[i])) return slots_[i];
    }
    if ((count_ + 1) * 2 > slots_.size()) grow(hash_of);
    const uint32_t id = add();
    place(hash, id);
    ++count_;
    return id;
  }
  size_t bytes() const { return slots_.size() * sizeof slots_[0]; }

 private:
  static constexpr uint32_t kFree = UINT32_MAX;
  size_t mask() const { return slots_.size() - 1; }
  void place(uint64_t hash, uint32_t id) {
    size_t i = hash & mask();
    while (slots_[i] != kFree) i = (i + 1) & mask();
    slots_[i] = id;
  }
  template <class HashOf>
  void grow(HashOf&& hash_of) {
    std::vector<uint32_t> old(slots_.size() * 2, kFree);
    old.swap(slots_);
    for (const uint32_t id : old)
      if (id != kFree) place(hash_of(id), id);
  }

  std::vector<uint32_t> slots_;  // a power of two of them
  size_t count_ = 0;
};

// From pairs of ids to an id. clear() costs nothing.
class IdMap {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  IdMap() : slots_(64) {}
  uint32_t find(uint32_t a, uint32_t b) const {
    const uint64_t key = join(a, b);
    for (size_t i = mix_hash(key) & mask();; i = (i + 1) & mask()) {
      if (slots_[i].epoch != epoch_) return kNone;
      if (slots_[i].key == key) return slots_[i].value;
    }
  }
  // Sets or replaces.
  void set(uint32_t a, uint32_t b, uint32_t value) {
    if ((count_ + 1) * 2 > slots_.size()) grow();
    place(join(a, b), value);
  }
  void clear() {
    if (++epoch_ == 0) {
      slots_.assign(slots_.size(), {});
      epoch_ = 1;
    }
    count_ = 0;
  }
  size_t bytes() const { return slots_.size() * sizeof slots_[0]; }

 private:
  struct Slot {
    uint64_t key = 0;
    uint32_t value = 0;
    uint32_t epoch = 0;  // of the last clear() before it was set; others are free
  };
  static uint64_t join(uint32_t a, uint32_t b) { return static_cast<uint64_t>(a) << 32 | b; }
  size_t mask() const { return slots_.size() - 1; }
  void place(uint64_t key, uint32_t value) {
    size_t i = mix_hash(key) & mask();
    while (slots_[i].epoch == epoch_ && slots_[i].key != key) i = (i + 1) & mask();
    if (slots_[i].epoch != epoch_) ++count_;
    slots_[i] = {key, value, epoch_};
  }
  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    count_ = 0;
    for (const Slot& slot : old)
      if (slot.epoch == epoch_) place(slot.key, slot.value);
  }

  std::vector<Slot> slots_;
  size_t count_ = 0;
  uint32_t epoch_ = 1;
};

}  // namespace atelier::constraint
