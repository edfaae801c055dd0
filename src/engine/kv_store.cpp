#include "engine/kv_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/bounded_folder.h"
#include "base/checked.h"
#include "base/cpu.h"
#include "base/file.h"
#include "engine/kv_files.h"

namespace atelier {
namespace {

constexpr uint64_t kStandardBytes = uint64_t{8} << 30;
constexpr size_t kHexDigits = 40;  // of a digest, in a name

std::string stat_text(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return path.string();
  return fmt::format("{} {} {} {}.{} {}.{}\n", info.st_dev, info.st_ino, info.st_size, info.st_mtim.tv_sec,
                     info.st_mtim.tv_nsec, info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
}

// What a model's files are, without reading them: all of a folder's, or of the folder a file stands in where
// there may be more parts.
std::string files_text(const std::filesystem::path& path) {
  std::error_code failed;
  const bool folder = std::filesystem::is_directory(path, failed);
  if (!folder && path.filename().string().find("-of-") == std::string::npos) return stat_text(path);
  std::vector<std::string> lines;
  for (const auto& entry : std::filesystem::directory_iterator(folder ? path : path.parent_path(), failed))
    if (entry.is_regular_file(failed))
      lines.push_back(entry.path().filename().string() + stat_text(entry.path()));
  std::ranges::sort(lines);
  std::string all;
  for (const std::string& line : lines) all += line;
  return all;
}

// Everything keys and values depend on, apart from the tokens; this very program included, whose next version
// may compute other bits.
Sha256 model_digest(const Engine& engine) {
  const ModelInfo& info = engine.info();
  std::string all = fmt::format("{} {} {} {} {} {} {}\n", info.architecture, info.d_model, info.vocab_size,
                                engine.context_length(), static_cast<int>(engine.options().numerics),
                                static_cast<int>(engine.kv_pool().type()), isa_name(active_isa()));
  for (const LayerCache& layer : info.cache)
    all += fmt::format("{} {} {} {}\n", layer.geometry.kv_heads, layer.geometry.k_dim, layer.geometry.v_dim,
                       layer.window);
  return sha256(all + files_text(engine.card().path) + stat_text("/proc/self/exe"));
}

std::string_view bytes_of(std::span<const TokenId> tokens) {
  return {reinterpret_cast<const char*>(tokens.data()), tokens.size_bytes()};
}

Sha256 chained(const Sha256& before, std::span<const TokenId> tokens) {
  return sha256(
      std::string(reinterpret_cast<const char*>(before.data()), before.size()).append(bytes_of(tokens)));
}

}  // namespace

// A save under way: the fork keeps the pages it reads.
struct KvStore::Job {
  KvSequence sequence;
  std::vector<KvFile> files;
  std::future<void> written{};
};

KvStore::KvStore(Engine& engine, std::filesystem::path folder, std::filesystem::path all, uint64_t max_bytes)
    : engine_(&engine), folder_(std::move(folder)), all_(std::move(all)), max_bytes_(max_bytes) {}
KvStore::KvStore(KvStore&&) noexcept = default;
KvStore::~KvStore() { wait(); }

Result<KvStore> KvStore::open(Engine& engine, const KvStoreOptions& options) {
  const Sha256 seed = model_digest(engine);
  const std::filesystem::path folder = options.folder / hex(seed).substr(0, kHexDigits);
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) return tl::unexpected<Error>(errno_error(folder, failed.value()));
  uint64_t max_bytes = options.max_bytes;
  if (max_bytes == 0) {
    const std::filesystem::space_info space = std::filesystem::space(folder, failed);
    max_bytes = failed ? kStandardBytes : std::min<uint64_t>(kStandardBytes, space.available / 10);
  }
  KvStore store(engine, folder, options.folder, max_bytes);
  store.seed_ = seed;
  return store;
}

std::vector<Sha256> KvStore::page_digests(std::span<const TokenId> tokens) const {
  std::vector<Sha256> digests;
  for (size_t at = 0; at + kKvPageTokens <= tokens.size(); at += kKvPageTokens)
    digests.push_back(chained(digests.empty() ? seed_ : digests.back(), tokens.subspan(at, kKvPageTokens)));
  return digests;
}

Sha256 KvStore::tail_digest(std::span<const TokenId> tokens, std::span<const Sha256> pages) const {
  const size_t n_full = tokens.size() / kKvPageTokens;
  Sha256 digest = chained(n_full == 0 ? seed_ : pages[n_full - 1], tokens.subspan(n_full * kKvPageTokens));
  digest[0] ^= 0xff;  // no page has the same name
  return digest;
}

std::filesystem::path KvStore::page_path(const Sha256& digest) const {
  return folder_ / (hex(digest).substr(0, kHexDigits) + ".page");
}
std::filesystem::path KvStore::tail_path(size_t length, const Sha256& digest) const {
  return folder_ / fmt::format("{}-{}.tail", length, hex(digest).substr(0, kHexDigits));
}

void KvStore::wait() {
  if (job_) job_->written.wait();
  job_.reset();
}

void KvStore::save(const KvSequence& sequence, std::span<const TokenId> tokens) {
  const KvPool& pool = engine_->kv_pool();
  if (tokens.empty() || pool.n_groups() == 0 || pool.n_groups() > KvTailHead::kMaxGroups) return;
  wait();
  job_ = std::make_unique<Job>(Job{.sequence = sequence.fork(), .files = {}});
  const KvSequence& kept = job_->sequence;
  const std::vector<Sha256> pages = page_digests(tokens);
  KvFile& tail = job_->files.emplace_back();
  const Sha256 digest = tail_digest(tokens, pages);
  tail = {.path = tail_path(tokens.size(), digest), .digest = digest, .head = KvTailHead{}};
  for (size_t g = 0; g < pool.n_groups(); ++g) {
    const size_t first = pool.window(g) > 0 ? kept.first_page(g) : pages.size();
    tail.head->first_pages[g] = pool.window(g) > 0 ? first : 0;
    for (size_t i = first - kept.first_page(g); i < kept.n_pages(g); ++i)
      tail.parts.push_back(kept.page(g, i));
  }
  // The beginning last: what is used by most is the youngest when something has to go.
  for (size_t i = pages.size(); i-- > 0;) {
    KvFile page{.path = page_path(pages[i]), .digest = pages[i]};
    for (size_t g = 0; g < pool.n_groups(); ++g)
      if (pool.window(g) == 0) page.parts.push_back(kept.page(g, i));
    if (!page.parts.empty()) job_->files.push_back(std::move(page));
  }
  job_->written = std::async(std::launch::async, [this_job = job_.get(), all = all_, max_bytes = max_bytes_] {
    for (const KvFile& file : this_job->files)
      if (!touch_file(file.path) && !write_kv_file(file)) break;  // no room: neither is there for the rest
    bound_kv_files(all, max_bytes);
  });
}

std::vector<KvStore::Tail> KvStore::tails(std::span<const TokenId> prompt,
                                          std::span<const Sha256> pages) const {
  std::vector<Tail> found;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, failed)) {
    const std::string name = entry.path().filename().string();
    size_t length = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), length);
    if (error != std::errc() || !name.ends_with(".tail") || length == 0 || length > prompt.size()) continue;
    if (entry.path() == tail_path(length, tail_digest(prompt.first(length), pages)))
      found.push_back({length, entry.path()});
  }
  if (!engine_->kv_pool().windowed()) {
    size_t n = 0;
    while (n < pages.size() && std::filesystem::exists(page_path(pages[n]), failed)) ++n;
    if (n > 0) found.push_back({n * kKvPageTokens, {}});
  }
  std::ranges::sort(found, std::ranges::greater(), &Tail::length);
  return found;
}

