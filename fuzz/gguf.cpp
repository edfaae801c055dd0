// GgufFile::parse on any bytes: a file all of whose parts can be used, or a typed error.
#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "io/gguf.h"

namespace {

using namespace atelier;

void use_metadata(const GgufMetadata& metadata) {
  for (const GgufEntry& entry : metadata.entries()) {
    ATELIER_CHECK(metadata.find(entry.key) == &entry.value);
    size_t kinds = 0;
    kinds += metadata.string(entry.key).has_value();
    kinds += metadata.boolean(entry.key).has_value();
    kinds += metadata.number(entry.key).has_value();
    ATELIER_CHECK(!metadata.uint(entry.key) || metadata.number(entry.key));
    ATELIER_CHECK(!metadata.integer(entry.key) || metadata.number(entry.key));
    if (const auto strings = metadata.strings(entry.key)) {
      size_t bytes = 0, n = 0;
      for (const std::string_view text : *strings) {
        bytes += sizeof(uint64_t) + text.size();
        ++n;
      }
      ATELIER_CHECK(n == strings->size() && bytes == entry.value.bytes.size());
      ++kinds;
    }
    if (const auto numbers = metadata.integers(entry.key)) {
      for (size_t i = 0; i < numbers->size(); ++i) (void)(*numbers)[i];
      ++kinds;
    }
    if (const auto numbers = metadata.floats(entry.key))
      for (size_t i = 0; i < numbers->size(); ++i) (void)(*numbers)[i];
    ATELIER_CHECK(kinds == 1 || entry.value.type == GgufType::kArray);
  }
  ATELIER_CHECK(metadata.to_json().dump().size() >= 2);  // throws where a string is not UTF-8
}

void use_tensors(std::span<const TensorView> tensors, std::span<const std::byte> file) {
  for (const TensorView& tensor : tensors) {
    ATELIER_CHECK(tensor.bytes.data() >= file.data() &&
                  tensor.bytes.data() + tensor.bytes.size() <= file.data() + file.size());
    const auto row = row_bytes(tensor.dtype, tensor.shape.cols());
    ATELIER_CHECK(row && tensor.shape.rows() * *row == tensor.bytes.size() && !tensor.bytes.empty());
    ATELIER_CHECK(!tensor.name.empty() && !tensor.shape.to_string().empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const Result<GgufFile> file = GgufFile::parse(bytes, "f");
  if (!file) {
    const ErrorCode code = file.error().code;
    ATELIER_CHECK(code == ErrorCode::kCorrupt || code == ErrorCode::kUnsupported ||
                  code == ErrorCode::kLimit);
    ATELIER_CHECK(file.error().message.starts_with("f: "));
    return 0;
  }
  use_metadata(file->metadata());
  use_tensors(file->tensors(), bytes);
  return 0;
}
