#include "engine/kv_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/checked.h"

namespace atelier {
namespace {

// Pages are allocated this many at a time: large enough for huge pages to serve them.
constexpr size_t kSlabPages = 8;

}  // namespace

size_t first_visible_page(size_t length, size_t window) {
  if (window == 0 || length < window) return 0;
  return (length + 1 - window) / kKvPageTokens;
}

KvPool::KvPool(std::span<const LayerCache> layers, KvType type, uint64_t max_bytes)
    : type_(type), max_bytes_(max_bytes) {
  for (size_t i = 0; i < layers.size(); ++i) {
    KvGeometry geometry = layers[i].geometry;
    geometry.type = type;
    auto group = std::ranges::find(groups_, layers[i].window, &Group::window);
    if (group == groups_.end()) {
      group = groups_.emplace(groups_.end());
      group->window = layers[i].window;
    }
    layer_group_.push_back(static_cast<uint32_t>(group - groups_.begin()));
    layer_offset_.push_back(group->page_bytes);
    group->layers.push_back(static_cast<uint32_t>(i));
    group->page_bytes += round_up(geometry.page_bytes(), kCacheLineBytes);
  }
}

bool KvPool::windowed() const {
  return std::ranges::any_of(groups_, [](const Group& group) { return group.window > 0; });
}

uint64_t KvPool::bytes_in_use() const {
  uint64_t bytes = 0;
  for (const Group& group : groups_)
    bytes += ((group.slabs.size() - group.vacant.size()) * kSlabPages - group.free.size()) * group.page_bytes;
  return bytes;
}

uint64_t KvPool::sequence_bytes(size_t length) const {
  uint64_t bytes = 0;
  for (const Group& group : groups_) {
    const size_t first = first_visible_page(length, group.window);
    bytes += (ceil_div(length, kKvPageTokens) - std::min(first, ceil_div(length, kKvPageTokens))) *
             group.page_bytes;
  }
  return bytes;
}

Result<KvPageId> KvPool::allocate(size_t index) {
  Group& group = groups_[index];
  if (group.free.empty()) {
    const uint64_t slab_bytes = group.page_bytes * kSlabPages;
    const auto fits = [&] { return slab_bytes <= max_bytes_ - std::min(max_bytes_, allocated_bytes_); };
    if (!fits()) trim();  // layers of another window may have more than they use
    if (!fits())
      return fail(ErrorCode::kOutOfMemory,
                  "KV cache: needed {} MiB more, the limit is {} MiB of which {} MiB are allocated",
                  slab_bytes >> 20, max_bytes_ >> 20, allocated_bytes_ >> 20);
    add_slab(group);
  }
  const KvPageId page = group.free.back();
  group.free.pop_back();
  group.references[page] = 1;
  return page;
}

void KvPool::add_slab(Group& group) {
  const uint64_t slab_bytes = group.page_bytes * kSlabPages;
  size_t slab = group.slabs.size();
  if (group.vacant.empty()) {
    group.slabs.emplace_back(slab_bytes);
    group.references.resize(group.references.size() + kSlabPages, 0);
  } else {
    slab = group.vacant.back();
    group.vacant.pop_back();
    group.slabs[slab] = RawBuffer(slab_bytes);
  }
  allocated_bytes_ += slab_bytes;
  for (size_t i = kSlabPages; i-- > 0;) group.free.push_back(static_cast<KvPageId>(slab * kSlabPages + i));
}

void KvPool::trim() {
  for (Group& group : groups_) trim(group);
}

void KvPool::trim(Group& group) {
  for (size_t slab = 0; slab < group.slabs.size(); ++slab) {
    const auto pages = std::span(group.references).subspan(slab * kSlabPages, kSlabPages);
    if (group.slabs[slab].size() == 0 || std::ranges::any_of(pages, [](uint32_t n) { return n > 0; }))
      continue;
    group.slabs[slab] = RawBuffer();
    group.vacant.push_back(slab);
    allocated_bytes_ -= group.page_bytes * kSlabPages;
  }
  std::erase_if(group.free, [&](KvPageId page) { return group.slabs[page / kSlabPages].size() == 0; });
}

void KvPool::release(size_t index, KvPageId page) {
  Group& group = groups_[index];
  ATELIER_CHECK(group.references[page] > 0);
  if (--group.references[page] == 0) group.free.push_back(page);
}

std::byte* KvPool::page_data(size_t index, KvPageId page) const {
  const Group& group = groups_[index];
  return group.slabs[page / kSlabPages].data() + (page % kSlabPages) * group.page_bytes;
}

KvSequence::KvSequence(KvPool& pool)
    : pool_(&pool), groups_(pool.n_groups()), layer_pages_(pool.n_layers()) {}

KvSequence::KvSequence(KvSequence&& other) noexcept
    : pool_(other.pool_),
      length_(std::exchange(other.length_, 0)),
      groups_(std::exchange(other.groups_, std::vector<GroupPages>(other.groups_.size()))),
      layer_pages_(std::exchange(other.layer_pages_,
                                 std::vector<std::vector<std::byte*>>(other.layer_pages_.size()))) {}

KvSequence& KvSequence::operator=(KvSequence&& other) noexcept {
  std::swap(pool_, other.pool_);
  std::swap(length_, other.length_);
  std::swap(groups_, other.groups_);
  std::swap(layer_pages_, other.layer_pages_);
  return *this;
}

KvSequence::~KvSequence() { release_all(); }

void KvSequence::release_all() {
  for (size_t g = 0; g < groups_.size(); ++g)
    for (const KvPageId id : groups_[g].ids) pool_->release(g, id);
}

// Puts `id` at `index` (counted from the group's first page), replacing or appending.
void KvSequence::set_page(size_t g, size_t index, KvPageId id) {
  std::vector<KvPageId>& ids = groups_[g].ids;
  const bool append = index == ids.size();
  if (append) {
    ids.push_back(id);
  } else {
    ids[index] = id;
  }
  for (const uint32_t layer : pool_->groups_[g].layers) {
    std::byte* data = pool_->page_data(g, id) + pool_->layer_offset_[layer];
    if (append) {
      layer_pages_[layer].push_back(data);
    } else {
      layer_pages_[layer][index] = data;
    }
  }
}

void KvSequence::drop_front(size_t g, size_t n) {
  GroupPages& pages = groups_[g];
  for (size_t i = 0; i < n; ++i) pool_->release(g, pages.ids[i]);
  const auto count = static_cast<std::ptrdiff_t>(n);
  pages.ids.erase(pages.ids.begin(), pages.ids.begin() + count);
  for (const uint32_t layer : pool_->groups_[g].layers)
    layer_pages_[layer].erase(layer_pages_[layer].begin(), layer_pages_[layer].begin() + count);
  pages.first_page += n;
}

void KvSequence::drop_back(size_t g, size_t keep) {
  GroupPages& pages = groups_[g];
  for (size_t i = keep; i < pages.ids.size(); ++i) pool_->release(g, pages.ids[i]);
  pages.ids.resize(keep);
  for (const uint32_t layer : pool_->groups_[g].layers) layer_pages_[layer].resize(keep);
}

Status KvSequence::reserve(size_t n) {
  if (n == 0) return {};
  const size_t end_page = ceil_div(length_ + n, kKvPageTokens);
  const size_t write_page = length_ / kKvPageTokens;  // the first page that will be written to
  std::vector<size_t> before(groups_.size());
  for (size_t g = 0; g < groups_.size(); ++g) before[g] = groups_[g].ids.size();
  for (size_t g = 0; g < groups_.size(); ++g) {
    GroupPages& pages = groups_[g];
    while (pages.first_page + pages.ids.size() < end_page) {
      Result<KvPageId> page = pool_->allocate(g);
      if (!page) {
        for (size_t undo = 0; undo <= g; ++undo) drop_back(undo, before[undo]);
        return tl::unexpected<Error>(std::move(page).error());
      }
      set_page(g, pages.ids.size(), *page);
    }
  }
  for (size_t g = 0; g < groups_.size(); ++g) {
    const size_t index = write_page - groups_[g].first_page;
    const KvPageId shared = groups_[g].ids[index];
    if (pool_->groups_[g].references[shared] == 1) continue;
    // A neighbour still reads this page: write into a copy of our own.
    Result<KvPageId> copy = pool_->allocate(g);
    if (!copy) {
      for (size_t undo = 0; undo < groups_.size(); ++undo) drop_back(undo, before[undo]);
      return tl::unexpected<Error>(std::move(copy).error());
    }
    std::memcpy(pool_->page_data(g, *copy), pool_->page_data(g, shared), pool_->groups_[g].page_bytes);
    set_page(g, index, *copy);
    pool_->release(g, shared);
  }
  return {};
}

ops::AttentionSequence KvSequence::layer(size_t layer, size_t first_row, size_t n_rows) const {
  return {.pages = layer_pages_[layer],
          .first_page = groups_[pool_->layer_group_[layer]].first_page,
          .first_row = first_row,
          .n_rows = n_rows,
          .first_position = length_};
}

void KvSequence::advance(size_t n) {
  length_ += n;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const size_t visible = first_visible_page(length_, pool_->groups_[g].window);
    const size_t keep_from = visible == 0 ? 0 : visible - 1;  // one page of slack for taking positions back
    if (keep_from > groups_[g].first_page) drop_front(g, keep_from - groups_[g].first_page);
  }
}

