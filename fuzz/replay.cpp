// Runs a fuzz target over every file of a folder: what the fuzzer found stays found.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "base/file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
    return 2;
  }
  size_t n = 0;
  std::error_code error;
  for (std::filesystem::directory_iterator at(argv[1], error), end; !error && at != end;
       at.increment(error)) {
    const auto content = atelier::read_file(at->path(), 1u << 20);
    if (!content) {
      std::fprintf(stderr, "%s\n", content.error().message.c_str());
      return 1;
    }
    // A copy of exactly its size: AddressSanitizer sees one byte too far.
    const auto bytes = std::make_unique<uint8_t[]>(content->size());
    std::copy(content->begin(), content->end(), bytes.get());
    LLVMFuzzerTestOneInput(bytes.get(), content->size());
    ++n;
  }
  std::printf("figure  fuzz corpus %s: %zu inputs replayed\n",
              std::filesystem::path(argv[1]).filename().c_str(), n);
  return error || n == 0 ? 1 : 0;
}
