// Writing safetensors, whole or in shards.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "io/tensor_writer.h"

namespace atelier {

class SafetensorsWriter {
 public:
  // Tensors are written with the widest elements first, so that all are aligned; otherwise in this order.
  void add_tensor(TensorSpec tensor) { tensors_.push_back(std::move(tensor)); }
  std::span<const TensorSpec> tensors() const { return tensors_; }

  // One file, written under a temporary name, fsynced and renamed. Errors: kInvalidArgument (names, shapes,
  // dtypes safetensors does not have), kIo, and whatever `fill` returns.
  Status write(const std::filesystem::path& path, const FillRows& fill) const;

  // FOLDER/model.safetensors, or, where the tensors take more than `max_shard_bytes`,
  // model-00001-of-0000N.safetensors … and, last, model.safetensors.index.json. A tensor larger than a shard
  // gets a shard of its own.
  Status write_folder(const std::filesystem::path& folder, uint64_t max_shard_bytes,
                      const FillRows& fill) const;

 private:
  std::vector<TensorSpec> tensors_;
};

}  // namespace atelier
