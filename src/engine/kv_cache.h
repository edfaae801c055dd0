// The paged KV cache: keys and values of many sequences in pages of 64 positions that sequences share.
//
// Layers with the same window form a group; a page holds one span of 64 positions for all layers of its
// group. Pages are counted: a fork shares every page, and only the last, partly filled one is copied when
// somebody writes on. Windowed groups let go of pages that slid out of sight, so a 128-token window costs
// four pages at any length — unless a fork kept as a checkpoint still holds them, which is what makes rolling
// back across windows possible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "models/model.h"
#include "ops/attention.h"

namespace atelier {

using KvPageId = uint32_t;

// Owns all pages of one model. One thread at a time; outlives its sequences.
class KvPool {
 public:
  // At most `max_bytes` of pages are ever allocated.
  KvPool(std::span<const LayerCache> layers, KvType type, uint64_t max_bytes);
  KvPool(const KvPool&) = delete;
  KvPool& operator=(const KvPool&) = delete;

  KvType type() const { return type_; }
  size_t n_layers() const { return layer_group_.size(); }
  size_t n_groups() const { return groups_.size(); }
  bool windowed() const;  // whether any layer has a window
  uint64_t max_bytes() const { return max_bytes_; }
  uint64_t allocated_bytes() const { return allocated_bytes_; }
  size_t page_bytes(size_t group) const { return groups_[group].page_bytes; }
  size_t window(size_t group) const { return groups_[group].window; }  // 0: unbounded
  uint64_t bytes_in_use() const;

  // Bytes one sequence of `length` positions holds, and the shares of its windowed and unbounded layers.
  uint64_t sequence_bytes(size_t length) const;

  // Gives memory that holds no page in use back to the system.
  void trim();

 private:
  friend class KvSequence;

  struct Group {
    size_t window = 0;  // 0: unbounded
    size_t page_bytes = 0;
    std::vector<uint32_t> layers;
    std::vector<RawBuffer> slabs;      // of kSlabPages pages; empty: given back, its pages are nowhere
    std::vector<size_t> vacant;        // indices of empty slabs
    std::vector<uint32_t> references;  // per page
    std::vector<KvPageId> free;
  };

  Result<KvPageId> allocate(size_t group);
  void add_slab(Group& group);
  void trim(Group& group);
  void retain(size_t group, KvPageId page) { ++groups_[group].references[page]; }
  void release(size_t group, KvPageId page);
  std::byte* page_data(size_t group, KvPageId page) const;

  KvType type_;
  uint64_t max_bytes_;
  uint64_t allocated_bytes_ = 0;
  std::vector<Group> groups_;
  std::vector<uint32_t> layer_group_;  // [n_layers]
  std::vector<size_t> layer_offset_;   // [n_layers] of the layer's part in its group's pages
};

// First page a query at position `length` can still see through `window`.
size_t first_visible_page(size_t length, size_t window);

// One sequence's view of the pool: positions [0, length()) are filled. Move-only; gives its pages back at the
// end.
class KvSequence {
 public:
  explicit KvSequence(KvPool& pool);
  KvSequence(KvSequence&& other) noexcept;
  KvSequence& operator=(KvSequence&& other) noexcept;
  ~KvSequence();

  size_t length() const { return length_; }

  // Makes room for `n` more positions; on failure (kOutOfMemory) nothing changed.
  Status reserve(size_t n);
  // Pages of one layer for a pass whose rows [first_row, first_row + n_rows) continue this sequence;
  // reserve() came first. Valid until the next reserve, advance, truncate or move.
  ops::AttentionSequence layer(size_t layer, size_t first_row, size_t n_rows) const;
  // The pass wrote `n` positions. Pages that no later position can see are let go, one page of slack kept, so
  // that a few positions can always be taken back.
  void advance(size_t n);

  // Another sequence with the same content; costs a reference per page. A fork that is kept is a checkpoint.
  KvSequence fork() const;
  // Whether what follows position `length` can be forgotten: every key the position would see is still here.
  bool can_truncate(size_t length) const;

  // Calls fn(group, page) for every page held.
  template <class Fn>
  void for_each_page(Fn&& fn) const {
    for (size_t g = 0; g < groups_.size(); ++g)
      for (const KvPageId id : groups_[g].ids) fn(g, id);
  }
  void truncate(size_t length);  // CHECKs can_truncate()

  // For who keeps sequences elsewhere. The first page a group still holds, counted from the beginning of the
  // sequence, and the bytes of the index-th page from there, all layers of the group.
  size_t first_page(size_t group) const { return groups_[group].first_page; }
  size_t n_pages(size_t group) const { return groups_[group].ids.size(); }
  std::span<std::byte> page(size_t group, size_t index);
  std::span<const std::byte> page(size_t group, size_t index) const;
  // An empty sequence becomes one of `length` positions whose pages, from first_pages[group] on, the caller
  // fills. kOutOfMemory: it is still empty.
  Status adopt(size_t length, std::span<const size_t> first_pages);

 private:
  struct GroupPages {
    size_t first_page = 0;  // index of ids[0] in the sequence
    std::vector<KvPageId> ids;
  };
  void release_all();
  void set_page(size_t group, size_t index, KvPageId id);
  void drop_front(size_t group, size_t n);
  void drop_back(size_t group, size_t keep);

  KvPool* pool_;
  size_t length_ = 0;
  std::vector<GroupPages> groups_;
  std::vector<std::vector<std::byte*>> layer_pages_;  // [n_layers][page], as attention wants them
};

}  // namespace atelier
