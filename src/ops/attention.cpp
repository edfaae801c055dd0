#include "ops/attention.h"

#include <algorithm>

#include "base/check.h"
#include "base/checked.h"
#include "kernels/cpu/attention/attention.h"
#include "kernels/cpu/attention/kv_append.h"

namespace atelier::ops {
namespace {

using kernels::AttentionScratch;
using kernels::AttentionState;
using kernels::AttentionTile;
using kernels::kAttentionSplitKeys;
using kernels::kAttentionTileRows;
using kernels::KeyRange;

// Work of one fork-join (about 2 µs) in multiply-adds of one core: below twice that, one thread is faster.
constexpr size_t kInlineMultiplyAdds = 200'000;
// Tasks per thread that let uneven ones balance.
constexpr size_t kTasksPerThread = 4;

void check_sequences(const AttentionShape& shape, size_t rows, std::span<const AttentionSequence> sequences) {
  for (const AttentionSequence& s : sequences) {
    ATELIER_CHECK(s.first_row <= rows && s.n_rows <= rows - s.first_row);
    if (s.n_rows == 0) continue;
    const size_t first_key = kernels::visible_keys(s.first_position, shape.window).first;
    ATELIER_CHECK(first_key / kKvPageTokens >= s.first_page);
    ATELIER_CHECK((s.first_position + s.n_rows - 1) / kKvPageTokens < s.first_page + s.pages.size());
  }
}

// New tokens of one sequence that fall into one page.
struct PageRun {
  std::byte* page;
  size_t first_slot;
  size_t first_row;  // of k and v
  size_t n_rows;
};

size_t n_page_runs(const AttentionSequence& s) {
  if (s.n_rows == 0) return 0;
  return (s.first_position + s.n_rows - 1) / kKvPageTokens - s.first_position / kKvPageTokens + 1;
}

PageRun page_run(const AttentionSequence& s, size_t run) {
  const size_t page = s.first_position / kKvPageTokens + run;
  const size_t first = std::max(s.first_position, page * kKvPageTokens);
  const size_t end = std::min(s.first_position + s.n_rows, (page + 1) * kKvPageTokens);
  return {s.pages[page - s.first_page], first % kKvPageTokens, s.first_row + first - s.first_position,
          end - first};
}

// One tile of the plan: which rows it is and which splits of keys it sees.
struct PlannedTile {
  AttentionTile tile;
  size_t sequence = 0;
  size_t first_split = 0;
  size_t n_splits = 0;
  size_t n_tasks = 1;              // > 1: its splits are divided among tasks and folded afterwards
  float* stored_states = nullptr;  // [n_splits] states, if n_tasks > 1
};

struct Task {
  uint32_t tile;
  uint32_t part;  // of the tile's n_tasks
};

class Plan {
 public:
  Plan(Context& ctx, const AttentionShape& shape, MatView<const float> q,
       std::span<const AttentionSequence> sequences);

  std::span<PlannedTile> tiles;
  std::span<Task> tasks;
  bool run_inline = false;

