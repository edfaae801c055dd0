// atelier logits: what the model computes, for comparison with other implementations.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/file.h"
#include "cli/model_flags.h"
#include "cli/npy.h"
#include "cli/token_ids.h"

namespace atelier::cli {
namespace {

struct LogitsFlags {
  ModelFlags model;
  std::string tokens_file;
  std::string out;
  size_t chunk = 512;
};

constexpr size_t kMaxTokensFileBytes = size_t{1} << 28;
constexpr size_t kTop = 10;

nlohmann::json top_logits(std::span<const float> logits) {
  std::vector<TokenId> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const size_t n = std::min(kTop, ids.size());
  std::partial_sort(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n), ids.end(),
                    [&](TokenId a, TokenId b) {
                      const float la = logits[static_cast<size_t>(a)], lb = logits[static_cast<size_t>(b)];
                      return la != lb ? la > lb : a < b;
                    });
  nlohmann::json top = nlohmann::json::array();
  for (size_t i = 0; i < n; ++i)
    top.push_back({{"id", ids[i]}, {"logit", logits[static_cast<size_t>(ids[i])]}});
  return top;
}

Status run_logits(const LogitsFlags& flags, const Globals& globals) {
  ATELIER_TRY(const std::string json, read_file(flags.tokens_file, kMaxTokensFileBytes));
  ATELIER_TRY(const std::vector<TokenId> tokens, parse_token_ids(flags.tokens_file, json));
  if (tokens.empty())
    return fail(ErrorCode::kInvalidArgument, "{}: expected at least one token id, found none",
                flags.tokens_file);
  ATELIER_TRY(const std::unique_ptr<Engine> engine, load_engine(flags.model, globals));
  if (tokens.size() > engine->context_length())
    return fail(ErrorCode::kLimit, "{}: expected at most {} tokens (the context), found {}",
                flags.tokens_file, engine->context_length(), tokens.size());
  std::optional<NpyWriter> writer;
  if (!flags.out.empty()) {
    ATELIER_TRY(NpyWriter created, NpyWriter::create(flags.out, tokens.size(), engine->info().vocab_size));
    writer.emplace(std::move(created));
  }
  KvSequence sequence = engine->new_sequence();
  const std::span<const TokenId> all(tokens);
  nlohmann::json top;
  for (size_t first = 0; first < all.size(); first += flags.chunk) {
    const auto chunk = all.subspan(first, std::min(flags.chunk, all.size() - first));
    const Engine::Item item{&sequence, chunk, writer ? Engine::Logits::kAll : Engine::Logits::kLast};
    ATELIER_TRY(const MatView<const float> logits, engine->evaluate({&item, 1}));
    if (writer)
      for (size_t row = 0; row < logits.rows; ++row) ATELIER_CHECK_OK(writer->append(logits.row(row)));
    top = top_logits(logits.row(logits.rows - 1));
    if (interrupted().load()) return fail(ErrorCode::kInterrupted, "interrupted");
  }
  return writer ? writer->finish() : print_json(top);
}

}  // namespace

void register_logits(Registration r) {
  auto flags = std::make_shared<LogitsFlags>();
  CLI::App* command =
      r.app.add_subcommand("logits", "Logits of given tokens, as .npy or the last position's top 10");
  flags->model.add_to(*command, /*required=*/true);
  command->add_option("--tokens", flags->tokens_file, "File with a JSON array of token ids")->required();
  command->add_option("--out", flags->out, "Write float32 [n_tokens, vocabulary] to this .npy");
  command->add_option("--chunk", flags->chunk, "Tokens evaluated in one pass")->check(CLI::Range(1, 65536));
  command->callback([=] { r.selected = [=] { return run_logits(*flags, r.globals); }; });
}

}  // namespace atelier::cli
