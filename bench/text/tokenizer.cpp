// How fast a tokenizer loads and encodes:
//   bench_tokenizer TOKENIZER TEXT [REPEATS]
// TEXT holds documents with NUL bytes between them; each is encoded by itself. Prints one JSON object.
// tools/bench_tokenizer.py runs this against tiktoken.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "base/file.h"
#include "text/tokenizer.h"

namespace atelier {
namespace {

// Processor time of this thread: one thread works, and other programs on the machine do not count.
double seconds_now() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::vector<std::string_view> split_documents(std::string_view text) {
  std::vector<std::string_view> documents;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\0', start), text.size());
    documents.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return documents;
}

int run(const char* tokenizer_path, const char* text_path, int repeats) {
  const auto text = read_file(text_path, size_t{1} << 30);
  if (!text) {
    fmt::print(stderr, "{}\n", text.error().message);
    return 1;
  }
  const std::vector<std::string_view> documents = split_documents(*text);
  std::vector<double> load;
  std::vector<double> encode;
  std::vector<TokenId> ids;
  size_t tokens = 0;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    double start = seconds_now();
    const auto tokenizer = Tokenizer::load(tokenizer_path);
    load.push_back(seconds_now() - start);
    if (!tokenizer) {
      fmt::print(stderr, "{}\n", tokenizer.error().message);
      return 1;
    }
    start = seconds_now();
    tokens = 0;
    for (const std::string_view document : documents) {
      ids.clear();
      (*tokenizer)->encode(document, Specials::kAsText, ids);
      tokens += ids.size();
    }
    encode.push_back(seconds_now() - start);
  }
  fmt::print(R"({{"load_ms": {:.1f}, "encode_mb_s": {:.1f}, "best_mb_s": {:.1f}, "tokens": {}, "bytes": {}}})"
             "\n",
             median(load) * 1e3, static_cast<double>(text->size()) / median(encode) / 1e6,
             static_cast<double>(text->size()) / *std::min_element(encode.begin(), encode.end()) / 1e6,
             tokens, text->size());
  return 0;
}

}  // namespace
}  // namespace atelier

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: bench_tokenizer TOKENIZER TEXT [REPEATS]\n");
    return 2;
  }
  return atelier::run(argv[1], argv[2], argc > 3 ? std::max(1, std::atoi(argv[3])) : 5);
}
