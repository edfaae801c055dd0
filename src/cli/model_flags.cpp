#include "cli/model_flags.h"

#include "base/user_folders.h"
#include "io/pull.h"
#include "models/script.h"

namespace atelier::cli {
namespace {

constexpr std::string_view kScriptPrefix = "script:";  // a scripted token source, for tests

}  // namespace

void ModelFlags::add_to(CLI::App& command, bool required) {
  auto* option =
      command.add_option("-m,--model", model, "A name from the store, a .gguf, or a folder with config.json");
  if (required) option->required();
  add_load_flags(command);
}

void ModelFlags::add_load_flags(CLI::App& command) {
  command.add_option("--threads", threads, "Threads to compute on (default: one per physical core)")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--pin", pin, "Keep each thread on a core of its own, also where there is one NUMA node");
  command
      .add_option("--ctx", context,
                  "Tokens a conversation may reach (default: what the model was trained for)")
      ->check(CLI::Range(1, 1 << 24));
  command.add_flag("--reference", reference, "Compute on the scalar reference path (slow, exact)");
  command.add_flag("--deterministic", deterministic,
                   "Same tokens whatever the threads, batch neighbours and cache hits");
  command.add_flag("--no-speculation", no_speculation,
                   "Evaluate no guessed tokens ahead (the answers are the same either way)");
  command.add_flag("--no-pack-cache", no_pack_cache,
                   "Neither use nor write packed weights on disk (see `atelier pack`)");
  command.add_flag("--mmap-anyway", mmap_anyway, "Load even if the model will not fit into memory");
  command
      .add_option(
          "--dense", dense,
          "q8: turn BF16, F16 and F32 matrices into 8-bit blocks on loading (`perplexity` says what it "
          "costs)")
      ->check(CLI::IsMember({"published", "q8"}));
  command
      .add_option("--kv", kv_bits,
                  "Bits of cached keys and values: 8 takes little more than half the memory of 16 "
                  "(`perplexity` says what it costs)")
      ->check(CLI::IsMember({8, 16}));
}

Result<std::filesystem::path> locate(const std::string& model, const Globals& globals) {
  ATELIER_TRY(const Store store, Store::open());
  return locate_model(store, model.empty() ? std::nullopt : std::optional(model), transfer_hooks(globals));
}

std::filesystem::path weight_cache_folder() {
  const Result<std::filesystem::path> cache = user_folder(UserFolder::kCache);
  return cache ? *cache / "packed" : std::filesystem::path();
}

Result<std::unique_ptr<Engine>> load_engine(const ModelFlags& flags, const Globals& globals) {
  EngineOptions options;
  options.n_threads = flags.threads;
  if (flags.pin) options.pin = Pinning::kOn;
  options.context = flags.context;
  options.ignore_memory = flags.mmap_anyway;
  if (!flags.no_pack_cache) options.weight_cache = weight_cache_folder();
  if (flags.dense == "q8") options.dense = DenseWeights::kQ8;
  options.kv_bits = flags.kv_bits;
  options.numerics = flags.reference       ? Numerics::kReference
                     : flags.deterministic ? Numerics::kFast
                                           : Numerics::kFastest;
  options.drafts.enabled = !flags.no_speculation;
  if (flags.model.starts_with(kScriptPrefix)) {
    const std::filesystem::path path = flags.model.substr(kScriptPrefix.size());
    ATELIER_TRY(Script script, load_script(path));
    return Engine::create(std::move(script.model), std::move(script.tokenizer),
                          {.path = path, .chat_template = std::move(script.chat_template)}, options);
  }
  ATELIER_TRY(const std::filesystem::path path, locate(flags.model, globals));
  ATELIER_TRY(std::unique_ptr<Engine> engine, Engine::load(path, options));
  if (globals.verbose)
    note(globals,
         fmt::format("packed weights: {}",
                     engine->kept_weights().empty() ? "none kept" : engine->kept_weights().string()));
  return engine;
}

void SamplingFlags::add_to(CLI::App& command) {
  command.add_option("--temp", choice.temperature, "Temperature; 0 takes the likeliest token")
      ->check(CLI::Range(0.0, 100.0));
  command.add_option("--top-p", choice.top_p, "Smallest set of tokens with this probability")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--top-k", choice.top_k, "Only the K likeliest tokens; 0: all");
  command.add_option("--min-p", choice.min_p, "Only tokens this likely relative to the likeliest")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--typical-p", choice.typical_p, "Locally typical sampling")
      ->check(CLI::Range(0.0, 1.0));
  add_penalties_to(command);
  add_alternatives_to(command);
  command.add_option("--seed", choice.seed, "Makes the answer repeatable");
  command.add_option("--stop", stop, "Stop before this text (may be given several times)")
      ->expected(1)
      ->take_all();
}

void SamplingFlags::add_penalties_to(CLI::App& command) {
  command.add_option("--repeat-penalty", choice.repetition_penalty, "Divides the logits of tokens seen")
      ->check(CLI::Range(0.01, 100.0));
  command.add_option("--presence-penalty", choice.presence_penalty, "Subtracted from tokens seen")
      ->check(CLI::Range(-100.0, 100.0));
  command.add_option("--frequency-penalty", choice.frequency_penalty, "Subtracted per occurrence")
      ->check(CLI::Range(-100.0, 100.0));
  command.add_option("--repeat-last-n", choice.penalty_window,
                     "How many tokens count as seen (default: all)");
  command
      .add_option("--dry-multiplier", choice.dry_multiplier,
                  "DRY: what going on with a repetition costs; 0: off")
      ->check(CLI::Range(0.0, 100.0));
  command.add_option("--dry-base", choice.dry_base, "DRY: times this for every token more (default: 1.75)")
      ->check(CLI::Range(1.0, 100.0));
  command.add_option("--dry-allowed-length", choice.dry_allowed_length,
                     "DRY: repetitions from this many tokens on (default: 2)");
  command.add_option("--dry-penalty-last-n", choice.dry_window, "DRY: tokens looked at (default: all)");
  command
      .add_option("--dry-sequence-breaker", choice.dry_breakers,
                  "DRY: no repetition reaches over this text (may be given several times)")
      ->expected(1)
      ->take_all();
}

void SamplingFlags::add_alternatives_to(CLI::App& command) {
  command
      .add_option("--xtc-probability", choice.xtc_probability,
                  "XTC: how often all likely tokens but the last are left out")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--xtc-threshold", choice.xtc_threshold, "XTC: likely from here on (default: 0.1)")
      ->check(CLI::Range(0.0, 1.0));
  command.add_flag("--mirostat", choice.mirostat,
                   "Mirostat 2 instead of top-k, top-p, min-p, typical and XTC");
  command
      .add_option("--mirostat-tau", choice.mirostat_tau,
                  "Mirostat: the surprise aimed at, in bits (default: 5)")
      ->check(CLI::Range(0.0, 100.0));
  command
      .add_option("--mirostat-eta", choice.mirostat_eta, "Mirostat: how fast it gets there (default: 0.1)")
      ->check(CLI::Range(0.0, 1.0));
}

}  // namespace atelier::cli
