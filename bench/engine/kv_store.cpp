// How soon a conversation of N tokens can go on from disk: `bench_kv_store MODEL|20b [TOKENS]`. With "20b"
// the cache has the shapes of gpt-oss-20b and the model computes nothing: what is measured is the store
// alone.
//
// Prints seconds to save and to load, with the files in the page cache and after they were put out of it, and
// the bytes on disk.
#include "engine/kv_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "base/descriptor.h"

namespace atelier {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Layers of a published size, and nothing behind them.
class Shapes final : public Model {
 public:
  Shapes() {
    info_.architecture = "gpt-oss";
    info_.n_layers = 24;
    info_.vocab_size = 201088;
    info_.context_length = 131072;
    for (size_t layer = 0; layer < info_.n_layers; ++layer)
      info_.cache.push_back(
          {.geometry = {.kv_heads = 8, .k_dim = 64, .v_dim = 64}, .window = layer % 2 == 0 ? 128u : 0u});
  }
  const ModelInfo& info() const override { return info_; }
  std::vector<Weight*> multiplied_weights() override { return {}; }
  void forward(Context&, const Batch&, MatView<float>) const override {}

 private:
  ModelInfo info_;
};

void drop_from_page_cache(const std::filesystem::path& folder) {
  ::sync();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const Descriptor fd(::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() >= 0) ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  }
}

// A sequence whose pages are no zeros: what is not there would be quick to copy.
Status fill(Engine& engine, KvSequence& sequence, std::span<const TokenId> tokens) {
  for (size_t at = 0; at < tokens.size(); at += 512) {
    const Engine::Item item{&sequence, tokens.subspan(at, std::min<size_t>(512, tokens.size() - at)),
                            Engine::Logits::kNone};
    ATELIER_CHECK_OK(engine.evaluate({&item, 1}).map([](const auto&) {}));
  }
  for (size_t group = 0; group < engine.kv_pool().n_groups(); ++group)
    for (size_t i = 0; i < sequence.n_pages(group); ++i)
      for (size_t byte = 0; byte < sequence.page(group, i).size(); byte += 64)
        sequence.page(group, i)[byte] |= static_cast<std::byte>(byte >> 6 | 1);
  return {};
}

Status run(const std::string& model, size_t n_tokens, const std::filesystem::path& scratch) {
  std::unique_ptr<Engine> engine;
  if (model == "20b") {
    engine = Engine::create(std::make_unique<Shapes>(), nullptr, {}, {.n_threads = 1});
  } else {
    ATELIER_TRY(engine, Engine::load(model, {}));
  }
  std::vector<TokenId> tokens(n_tokens);
  for (size_t i = 0; i < n_tokens; ++i) tokens[i] = static_cast<TokenId>(i * 31 % 4096);
  ATELIER_TRY(KvStore store, KvStore::open(*engine, {.folder = scratch, .max_bytes = uint64_t{64} << 30}));
  {
    KvSequence sequence = engine->new_sequence();
    ATELIER_CHECK_OK(fill(*engine, sequence, tokens));
    const Clock::time_point begin = Clock::now();
    store.save(sequence, tokens);
    store.wait();
    fmt::print("{{\"tokens\":{},\"save_s\":{:.3f},", n_tokens, seconds_since(begin));
  }
  engine->trim_kv();
  for (const bool cold : {false, true}) {
    if (cold) drop_from_page_cache(store.folder());
    const Clock::time_point begin = Clock::now();
    const auto found = store.load(tokens, n_tokens - 1);
    fmt::print("\"load_{}_s\":{:.3f},", cold ? "cold" : "cached", seconds_since(begin));
    if (!found) return fail(ErrorCode::kNotFound, "what was saved is not there");
  }
  uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(store.folder())) bytes += entry.file_size();
  fmt::print("\"bytes\":{}}}\n", bytes);
  return {};
}

}  // namespace
}  // namespace atelier

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: {} MODEL|20b [TOKENS]\n", argv[0]);
    return 2;
  }
  std::string scratch = (std::filesystem::temp_directory_path() / "atelier-kv-XXXXXX").string();
  if (::mkdtemp(scratch.data()) == nullptr) return 1;
  const auto done = atelier::run(argv[1], argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 10'000, scratch);
  std::error_code none;
  std::filesystem::remove_all(scratch, none);
  if (!done) fmt::print(stderr, "{}\n", done.error().message);
  return done ? 0 : 1;
}
