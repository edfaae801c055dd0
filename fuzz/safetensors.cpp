// The safetensors reader, its shard index and the JSON of config files on any bytes. The first byte chooses:
// 0 a whole file; 1 a header, for which the length is put in front and the rest after "\n\n" is data; 2 an
// index; 3 a config.
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/check.h"
#include "io/json_text.h"
#include "io/safetensors.h"

namespace {

using namespace atelier;

void check_error(const Error& error) {
  ATELIER_CHECK(error.code == ErrorCode::kCorrupt || error.code == ErrorCode::kUnsupported ||
                error.code == ErrorCode::kLimit);
  ATELIER_CHECK(error.message.size() > 5);
}

void read_file(std::string_view content) {
  // Memory of its own: a read past the end is seen.
  const auto own = std::make_unique<std::byte[]>(content.size());
  if (!content.empty()) std::memcpy(own.get(), content.data(), content.size());
  const Result<SafetensorsFile> file = SafetensorsFile::parse({own.get(), content.size()}, "f");
  if (!file) return check_error(file.error());
  size_t total = 0;
  std::string_view before;
  for (const TensorView& tensor : file->tensors()) {
    ATELIER_CHECK(before < tensor.name);
    before = tensor.name;
    ATELIER_CHECK(tensor.bytes.size() == tensor.shape.elems() * dtype_info(tensor.dtype).block_bytes);
    total += tensor.bytes.size();
  }
  ATELIER_CHECK(total <= content.size() - 8);
}

void read_header(std::string_view text) {
  const size_t end = text.find("\n\n");
  const std::string_view header = text.substr(0, end);
  const std::string_view data = end == text.npos ? std::string_view() : text.substr(end + 2);
  const uint64_t length = header.size();
  std::string content(reinterpret_cast<const char*>(&length), sizeof(length));
  read_file(content.append(header).append(data));
}

void read_index(std::string_view text) {
  const Result<SafetensorsIndex> index = SafetensorsIndex::parse(text, "f");
  if (!index) return check_error(index.error());
  for (const std::string& shard : index->shards()) ATELIER_CHECK(shard.find('/') == shard.npos);
  for (const auto& entry : index->entries()) ATELIER_CHECK(entry.shard < index->shards().size());
}

void read_config(std::string_view text) {
  const Result<nlohmann::json> json = parse_json(text);
  if (!json) return check_error(json.error());
  ATELIER_CHECK(!json->dump().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      read_file(rest);
      break;
    case 1:
      read_header(rest);
      break;
    case 2:
      read_index(rest);
      break;
    default:
      read_config(rest);
      break;
  }
  return 0;
}