KvSequence KvSequence::fork() const {
  KvSequence copy(*pool_);
  copy.length_ = length_;
  copy.groups_ = groups_;
  copy.layer_pages_ = layer_pages_;
  for (size_t g = 0; g < groups_.size(); ++g)
    for (const KvPageId id : groups_[g].ids) pool_->retain(g, id);
  copy.truncate(length_);  // room that was reserved and not filled yet is not shared
  return copy;
}

bool KvSequence::can_truncate(size_t length) const {
  if (length > length_) return false;
  for (size_t g = 0; g < groups_.size(); ++g)
    if (first_visible_page(length, pool_->groups_[g].window) < groups_[g].first_page) return false;
  return true;
}

void KvSequence::truncate(size_t length) {
  ATELIER_CHECK(can_truncate(length));
  length_ = length;
  const size_t end_page = ceil_div(length, kKvPageTokens);
  for (size_t g = 0; g < groups_.size(); ++g)
    drop_back(g, end_page - std::min(end_page, groups_[g].first_page));
}

std::span<std::byte> KvSequence::page(size_t g, size_t index) {
  return {pool_->page_data(g, groups_[g].ids[index]), pool_->page_bytes(g)};
}
std::span<const std::byte> KvSequence::page(size_t g, size_t index) const {
  return {pool_->page_data(g, groups_[g].ids[index]), pool_->page_bytes(g)};
}

Status KvSequence::adopt(size_t length, std::span<const size_t> first_pages) {
  ATELIER_CHECK(length_ == 0 && first_pages.size() == groups_.size());
  const size_t end_page = ceil_div(length, kKvPageTokens);
  for (size_t g = 0; g < groups_.size(); ++g) {
    ATELIER_CHECK(groups_[g].ids.empty() && first_pages[g] <= first_visible_page(length, pool_->window(g)));
    groups_[g].first_page = first_pages[g];
    for (size_t at = first_pages[g]; at < end_page; ++at) {
      Result<KvPageId> page = pool_->allocate(g);
      if (!page) {
        for (size_t undo = 0; undo <= g; ++undo) {
          drop_back(undo, 0);
          groups_[undo].first_page = 0;
        }
        return tl::unexpected<Error>(std::move(page).error());
      }
      set_page(g, at - first_pages[g], *page);
    }
  }
  length_ = length;
  return {};
}

}  // namespace atelier
