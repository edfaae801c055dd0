#include "cli/model_flags.h"

#include <random>

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
  command.add_option("--threads", threads, "Threads to compute on (default: one per physical core)")
      ->check(CLI::Range(1, 1024));
  command
      .add_option("--ctx", context,
                  "Tokens a conversation may reach (default: what the model was trained for)")
      ->check(CLI::Range(1, 1 << 24));
  command.add_flag("--reference", reference, "Compute on the scalar reference path (slow, exact)");
  command.add_flag("--deterministic", deterministic,
                   "Same tokens whatever the threads, batch neighbours and cache hits");
  command.add_flag("--mmap-anyway", mmap_anyway, "Load even if the model will not fit into memory");
}

Result<std::filesystem::path> locate(const std::string& model, const Globals& globals) {
  ATELIER_TRY(const Store store, Store::open());
  return locate_model(store, model.empty() ? std::nullopt : std::optional(model), transfer_hooks(globals));
}

Result<std::unique_ptr<Engine>> load_engine(const ModelFlags& flags, const Globals& globals) {
  EngineOptions options;
  options.n_threads = flags.threads;
  options.context = flags.context;
  options.ignore_memory = flags.mmap_anyway;
  if (flags.reference) options.numerics = Numerics::kReference;
  if (flags.model.starts_with(kScriptPrefix)) {
    const std::filesystem::path path = flags.model.substr(kScriptPrefix.size());
    ATELIER_TRY(Script script, load_script(path));
    return Engine::create(std::move(script.model), std::move(script.tokenizer),
                          {.path = path, .chat_template = std::move(script.chat_template)}, options);
  }
  ATELIER_TRY(const std::filesystem::path path, locate(flags.model, globals));
  return Engine::load(path, options);
}

void SamplingFlags::add_to(CLI::App& command) {
  command.add_option("--temp", temperature, "Temperature; 0 takes the likeliest token")
      ->check(CLI::Range(0.0, 100.0));
  command.add_option("--top-p", top_p, "Smallest set of tokens with this probability")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--top-k", top_k, "Only the K likeliest tokens; 0: all");
  command.add_option("--min-p", min_p, "Only tokens this likely relative to the likeliest")
      ->check(CLI::Range(0.0, 1.0));
  command.add_option("--typical-p", typical_p, "Locally typical sampling")->check(CLI::Range(0.0, 1.0));
  command.add_option("--repeat-penalty", repetition_penalty, "Divides the logits of tokens seen")
      ->check(CLI::Range(0.01, 100.0));
  command.add_option("--presence-penalty", presence_penalty, "Subtracted from tokens seen")
      ->check(CLI::Range(-100.0, 100.0));
  command.add_option("--frequency-penalty", frequency_penalty, "Subtracted per occurrence")
      ->check(CLI::Range(-100.0, 100.0));
  command.add_option("--seed", seed, "Makes the answer repeatable");
  command.add_option("--stop", stop, "Stop before this text (may be given several times)")
      ->expected(1)
      ->take_all();
}

SamplerOptions SamplingFlags::resolve(SamplerOptions options) const {
  options.temperature = temperature.value_or(options.temperature);
  options.top_p = top_p.value_or(options.top_p);
  options.top_k = top_k.value_or(options.top_k);
  options.min_p = min_p.value_or(options.min_p);
  options.typical_p = typical_p.value_or(options.typical_p);
  options.repetition_penalty = repetition_penalty.value_or(options.repetition_penalty);
  options.presence_penalty = presence_penalty.value_or(options.presence_penalty);
  options.frequency_penalty = frequency_penalty.value_or(options.frequency_penalty);
  options.seed = seed ? *seed : std::random_device{}();
  return options;
}

}  // namespace atelier::cli
