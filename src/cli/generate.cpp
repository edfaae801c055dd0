// atelier generate: raw continuation of a prompt, no chat template.
#include "engine/generate.h"

#include "cli/model_flags.h"
#include "cli/report.h"

namespace atelier::cli {
namespace {

struct GenerateFlags {
  ModelFlags model;
  SamplingFlags sampling;
  size_t max_tokens = 128;
  std::string prompt;
};

std::vector<TokenId> prompt_ids(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<TokenId> ids;
  if (tokenizer.add_bos() && tokenizer.bos()) ids.push_back(*tokenizer.bos());
  tokenizer.encode(text, Specials::kRecognised, ids);
  return ids;
}

Status run_generate(const GenerateFlags& flags, const Globals& globals) {
  ATELIER_TRY(const std::unique_ptr<Engine> engine, load_engine(flags.model, globals));
  std::vector<TokenId> prompt = prompt_ids(engine->tokenizer(), flags.prompt);
  if (prompt.empty())
    return fail(ErrorCode::kInvalidArgument, "prompt: expected at least one token, found an empty text");
  Session session(*engine);
  StreamDecoder decoder(engine->tokenizer());
  StopStringFilter filter(flags.sampling.stop);
  GenerateOptions options;
  options.sampler = flags.sampling.resolve(engine->card().sampling);
  options.max_tokens = flags.max_tokens;
  options.stop_tokens = engine->info().stop_tokens;
  options.cancel = &interrupted();
  Status written;
  options.on_token = [&](TokenId id) {
    written = print(filter.push(decoder.push(id)));
    return written.has_value() && !filter.stopped();
  };
  ATELIER_TRY(const Generated generated, generate(session, prompt, options));
  ATELIER_CHECK_OK(written);
  ATELIER_CHECK_OK(print(filter.push(decoder.finish())));
  ATELIER_CHECK_OK(print(filter.finish()));
  if (stdout_is_terminal()) ATELIER_CHECK_OK(print("\n"));
  if (globals.verbose) report_generation(globals, session, generated);
  if (generated.reason == StopReason::kInterrupted) return fail(ErrorCode::kInterrupted, "interrupted");
  return {};
}

}  // namespace

void register_generate(Registration r) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command = r.app.add_subcommand("generate", "Continue a text, without a chat template");
  flags->model.add_to(*command, /*required=*/true);
  flags->sampling.add_to(*command);
  command->add_option("--max-tokens", flags->max_tokens, "Tokens to generate at most")
      ->check(CLI::NonNegativeNumber);
  command->add_option("PROMPT", flags->prompt, "The text to continue")->required();
  command->callback([flags, r] { r.selected = [flags, r] { return run_generate(*flags, r.globals); }; });
}

}  // namespace atelier::cli
