// What every op runs in: where, on how many threads, by which numerics, and with which scratch memory.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "base/buffer.h"
#include "base/threads.h"

namespace atelier {

enum class Numerics {
  // Packed weights, 8-bit activations, vector kernels of the active ISA. A token's results do not depend, to
  // the bit, on how many others are in the pass.
  kFast,
  // kFast, but passes of many tokens may use kernels that round otherwise (bf16 tiles, where the processor
  // has them): closer to the reference and up to three times as fast, but results then depend on how a prompt
  // is cut.
  kFastest,
  kReference,  // scalar, double accumulation, weights decoded exactly; for tests and --reference
};

// Scratch for one forward pass: bump allocation that is given back all at once. Memory is reused from call to
// call and only grows; chunks never move, so views stay valid until reset().
class Arena {
 public:
  // `n` uninitialised values, 64-byte aligned.
  template <class T>
  std::span<T> take(size_t n) {
    return {reinterpret_cast<T*>(take_bytes(n * sizeof(T))), n};
  }
  MatView<float> take_mat(size_t rows, size_t cols) { return {take<float>(rows * cols).data(), rows, cols}; }
  void reset();
  // rewind(mark()) gives back what was taken in between: scratch of one op does not pile up over the layers.
  struct Mark {
    size_t chunk = 0;
    size_t used = 0;
  };
  Mark mark() const { return {chunk_, used_}; }
  void rewind(Mark mark) {
    chunk_ = mark.chunk;
    used_ = mark.used;
  }
  size_t capacity_bytes() const;

 private:
  std::byte* take_bytes(size_t bytes);
  std::vector<RawBuffer> chunks_;
  size_t chunk_ = 0;  // the chunk being filled
  size_t used_ = 0;   // bytes of it handed out
};

// Gives back at the end of a scope what the scope took from the arena.
class ArenaScope {
 public:
  explicit ArenaScope(Arena& arena) : arena_(&arena), mark_(arena.mark()) {}
  ~ArenaScope() { arena_->rewind(mark_); }
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  Arena* arena_;
  Arena::Mark mark_;
};

// What of a forward pass comes next where it can be interrupted: products with weights, which cost the same
// for every token, or attention, which costs more the more tokens there are before.
enum class PassPart { kProducts, kAttention };
using Interlude = std::function<void(PassPart)>;

class Context {
 public:
  Context(ThreadPool& pool, Numerics numerics) : pool_(&pool), numerics_(numerics) {}
  ThreadPool& pool() const { return *pool_; }
  Numerics numerics() const { return numerics_; }
  bool is_reference() const { return numerics_ == Numerics::kReference; }
  Arena& arena() { return arena_; }

  // Starts a forward pass over `n_tokens`: what the last one took from the arena is given back.
  void begin_pass(size_t n_tokens) {
    arena_.reset();
    pass_tokens_ = n_tokens;
  }
  // Passes of up to this many tokens, such as a batch of decoding sequences or the check of a speculated
  // continuation, give the same bits as their tokens one by one, also with kFastest.
  static constexpr size_t kFewTokens = 32;
  bool may_use_tiles() const { return numerics_ == Numerics::kFastest && pass_tokens_ > kFewTokens; }

  // Called in the middle of a forward pass, by the ops that take long, before they begin: somebody else may
  // use the pool and run a pass in a context of their own before this one goes on. Null: nobody.
  void set_interlude(const Interlude* interlude) { interlude_ = interlude; }
  void interlude(PassPart next) const {
    if (interlude_ != nullptr) (*interlude_)(next);
  }

 private:
  ThreadPool* pool_;
  Numerics numerics_;
  size_t pass_tokens_ = 0;
  const Interlude* interlude_ = nullptr;
  Arena arena_;
};

}  // namespace atelier
