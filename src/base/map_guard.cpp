#include "base/map_guard.h"

#include <signal.h>
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>
#include <utility>

#include "base/check.h"

namespace atelier {
namespace {

constexpr uintptr_t kFree = 0;
constexpr uintptr_t kClaimed = 1;  // taken, but not yet to be looked at; no mapping begins here

struct Slot {
  std::atomic<uintptr_t> begin = kFree;
  std::atomic<uintptr_t> end = 0;
  std::atomic<bool> faulted = false;
};
static_assert(std::atomic<uintptr_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

std::array<Slot, MapGuard::kMaxMappings> slots;
struct sigaction previous_action;

// The slot whose mapping holds `address`. A thread can fault only in a mapping that stays registered
// meanwhile; other slots may change under the scan, so `begin` is read again after `end`.
Slot* find_slot(uintptr_t address) {
  for (Slot& slot : slots) {
    const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
    const uintptr_t end = slot.end.load(std::memory_order_acquire);
    if (begin > kClaimed && begin <= address && address < end &&
        slot.begin.load(std::memory_order_acquire) == begin)
      return &slot;
  }
  return nullptr;
}

// mmap is a bare system call here: it takes no lock of ours and allocates nothing.
bool put_zeros_over(const Slot& slot) {
  const uintptr_t begin = slot.begin.load(std::memory_order_acquire);
  const size_t bytes = slot.end.load(std::memory_order_acquire) - begin;
  return ::mmap(reinterpret_cast<void*>(begin), bytes, PROT_READ,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
}

void on_sigbus(int number, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  if (Slot* slot = find_slot(reinterpret_cast<uintptr_t>(info->si_addr))) {
    slot->faulted.store(true, std::memory_order_release);
    if (put_zeros_over(*slot)) {
      errno = saved_errno;
      return;
    }
  }
  errno = saved_errno;
  if ((previous_action.sa_flags & SA_SIGINFO) != 0 && previous_action.sa_sigaction != nullptr)
    return previous_action.sa_sigaction(number, info, context);
  if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN)
    return previous_action.sa_handler(number);
  // Nobody else wants it: the access is repeated and ends the process as it would have without us.
  ::signal(number, SIG_DFL);
}

void install_handler() {
  struct sigaction action{};
  action.sa_sigaction = on_sigbus;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  ATELIER_CHECK(::sigaction(SIGBUS, &action, &previous_action) == 0);
}

}  // namespace

MapGuard::MapGuard(std::span<const std::byte> mapping) {
  static std::once_flag installed;
  std::call_once(installed, install_handler);
  const auto begin = reinterpret_cast<uintptr_t>(mapping.data());
  for (size_t i = 0; i < slots.size(); ++i) {
    uintptr_t expected = kFree;
    if (!slots[i].begin.compare_exchange_strong(expected, kClaimed)) continue;
    slots[i].faulted.store(false);
    slots[i].end.store(begin + mapping.size());
    slots[i].begin.store(begin);
    slot_ = static_cast<int>(i);
    return;
  }
}

MapGuard::MapGuard(MapGuard&& other) noexcept : slot_(std::exchange(other.slot_, -1)) {}

MapGuard& MapGuard::operator=(MapGuard&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

MapGuard::~MapGuard() {
  if (slot_ >= 0) slots[static_cast<size_t>(slot_)].begin.store(kFree);
}

bool MapGuard::faulted() const {
  return slot_ >= 0 && slots[static_cast<size_t>(slot_)].faulted.load(std::memory_order_acquire);
}

}  // namespace atelier
