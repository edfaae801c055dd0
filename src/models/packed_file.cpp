#include "models/packed_file.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/checked.h"
#include "base/threads.h"
#include "kernels/cpu/matmul/packed.h"

namespace atelier {
namespace {

constexpr size_t kPanelAlignment = 4096;

struct PackedHead {
  std::array<char, 8> magic = {'A', 't', 'P', 'a', 'c', 'k', '\r', '\n'};
  uint32_t version = kPackingVersion;
  uint32_t n_weights = 0;
  uint64_t file_bytes = 0;
  Sha256 key{};
};
struct PackedEntry {
  uint32_t dtype = 0, layout = 0;
  uint64_t rows = 0, cols = 0, offset = 0;
};
static_assert(sizeof(PackedHead) == 56 && sizeof(PackedEntry) == 32);  // no padding: heads are compared

uint64_t panels_bytes(const Weight& weight) { return weight.n_panels() * weight.panel_bytes(); }

struct PackedPlan {
  std::vector<PackedEntry> entries;
  uint64_t file_bytes = 0;
};

PackedPlan plan_of(std::span<Weight* const> weights) {
  PackedPlan plan;
  uint64_t at = sizeof(PackedHead) + weights.size() * sizeof(PackedEntry);
  for (const Weight* weight : weights) {
    at = round_up<uint64_t>(at, kPanelAlignment);
    const DType dtype = weight->packed_dtype();
    plan.entries.push_back({.dtype = static_cast<uint32_t>(dtype),
                            .layout = static_cast<uint32_t>(packed_format(dtype).layout),
                            .rows = weight->rows(),
                            .cols = weight->cols(),
                            .offset = at});
    at += panels_bytes(*weight);
  }
  plan.file_bytes = at;
  return plan;
}

std::vector<std::byte> head_bytes(const PackedPlan& plan, const Sha256& key) {
  const PackedHead head{
      .n_weights = static_cast<uint32_t>(plan.entries.size()), .file_bytes = plan.file_bytes, .key = key};
  std::vector<std::byte> bytes(sizeof head + plan.entries.size() * sizeof(PackedEntry));
  std::memcpy(bytes.data(), &head, sizeof head);
  if (!plan.entries.empty())
    std::memcpy(bytes.data() + sizeof head, plan.entries.data(), bytes.size() - sizeof head);
  return bytes;
}

// Bytes that would differ if tensors had been exchanged behind the table: the first of some of them.
constexpr size_t kSampledTensors = 16;
constexpr size_t kSampleBytes = 64;

void add_samples(std::span<const TensorView> tensors, std::string& text) {
  const size_t step = std::max<size_t>(1, tensors.size() / kSampledTensors);
  for (size_t i = 0; i < tensors.size(); i += step) {
    const auto bytes = tensors[i].bytes.first(std::min(kSampleBytes, tensors[i].bytes.size()));
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
}

int64_t nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

}  // namespace

Result<Sha256> checkpoint_key(const Checkpoint& checkpoint) {
  std::string text;
  for (const std::filesystem::path& path : checkpoint.files()) {
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) return tl::unexpected<Error>(errno_error(path, errno));
    text += fmt::format("{} {} {}\n", info.st_size, nanoseconds(info.st_mtim), nanoseconds(info.st_ctim));
  }
  for (const TensorView& tensor : checkpoint.tensors())
    text += fmt::format("{} {} {}\n", tensor.name, dtype_info(tensor.dtype).name, tensor.shape.to_string());
  add_samples(checkpoint.tensors(), text);
  return sha256(text);
}

Result<PackedFile> PackedFile::open(const std::filesystem::path& path, const Sha256& key,
                                    std::span<Weight* const> weights) {
  ATELIER_TRY(MappedFile file, MappedFile::open(path));
  const PackedPlan plan = plan_of(weights);
  const std::vector<std::byte> head = head_bytes(plan, key);
  const std::span<const std::byte> found = file.bytes();
  if (found.size() != plan.file_bytes)
    return fail(ErrorCode::kCorrupt, "{}: expected {} bytes, found {}", path.string(), plan.file_bytes,
                found.size());
  if (!std::ranges::equal(head, found.first(head.size())))
    return fail(ErrorCode::kCorrupt, "{}: expected the packed weights of this checkpoint, found others",
                path.string());
  file.prefetch(found);
  const auto* bytes = reinterpret_cast<const uint8_t*>(found.data());
  for (size_t i = 0; i < weights.size(); ++i)
    weights[i]->use_panels({bytes + plan.entries[i].offset, panels_bytes(*weights[i])});
  return PackedFile(std::move(file));
}

uint64_t packed_file_bytes(std::span<Weight* const> weights) { return plan_of(weights).file_bytes; }

Status write_packed_file(const std::filesystem::path& path, const Sha256& key,
                         std::span<Weight* const> weights, const PackedFileHooks& hooks) {
  constexpr size_t kChunkBytes = size_t{8} << 20;
  const PackedPlan plan = plan_of(weights);
  ATELIER_TRY(DraftFile file, DraftFile::create(path, plan.file_bytes));
  const std::vector<std::byte> head = head_bytes(plan, key);
  ATELIER_CHECK_OK(file.write(head));
  uint64_t at = head.size();
  std::vector<uint8_t> chunk;
  for (size_t i = 0; i < weights.size(); ++i) {
    const Weight& weight = *weights[i];
    const std::vector<std::byte> padding(plan.entries[i].offset - at);
    ATELIER_CHECK_OK(file.write(padding));
    const size_t panel = weight.panel_bytes(), per_chunk = std::max<size_t>(1, kChunkBytes / panel);
    for (size_t first = 0; first < weight.n_panels(); first += per_chunk) {
      if (hooks.cancelled && hooks.cancelled())
        return fail(ErrorCode::kInterrupted, "{}: interrupted", path.string());
      const size_t n = std::min(per_chunk, weight.n_panels() - first);
      chunk.resize(n * panel);
      if (hooks.pool != nullptr) {
        hooks.pool->run(n, [&](size_t p, size_t) {
          weight.copy_panels(first + p, std::span(chunk).subspan(p * panel, panel));
        });
      } else {
        weight.copy_panels(first, chunk);
      }
      ATELIER_CHECK_OK(file.write(std::as_bytes(std::span(chunk))));
    }
    at = plan.entries[i].offset + panels_bytes(weight);
  }
  return file.commit();
}

}  // namespace atelier
