// atelier bench: speed as a fraction of what the machine can do.
#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/memory.h"
#include "cli/model_flags.h"
#include "cli/process_start.h"
#include "kernels/cpu/probe/probe.h"

namespace atelier::cli {
namespace {

struct BenchFlags {
  ModelFlags model;
  size_t n_prefill = 512;
  size_t n_decode = 128;
  size_t depth = 0;
  size_t batch = 1;
  size_t repeat = 1;
  bool json = false;
};

using Clock = std::chrono::steady_clock;

// Beyond any last-level cache, or it is the cache that is measured.
constexpr size_t kProbeBytes = size_t{1} << 30;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Ids without meaning but without repetition either: experts and caches see varied rows.
std::vector<TokenId> some_tokens(size_t n, size_t vocab_size, uint64_t seed) {
  std::vector<TokenId> tokens(n);
  for (TokenId& token : tokens) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;  // Knuth's MMIX generator
    token = static_cast<TokenId>((seed >> 33) % vocab_size);
  }
  return tokens;
}

Status extend(Engine& engine, KvSequence& sequence, std::span<const TokenId> tokens, bool logits) {
  for (size_t first = 0; first < tokens.size();) {
    const size_t n = std::min(engine.options().prefill_chunk, tokens.size() - first);
    const bool last = first + n == tokens.size();
    const Engine::Item item{&sequence, tokens.subspan(first, n),
                            last && logits ? Engine::Logits::kLast : Engine::Logits::kNone};
    ATELIER_TRY(const auto ignored, engine.evaluate({&item, 1}));
    (void)ignored;
    first += n;
    if (interrupted().load()) return fail(ErrorCode::kInterrupted, "interrupted");
  }
  return {};
}

Result<double> time_prefill(Engine& engine, const BenchFlags& flags) {
  KvSequence sequence = engine.new_sequence();
  ATELIER_CHECK_OK(extend(engine, sequence, some_tokens(flags.depth, engine.info().vocab_size, 1), false));
  const std::vector<TokenId> prompt = some_tokens(flags.n_prefill, engine.info().vocab_size, 2);
  const Clock::time_point start = Clock::now();
  ATELIER_CHECK_OK(extend(engine, sequence, prompt, true));
  return seconds_since(start);
}

Result<double> time_decode(Engine& engine, const BenchFlags& flags) {
  std::vector<KvSequence> sequences;
  KvSequence filled = engine.new_sequence();
  ATELIER_CHECK_OK(extend(engine, filled, some_tokens(flags.depth, engine.info().vocab_size, 1), false));
  for (size_t i = 0; i < flags.batch; ++i) sequences.push_back(filled.fork());
  const std::vector<TokenId> tokens =
      some_tokens((flags.n_decode + 1) * flags.batch, engine.info().vocab_size, 3);
  Clock::time_point start;
  for (size_t step = 0; step <= flags.n_decode; ++step) {
    if (step == 1) start = Clock::now();  // the first step pays for fresh pages
    std::vector<Engine::Item> items;
    for (size_t i = 0; i < flags.batch; ++i)
      items.push_back(
          {&sequences[i], std::span(tokens).subspan(step * flags.batch + i, 1), Engine::Logits::kLast});
    ATELIER_TRY(const auto ignored, engine.evaluate(items));
    (void)ignored;
    if (interrupted().load()) return fail(ErrorCode::kInterrupted, "interrupted");
  }
  return seconds_since(start);
}

double best_rate(size_t tokens, const std::vector<double>& seconds) {
  return static_cast<double>(tokens) / *std::ranges::min_element(seconds);
}

Status run_bench(const BenchFlags& flags, const Globals& globals) {
  ATELIER_TRY(const std::unique_ptr<Engine> engine, load_engine(flags.model, globals));
  const ModelInfo& info = engine->info();
  {
    KvSequence sequence = engine->new_sequence();
    ATELIER_CHECK_OK(extend(*engine, sequence, some_tokens(8, info.vocab_size, 4), true));
  }
  const double start_to_first_token = seconds_since_process_start();
  std::vector<double> prefill, decode;
  for (size_t round = 0; round < flags.repeat; ++round) {
    if (flags.n_prefill > 0) {
      ATELIER_TRY(prefill.emplace_back(), time_prefill(*engine, flags));
    }
    if (flags.n_decode > 0) {
      ATELIER_TRY(decode.emplace_back(), time_decode(*engine, flags));
    }
  }
  const uint64_t peak_rss = peak_resident_bytes();
  const double read_bytes_s = kernels::measure_read_bandwidth(engine->pool(), kProbeBytes);
  const double int8_ops_s = kernels::measure_int8_peak(engine->pool());

  const uint64_t kv_bytes = engine->kv_pool().sequence_bytes(flags.depth);
  const size_t kv_bits = 8 * KvGeometry{.type = engine->kv_pool().type()}.elem_bytes();
  // A step streams the weights that its tokens meet once, whatever the batch, and every sequence's cache.
  const double bytes_per_token =
      info.bytes_per_pass(flags.batch) / static_cast<double>(flags.batch) + static_cast<double>(kv_bytes);
  const double prefill_rate = prefill.empty() ? 0 : best_rate(flags.n_prefill, prefill);
  const double decode_rate = decode.empty() ? 0 : best_rate(flags.n_decode * flags.batch, decode);
  // A prompt's tokens meet every matrix but the output head, which only the last one needs.
  const uint64_t head_params = uint64_t{info.vocab_size} * info.d_model;
  const double ops_per_token =
      2.0 * (static_cast<double>(info.n_active_params - head_params) +
             static_cast<double>(head_params) / static_cast<double>(std::max<size_t>(flags.n_prefill, 1)));
  const double prefill_fraction = int8_ops_s > 0 ? prefill_rate * ops_per_token / int8_ops_s : 0;
  const double decode_fraction = decode_rate * bytes_per_token / read_bytes_s;
  if (flags.json) {
    return print_json({{"prefill", {{"tokens", flags.n_prefill}, {"tok_s", prefill_rate}}},
                       {"decode",
                        {{"tokens", flags.n_decode * flags.batch},
                         {"tok_s", decode_rate},
                         {"bytes_per_token", static_cast<uint64_t>(bytes_per_token)}}},
                       {"machine", {{"read_gb_s", read_bytes_s / 1e9}, {"int8_tops", int8_ops_s / 1e12}}},
                       {"fraction_of_limit", {{"prefill", prefill_fraction}, {"decode", decode_fraction}}},
                       {"start_to_first_token_s", start_to_first_token},
                       {"peak_rss_bytes", peak_rss},
                       {"threads", engine->pool().size()},
                       {"depth", flags.depth},
                       {"kv_bits", kv_bits},
                       {"kv_bytes", kv_bytes},
                       {"batch", flags.batch}});
  }
  return print(fmt::format(
      "prefill {:>9.1f} tok/s  ({} tokens at depth {}; {:.2f} of {:.2f} int8 Tops)\n"
      "decode  {:>9.1f} tok/s  ({} tokens x {} sequences; {:.2f} of {:.1f} GB/s at {:.1f} MB a token)\n"
      "start to first token {:.3f} s, peak memory {:.0f} MB, cache {:.1f} MB ({} bits), {} threads\n",
      prefill_rate, flags.n_prefill, flags.depth, prefill_fraction, int8_ops_s / 1e12, decode_rate,
      flags.n_decode, flags.batch, decode_fraction, read_bytes_s / 1e9, bytes_per_token / 1e6,
      start_to_first_token, static_cast<double>(peak_rss) / 1e6, static_cast<double>(kv_bytes) / 1e6, kv_bits,
      engine->pool().size()));
}

}  // namespace

void register_bench(Registration r) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = r.app.add_subcommand("bench", "Speed, and the fraction of the machine's limits it is");
  flags->model.add_to(*command, /*required=*/true);
  command->add_option("-p,--prefill", flags->n_prefill, "Tokens of the prompt; 0: do not measure");
  command->add_option("-n,--decode", flags->n_decode,
                      "Tokens decoded one after the other; 0: do not measure");
  command->add_option("--depth", flags->depth, "Tokens in the cache before measuring");
  command->add_option("--batch", flags->batch, "Sequences decoded together")->check(CLI::Range(1, 1024));
  command->add_option("--repeat", flags->repeat, "Rounds; the best counts")->check(CLI::Range(1, 1000));
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->callback([=] { r.selected = [=] { return run_bench(*flags, r.globals); }; });
}

}  // namespace atelier::cli