 private:
  void add_tiles(const AttentionShape& shape, MatView<const float> q, const AttentionSequence& sequence,
                 size_t index, size_t& n_tiles);
  void divide(Context& ctx, const KvGeometry& kv);
};

size_t tiles_per_head(size_t n_rows, size_t group) { return ceil_div(n_rows * group, kAttentionTileRows); }

Plan::Plan(Context& ctx, const AttentionShape& shape, MatView<const float> q,
           std::span<const AttentionSequence> sequences) {
  const size_t group = shape.n_heads / shape.kv.kv_heads;
  size_t n_tiles = 0;
  for (const AttentionSequence& s : sequences) n_tiles += shape.kv.kv_heads * tiles_per_head(s.n_rows, group);
  tiles = ctx.arena().take<PlannedTile>(n_tiles);
  size_t filled = 0;
  for (size_t i = 0; i < sequences.size(); ++i) add_tiles(shape, q, sequences[i], i, filled);
  divide(ctx, shape.kv);
}

// The tiles of a kv head stand together, the longest first: its pages stay in the shared cache, and the last
// tasks of the call are short ones.
void Plan::add_tiles(const AttentionShape& shape, MatView<const float> q, const AttentionSequence& sequence,
                     size_t index, size_t& n_tiles) {
  const KvGeometry& kv = shape.kv;
  const size_t group = shape.n_heads / kv.kv_heads;
  const size_t all_rows = sequence.n_rows * group;
  for (size_t head = 0; head < kv.kv_heads; ++head) {
    for (size_t i = tiles_per_head(sequence.n_rows, group); i-- > 0;) {
      PlannedTile& planned = tiles[n_tiles++];
      planned = PlannedTile{};
      planned.sequence = index;
      planned.tile = {.kv = kv,
                      .kv_head = head,
                      .pages = sequence.pages,
                      .first_page = sequence.first_page,
                      .group = group,
                      .q = q.row_range(sequence.first_row, sequence.n_rows)
                               .col_range(head * group * kv.k_dim, group * kv.k_dim),
                      .first_position = sequence.first_position,
                      .first_row = i * kAttentionTileRows,
                      .n_rows = std::min(kAttentionTileRows, all_rows - i * kAttentionTileRows),
                      .scale = shape.scale,
                      .softcap = shape.softcap,
                      .window = shape.window};
      const KeyRange keys = planned.tile.keys();
      planned.first_split = keys.first / kAttentionSplitKeys;
      planned.n_splits = ceil_div(keys.end, kAttentionSplitKeys) - planned.first_split;
    }
  }
}

// Divides the splits of tiles that are too long for a fair share among several tasks.
void Plan::divide(Context& ctx, const KvGeometry& kv) {
  size_t row_splits = 0, multiply_adds = 0;
  for (const PlannedTile& t : tiles) {
    const KeyRange keys = t.tile.keys();
    row_splits += t.tile.n_rows * t.n_splits;
    multiply_adds += t.tile.n_rows * (keys.end - keys.first) * (kv.k_dim + kv.v_dim);
  }
  run_inline = ctx.pool().size() == 1 || multiply_adds < kInlineMultiplyAdds;
  const size_t share = ceil_div(row_splits, kTasksPerThread * ctx.pool().size());
  size_t n_tasks = 0;
  for (PlannedTile& t : tiles) {
    if (!run_inline && t.tile.n_rows * t.n_splits > share) {
      const size_t splits_per_task = std::max<size_t>(1, share / t.tile.n_rows);
      t.n_tasks = ceil_div(t.n_splits, splits_per_task);
    }
    if (t.n_tasks > 1)
      t.stored_states =
          ctx.arena().take<float>(t.n_splits * AttentionState::n_floats(kv, t.tile.n_rows)).data();
    n_tasks += t.n_tasks;
  }
  tasks = ctx.arena().take<Task>(n_tasks);
  size_t filled = 0;
  for (size_t i = 0; i < tiles.size(); ++i)
    for (size_t part = 0; part < tiles[i].n_tasks; ++part)
      tasks[filled++] = {static_cast<uint32_t>(i), static_cast<uint32_t>(part)};
}

AttentionState stored_state(const PlannedTile& t, size_t i) {
  const size_t floats = AttentionState::n_floats(t.tile.kv, t.tile.n_rows);
  return AttentionState::at(t.stored_states + i * floats, t.tile.kv, t.tile.n_rows);
}

// Memory of one thread: working memory of the kernel, the state of a split and of a tile.
struct ThreadMemory {
  AttentionScratch scratch;
  AttentionState split;
  AttentionState total;