std::optional<KvStore::Found> KvStore::load(std::span<const TokenId> prompt, size_t more_than) {
  const KvPool& pool = engine_->kv_pool();
  if (prompt.size() <= more_than || pool.n_groups() == 0) return std::nullopt;
  wait();  // what is being written may be what is asked for
  const std::vector<Sha256> pages = page_digests(prompt);
  for (const Tail& tail : tails(prompt, pages)) {
    if (tail.length <= more_than) break;
    const auto full = std::span(pages).first(tail.length / kKvPageTokens);
    const Sha256 digest = tail_digest(prompt.first(tail.length), pages);
    if (std::optional<KvSequence> sequence = read(tail.length, full, tail.path, digest))
      return Found{std::move(*sequence), tail.length};
    std::error_code ignored;
    if (!tail.path.empty()) std::filesystem::remove(tail.path, ignored);
  }
  return std::nullopt;
}

std::optional<KvSequence> KvStore::read(size_t length, std::span<const Sha256> pages,
                                        const std::filesystem::path& tail, const Sha256& digest) const {
  const KvPool& pool = engine_->kv_pool();
  // The disk reads all of it while the first files are copied.
  for (const Sha256& page : pages) prefetch_kv_file(page_path(page));
  KvTailHead head{};
  std::optional<KvFileReader> file;
  if (!tail.empty()) {
    file = KvFileReader::open(tail, digest, &head);
    if (!file) return std::nullopt;
  }
  const size_t end_page = ceil_div(length, kKvPageTokens);
  std::vector<size_t> first_pages;
  for (size_t g = 0; g < pool.n_groups(); ++g) {
    const uint64_t first = head.first_pages[g];
    if (first > first_visible_page(length, pool.window(g)) || first > end_page) return std::nullopt;
    first_pages.push_back(first);
  }
  KvSequence sequence = engine_->new_sequence();
  if (!sequence.adopt(length, first_pages)) return std::nullopt;
  if (file) {
    std::vector<std::span<std::byte>> parts;
    for (size_t g = 0; g < pool.n_groups(); ++g)
      for (size_t i = pool.window(g) > 0 ? 0 : pages.size(); i < sequence.n_pages(g); ++i)
        parts.push_back(sequence.page(g, i));
    if (!file->read(parts)) return std::nullopt;
    touch_file(tail);
  }
  for (size_t i = pages.size(); i-- > 0;) {
    std::vector<std::span<std::byte>> parts;
    for (size_t g = 0; g < pool.n_groups(); ++g)
      if (pool.window(g) == 0) parts.push_back(sequence.page(g, i));
    if (parts.empty()) break;
    const std::filesystem::path path = page_path(pages[i]);
    std::optional<KvFileReader> page = KvFileReader::open(path, pages[i], nullptr);
    if (!page || !page->read(parts)) {
      std::error_code ignored;
      std::filesystem::remove(path, ignored);
      return std::nullopt;
    }
    touch_file(path);
  }
  return sequence;
}

}  // namespace atelier
