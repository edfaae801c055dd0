// Keys and values of prompts on disk, so that what was computed once need not be computed again by the next
// process: a conversation taken up again, or the same beginning in another one.
//
// Content-addressed: a file's name is a digest of the model and of all tokens up to where the file ends, so
// conversations share what they have in common. A folder holds
//
//   DIGEST.page      64 positions of all layers without a window
//   N-DIGEST.tail    where a sequence of N tokens ended: its last, partly filled page, and what the windows
//                    of the other layers still see
//
// A sequence can be taken up where a tail was kept; without windows, at the end of any page too. Files are
// checked when they are read; a bad one is as if it were not there.
#pragma once

#include <filesystem>
#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "io/sha256.h"

namespace atelier {

struct KvStoreOptions {
  std::filesystem::path folder;  // of all models
  uint64_t max_bytes = 0;  // of all of it; 0: 8 GiB, or a tenth of what the disk has free if that is less
};

// One thread at a time, the engine's. The engine must outlive it.
class KvStore {
 public:
  // Makes the folder. A model without layers (a script) has nothing to keep: save and load do nothing.
  static Result<KvStore> open(Engine& engine, const KvStoreOptions& options);
  KvStore(KvStore&&) noexcept;
  KvStore& operator=(KvStore&&) = delete;
  ~KvStore();  // waits for a save under way

  // Writes what of `sequence`, which holds exactly `tokens`, is not there yet, beside whatever the caller
  // does next. Waits for the save before. What cannot be written is not kept, and no error.
  void save(const KvSequence& sequence, std::span<const TokenId> tokens);
  void wait();  // for the save under way

  // The longest beginning of `prompt` that is kept, all of it included, if it has more than `more_than`
  // tokens.
  struct Found {
    KvSequence sequence;
    size_t length = 0;
  };
  std::optional<Found> load(std::span<const TokenId> prompt, size_t more_than);

  const std::filesystem::path& folder() const { return folder_; }

 private:
  struct Job;
  struct Tail {
    size_t length = 0;
    std::filesystem::path path;
  };
  KvStore(Engine& engine, std::filesystem::path folder, std::filesystem::path all, uint64_t max_bytes);
  std::vector<Sha256> page_digests(std::span<const TokenId> tokens) const;
  Sha256 tail_digest(std::span<const TokenId> tokens, std::span<const Sha256> pages) const;
  std::filesystem::path page_path(const Sha256& digest) const;
  std::filesystem::path tail_path(size_t length, const Sha256& digest) const;
  std::vector<Tail> tails(std::span<const TokenId> prompt, std::span<const Sha256> pages) const;
  std::optional<KvSequence> read(size_t length, std::span<const Sha256> pages,
                                 const std::filesystem::path& tail, const Sha256& digest) const;

  Engine* engine_;
  std::filesystem::path folder_, all_;
  uint64_t max_bytes_;
  Sha256 seed_{};  // of the model
  std::unique_ptr<Job> job_;
};

}  // namespace atelier
