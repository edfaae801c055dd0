// atelier perplexity: how well a model predicts a text.
#include "engine/perplexity.h"

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/model_flags.h"

namespace atelier::cli {
namespace {

struct PerplexityFlags {
  ModelFlags model;
  size_t window = 512;
  bool json = false;
  std::string file;
};

nlohmann::json to_json(const Perplexity& result) {
  nlohmann::json json = {{"perplexity", result.perplexity}, {"nll", result.nll}, {"tokens", result.tokens}};
  if (const auto& cost = result.divergence)
    json["dense_q8"] = {{"mean_kl", cost->mean_kl}, {"max_kl", cost->max_kl}, {"top1", cost->top1}};
  return json;
}

std::string to_text(const Perplexity& result) {
  std::string text = fmt::format("perplexity {:.4f} (nll {:.5f} over {} tokens)\n", result.perplexity,
                                 result.nll, result.tokens);
  if (const auto& cost = result.divergence)
    text += fmt::format(
        "8 bits: KL to weights as published and a cache of 16 bits {:.2e} on average, {:.2e} at most; the "
        "same likeliest token at {:.2f} % of positions\n",
        cost->mean_kl, cost->max_kl, 100 * cost->top1);
  return text;
}

constexpr size_t kMaxTextBytes = size_t{1} << 30;

Status run_perplexity(const PerplexityFlags& flags, const Globals& globals) {
  ATELIER_TRY(const std::string text, read_file(flags.file, kMaxTextBytes));
  ATELIER_TRY(const std::unique_ptr<Engine> engine, load_engine(flags.model, globals));
  if (flags.window > engine->context_length())
    return fail(ErrorCode::kLimit, "--ctx: expected at most {} tokens, found {}", engine->context_length(),
                flags.window);
  const Tokenizer& tokenizer = engine->tokenizer();
  std::vector<TokenId> tokens;
  if (tokenizer.add_bos() && tokenizer.bos()) tokens.push_back(*tokenizer.bos());
  tokenizer.encode(text, Specials::kAsText, tokens);
  PerplexityOptions options{.context = flags.window, .cancel = &interrupted()};
  if (!globals.quiet && stderr_is_terminal())
    options.on_window = [](size_t done, size_t total) {
      fmt::print(stderr, "\rwindow {} of {}{}", done, total, done == total ? "\r\x1b[K" : "");
    };
  std::unique_ptr<Engine> as_published;
  if (flags.model.dense == "q8" || flags.model.kv_bits == 8) {
    ModelFlags published = flags.model;
    published.dense = "published";
    published.kv_bits = 16;
    ATELIER_TRY(as_published, load_engine(published, globals));
    options.reference = as_published.get();
  }
  ATELIER_TRY(const Perplexity result, measure_perplexity(*engine, tokens, options));
  return flags.json ? print_json(to_json(result)) : print(to_text(result));
}

}  // namespace

void register_perplexity(Registration r) {
  auto flags = std::make_shared<PerplexityFlags>();
  CLI::App* command = r.app.add_subcommand("perplexity", "How well a model predicts a text");
  flags->model.add_to(*command, /*required=*/true);
  command->remove_option(command->get_option("--ctx"));  // here it is the window, not the engine's limit
  command->add_option("--ctx", flags->window, "Tokens of one window")->check(CLI::Range(3, 1 << 20));
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->add_option("FILE", flags->file, "A text file")->required();
  command->callback([=] { r.selected = [=] { return run_perplexity(*flags, r.globals); }; });
}

}  // namespace atelier::cli
