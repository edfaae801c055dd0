#include "formats/dtype.h"

#include <array>

#include "base/check.h"
#include "base/checked.h"
#include "formats/iq4_nl.h"
#include "formats/iq4_xs.h"
#include "formats/mxfp4.h"
#include "formats/q2_k.h"
#include "formats/q3_k.h"
#include "formats/q4_0.h"
#include "formats/q4_1.h"
#include "formats/q4_k.h"
#include "formats/q5_0.h"
#include "formats/q5_1.h"
#include "formats/q5_k.h"
#include "formats/q6_k.h"
#include "formats/q8_0.h"

namespace atelier {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

struct Entry {
  DTypeInfo info;
  uint32_t ggml_type;            // kNone where GGUF has no such type
  std::string_view safetensors;  // empty where safetensors has no such type
};

template <class Block>
constexpr Entry block_entry(std::string_view name, uint32_t ggml_type) {
  return {{Block::kDType, name, Block::kElems, sizeof(Block), true}, ggml_type, {}};
}

constexpr Entry plain_entry(DType dtype, std::string_view name, size_t bytes, bool is_weight,
                            uint32_t ggml_type, std::string_view safetensors) {
  return {{dtype, name, 1, bytes, is_weight}, ggml_type, safetensors};
}

// In the order of DType. The numbers are `ggml_type` (ggml.h).
constexpr std::array kEntries = {
    plain_entry(DType::kF32, "F32", 4, true, 0, "F32"),
    plain_entry(DType::kF16, "F16", 2, true, 1, "F16"),
    plain_entry(DType::kBF16, "BF16", 2, true, 30, "BF16"),
    plain_entry(DType::kF8E4M3, "F8_E4M3", 1, true, kNone, "F8_E4M3"),
    block_entry<BlockQ8_0>("Q8_0", 8),
    block_entry<BlockQ4_0>("Q4_0", 2),
    block_entry<BlockQ4_1>("Q4_1", 3),
    block_entry<BlockQ5_0>("Q5_0", 6),
    block_entry<BlockQ5_1>("Q5_1", 7),
    block_entry<BlockQ2_K>("Q2_K", 10),
    block_entry<BlockQ3_K>("Q3_K", 11),
    block_entry<BlockQ4_K>("Q4_K", 12),
    block_entry<BlockQ5_K>("Q5_K", 13),
    block_entry<BlockQ6_K>("Q6_K", 14),
    block_entry<BlockIQ4_NL>("IQ4_NL", 20),
    block_entry<BlockIQ4_XS>("IQ4_XS", 23),
    block_entry<BlockMXFP4>("MXFP4", 39),
    plain_entry(DType::kU8, "U8", 1, false, kNone, "U8"),
    plain_entry(DType::kI8, "I8", 1, false, 24, "I8"),
    plain_entry(DType::kI16, "I16", 2, false, 25, "I16"),
    plain_entry(DType::kI32, "I32", 4, false, 26, "I32"),
    plain_entry(DType::kI64, "I64", 8, false, 27, "I64"),
    plain_entry(DType::kF64, "F64", 8, false, 28, "F64"),
    plain_entry(DType::kBool, "BOOL", 1, false, kNone, "BOOL"),
};

consteval bool in_enum_order() {
  for (size_t i = 0; i < kEntries.size(); ++i)
    if (static_cast<size_t>(kEntries[i].info.dtype) != i) return false;
  return true;
}
static_assert(in_enum_order());

const Entry& entry(DType dtype) {
  ATELIER_CHECK(static_cast<size_t>(dtype) < kEntries.size());
  return kEntries[static_cast<size_t>(dtype)];
}

}  // namespace

const DTypeInfo& dtype_info(DType dtype) { return entry(dtype).info; }

std::optional<DType> dtype_from_gguf(uint32_t ggml_type) {
  for (const Entry& e : kEntries)
    if (e.ggml_type == ggml_type && ggml_type != kNone) return e.info.dtype;
  return std::nullopt;
}

std::optional<uint32_t> dtype_to_gguf(DType dtype) {
  const uint32_t ggml_type = entry(dtype).ggml_type;
  return ggml_type == kNone ? std::nullopt : std::optional(ggml_type);
}

std::optional<DType> dtype_from_safetensors(std::string_view name) {
  for (const Entry& e : kEntries)
    if (!e.safetensors.empty() && e.safetensors == name) return e.info.dtype;
  return std::nullopt;
}

std::optional<std::string_view> dtype_to_safetensors(DType dtype) {
  const std::string_view name = entry(dtype).safetensors;
  return name.empty() ? std::nullopt : std::optional(name);
}

std::optional<size_t> row_bytes(DType dtype, size_t elems) {
  const DTypeInfo& info = dtype_info(dtype);
  if (elems % info.block_elems != 0) return std::nullopt;
  return checked_mul(elems / info.block_elems, info.block_bytes);
}

}  // namespace atelier