  static size_t n_floats(const KvGeometry& kv) {
    return AttentionScratch::n_floats(kv) + 2 * AttentionState::n_floats(kv, kAttentionTileRows);
  }
  ThreadMemory(float* memory, const KvGeometry& kv) : scratch(AttentionScratch::at(memory, kv)) {
    float* states = memory + AttentionScratch::n_floats(kv);
    split = AttentionState::at(states, kv, kAttentionTileRows);
    total =
        AttentionState::at(states + AttentionState::n_floats(kv, kAttentionTileRows), kv, kAttentionTileRows);
  }
};

// A tile in one task. One split alone needs no folding: folding into an empty state copies it.
void run_whole_tile(const PlannedTile& t, const ThreadMemory& memory, std::span<const float> sinks,
                    MatView<float> out) {
  kernels::attention_pack(t.tile, memory.scratch);
  if (t.n_splits == 1) {
    kernels::attention_split(t.tile, t.first_split, memory.scratch, memory.split);
    return kernels::attention_finish(t.tile, memory.split, sinks, out);
  }
  kernels::attention_clear(t.tile.kv, t.tile.n_rows, memory.total);
  for (size_t i = 0; i < t.n_splits; ++i) {
    kernels::attention_split(t.tile, t.first_split + i, memory.scratch, memory.split);
    kernels::attention_fold(t.tile.kv, t.tile.n_rows, memory.split, memory.total);
  }
  kernels::attention_finish(t.tile, memory.total, sinks, out);
}

void run_part_of_tile(const PlannedTile& t, size_t part, const ThreadMemory& memory) {
  kernels::attention_pack(t.tile, memory.scratch);
  const size_t end = (part + 1) * t.n_splits / t.n_tasks;
  for (size_t i = part * t.n_splits / t.n_tasks; i < end; ++i)
    kernels::attention_split(t.tile, t.first_split + i, memory.scratch, stored_state(t, i));
}

void fold_stored(const PlannedTile& t, const ThreadMemory& memory, std::span<const float> sinks,
                 MatView<float> out) {
  kernels::attention_clear(t.tile.kv, t.tile.n_rows, memory.total);
  for (size_t i = 0; i < t.n_splits; ++i)
    kernels::attention_fold(t.tile.kv, t.tile.n_rows, stored_state(t, i), memory.total);
  kernels::attention_finish(t.tile, memory.total, sinks, out);
}

template <class Fn>
void for_tasks(Context& ctx, bool run_inline, size_t n_tasks, Fn fn) {
  if (!run_inline) return ctx.pool().run(n_tasks, fn);
  for (size_t i = 0; i < n_tasks; ++i) fn(i, size_t{0});
}

void run_fast(Context& ctx, const Plan& plan, const KvGeometry& kv, auto sinks_of, auto out_of) {
  const size_t floats = ThreadMemory::n_floats(kv);
  const std::span<float> memory = ctx.arena().take<float>(ctx.pool().size() * floats);
  for_tasks(ctx, plan.run_inline, plan.tasks.size(), [&](size_t i, size_t thread) {
    const PlannedTile& t = plan.tiles[plan.tasks[i].tile];
    const ThreadMemory mine(memory.data() + thread * floats, kv);
    if (t.n_tasks > 1) return run_part_of_tile(t, plan.tasks[i].part, mine);
    run_whole_tile(t, mine, sinks_of(t), out_of(t));
  });
  const auto is_divided = [](const PlannedTile& t) { return t.n_tasks > 1; };
  if (std::none_of(plan.tiles.begin(), plan.tiles.end(), is_divided)) return;
  for_tasks(ctx, plan.run_inline, plan.tiles.size(), [&](size_t i, size_t thread) {
    const PlannedTile& t = plan.tiles[i];
    if (is_divided(t))
      fold_stored(t, ThreadMemory(memory.data() + thread * floats, kv), sinks_of(t), out_of(t));
  });
}

void run_reference(Context& ctx, const Plan& plan, auto sinks_of, auto out_of) {
  size_t most_keys = 0;
  for (const PlannedTile& t : plan.tiles) most_keys = std::max(most_keys, t.tile.keys().end);
  const std::span<double> scores = ctx.arena().take<double>(ctx.pool().size() * most_keys);
  ctx.pool().run(plan.tiles.size(), [&](size_t i, size_t thread) {
    const PlannedTile& t = plan.tiles[i];
    kernels::attention_ref(t.tile, sinks_of(t), scores.subspan(thread * most_keys, most_keys), out_of(t));
  });
}

}  // namespace

void kv_append(Context& ctx, const AttentionShape& shape, MatView<const float> k, MatView<const float> v,
               std::span<const AttentionSequence> sequences) {
  const KvGeometry& kv = shape.kv;
  ATELIER_CHECK(k.rows == v.rows && k.cols == kv.kv_heads * kv.k_dim && v.cols == kv.kv_heads * kv.v_dim);
  check_sequences(shape, k.rows, sequences);
  const auto kernel = ctx.is_reference() ? kernels::kv_append_ref : kernels::kv_append;
  // A page of a sequence is a task: some 64 · kv_heads · (k_dim + v_dim) stores, tens of µs.
  for (const AttentionSequence& s : sequences) {
    const auto append_run = [&](size_t run, size_t) {
      const PageRun r = page_run(s, run);
      kernel(kv, k.row_range(r.first_row, r.n_rows), v.row_range(r.first_row, r.n_rows), 0, kv.kv_heads,
             r.page, r.first_slot);
    };
    for_tasks(ctx, s.n_rows < kKvPageTokens, n_page_runs(s), append_run);
  }
}

void attention(Context& ctx, const AttentionShape& shape, MatView<const float> q,
               std::span<const float> sinks, std::span<const AttentionSequence> sequences,
               MatView<float> out) {
  const KvGeometry& kv = shape.kv;
  ATELIER_CHECK(kv.kv_heads > 0 && shape.n_heads % kv.kv_heads == 0 && kv.k_dim > 0 && kv.v_dim > 0);
  ATELIER_CHECK(q.rows == out.rows && q.cols == shape.n_heads * kv.k_dim);
  ATELIER_CHECK(out.cols == shape.n_heads * kv.v_dim);
  ATELIER_CHECK(sinks.empty() || sinks.size() == shape.n_heads);
  check_sequences(shape, q.rows, sequences);
  ctx.interlude(PassPart::kAttention);

  const ArenaScope scope(ctx.arena());
  const Plan plan(ctx, shape, q, sequences);
  const size_t group = shape.n_heads / kv.kv_heads;
  const auto sinks_of = [&](const PlannedTile& t) {
    return sinks.empty() ? sinks : sinks.subspan(t.tile.kv_head * group, group);
  };
  const auto out_of = [&](const PlannedTile& t) {
    const AttentionSequence& s = sequences[t.sequence];
    return out.row_range(s.first_row, s.n_rows)
        .col_range(t.tile.kv_head * group * kv.v_dim, group * kv.v_dim);
  };
  if (ctx.is_reference()) return run_reference(ctx, plan, sinks_of, out_of);
  run_fast(ctx, plan, kv, sinks_of, out_of);
}

}  // namespace atelier::ops
