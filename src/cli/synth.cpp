// atelier synth: random checkpoints in a publisher's exact layout.
#include "models/synth.h"

#include "cli/command.h"

namespace atelier::cli {
namespace {

struct SynthFlags {
  SynthOptions options;
  std::string dialect = "gguf";
  std::string format = "as-published";
};

Result<Dialect> parse_dialect(std::string_view name) {
  for (const Dialect dialect : {Dialect::kGguf, Dialect::kHf, Dialect::kOriginal})
    if (dialect_name(dialect) == name) return dialect;
  return fail(ErrorCode::kInvalidArgument, "--dialect: expected gguf, hf or original, found '{}'", name);
}

Status run_synth(const SynthFlags& flags, const Globals& globals) {
  SynthOptions options = flags.options;
  ATELIER_TRY(options.dialect, parse_dialect(flags.dialect));
  ATELIER_TRY(options.format, parse_synth_format(flags.format));
  options.cancel = &interrupted();
  const TransferHooks hooks = transfer_hooks(globals);
  ATELIER_TRY(const uint64_t bytes, synthesize(options, [&](uint64_t done, uint64_t total) {
                hooks.report("writing", done, total);
              }));
  note(globals, fmt::format("{}: {:.1f} MB", options.out.string(), static_cast<double>(bytes) / 1e6));
  return {};
}

}  // namespace

void register_synth(Registration r) {
  auto flags = std::make_shared<SynthFlags>();
  SynthOptions& options = flags->options;
  SynthOverrides& overrides = options.overrides;
  CLI::App* command =
      r.app.add_subcommand("synth", "Write a random checkpoint in a publisher's exact layout");
  command->add_option("--arch", options.architecture, "Architecture")->required();
  command->add_option("--preset", options.preset, "Size: tiny, or what the architecture publishes");
  command->add_option("--seed", options.seed, "The same seed writes the same bytes");
  command->add_option("--dialect", flags->dialect, "hf, original or gguf");
  command->add_option("--format", flags->format, "as-published, f32, f16, bf16, q8_0, q4_0, q4_1 or q4_k_m");
  command->add_option("--tokenizer", options.tokenizer, "A tokenizer.json to put in");
  command->add_option("--out", options.out, "The .gguf, or the folder, to write")->required();
  command->add_option("--layers", overrides.n_layers, "Layers instead of the preset's");
  command->add_option("--d-model", overrides.d_model, "Width of the residual stream");
  command->add_option("--heads", overrides.n_heads, "Query heads");
  command->add_option("--kv-heads", overrides.kv_heads, "Key-value heads");
  command->add_option("--head-dim", overrides.head_dim, "Width of a head");
  command->add_option("--ffn", overrides.ffn_dim,
                      "Feed-forward width, of one expert where there are experts");
  command->add_option("--experts", overrides.n_experts, "Experts a layer");
  command->add_option("--active-experts", overrides.n_active_experts, "Experts a token meets");
  command->add_option("--vocab", overrides.vocab_size, "Vocabulary");
  command->add_option("--ctx", overrides.context_length, "Context length");
  command->callback([=] { r.selected = [=] { return run_synth(*flags, r.globals); }; });
}

}  // namespace atelier::cli
