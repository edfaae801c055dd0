// What a schema compiles to, asked line by line: each line of standard input is an object
//   {"schema": "text", "instances": ["text", …], "samples": n, "seed": n, "unlisted": bool}
// and each line of output one of
//   {"error": "…"}   or   {"accepted": [bool, …], "samples": ["text", …], "unfinished": n}
// Samples are random walks over bytes, or, where a tokenizer is given, over its tokens:
//   bench_constraint_samples [TOKENIZER] < requests
// tools/json_schema_suite.py runs the JSON-Schema-Test-Suite through this.
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <random>

#include "engine/constraint/constraint.h"
#include "engine/constraint/json_schema.h"
#include "engine/token_filter.h"

namespace atelier::constraint {
namespace {

constexpr size_t kWander = 120;    // steps of a walk before it heads for the end
constexpr size_t kGiveUp = 6'000;  // steps after which it is unfinished

// Towards the end of JSON: closing brackets and quotes, then short values, then anything.
int urgency(uint8_t byte) {
  constexpr std::string_view kClosing = "}]\"", kShort = "0n1", kOther = ",:[{";
  const char c = static_cast<char>(byte);
  if (kClosing.find(c) != kClosing.npos) return 3;
  if (kShort.find(c) != kShort.npos) return 2;
  return kOther.find(c) != kOther.npos ? 0 : 1;
}

class Walker {
 public:
  Walker(std::shared_ptr<const Tokenizer> tokenizer, std::shared_ptr<const TokenTrie> trie)
      : tokenizer_(std::move(tokenizer)), trie_(std::move(trie)) {}

  // A complete text, or nothing.
  std::optional<std::string> walk(const std::shared_ptr<const Grammar>& grammar, std::mt19937_64& random) {
    if (tokenizer_ == nullptr) return walk_bytes(grammar, random);
    return walk_tokens(grammar, random);
  }

 private:
  static bool stop(bool can_end, size_t steps, std::mt19937_64& random) {
    return can_end && (steps > kWander || random() % 3 == 0);
  }

  static std::optional<std::string> walk_bytes(const std::shared_ptr<const Grammar>& grammar,
                                               std::mt19937_64& random) {
    ConfigStore store(grammar);
    ConfigId at = store.start();
    std::string text;
    for (size_t steps = 0; steps < kGiveUp; ++steps) {
      if (stop(store.accepts(at), steps, random)) return text;
      std::vector<size_t> classes;
      for (size_t c = 0; c < grammar->n_classes(); ++c)
        if (store.has_step(at, c) && store.step_class(at, c) != ConfigStore::kDead) classes.push_back(c);
      if (classes.empty()) return store.accepts(at) ? std::optional(text) : std::nullopt;
      size_t chosen = classes[random() % classes.size()];
      if (steps > kWander)
        for (const size_t c : classes)
          if (urgency(grammar->class_first(c)) > urgency(grammar->class_first(chosen))) chosen = c;
      const auto byte =
          static_cast<uint8_t>(grammar->class_first(chosen) + random() % grammar->class_size(chosen));
      text.push_back(static_cast<char>(byte));
      at = store.step(at, byte);
    }
    return std::nullopt;
  }

  std::optional<std::string> walk_tokens(const std::shared_ptr<const Grammar>& grammar,
                                         std::mt19937_64& random) {
    auto constraint = Constraint::create(grammar, trie_);
    if (!constraint) return std::nullopt;
    ConstraintMatcher matcher(*constraint);
    std::vector<uint64_t> mask(token_mask_words(trie_->vocab_size()));
    std::string text;
    for (size_t steps = 0; steps < kGiveUp; ++steps) {
      if (stop(matcher.can_end(), steps, random)) return text;
      if (!matcher.allowed(mask)) return std::nullopt;
      std::vector<TokenId> ids;
      for (size_t i = 0; i < mask.size(); ++i)
        for (uint64_t word = mask[i]; word != 0; word &= word - 1)
          ids.push_back(static_cast<TokenId>(i * 64 + static_cast<size_t>(__builtin_ctzll(word))));
      if (ids.empty()) return matcher.can_end() ? std::optional(text) : std::nullopt;
      TokenId chosen = ids[random() % ids.size()];
      if (steps > kWander)
        for (const TokenId id : ids) {
          const auto first = [&](TokenId token) {
            return static_cast<uint8_t>(tokenizer_->token_bytes(token)[0]);
          };
          if (urgency(first(id)) > urgency(first(chosen))) chosen = id;
        }
      if (!matcher.accept(chosen, *tokenizer_)) return std::nullopt;  // a mask that lies
      text += tokenizer_->token_bytes(chosen);
    }
    return std::nullopt;
  }

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const TokenTrie> trie_;
};

bool accepts(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  ConfigStore store(grammar);
  ConfigId at = store.start();
  for (const char c : text) at = store.step(at, static_cast<uint8_t>(c));
  return store.accepts(at);
}

nlohmann::json answer(const nlohmann::json& request, Walker& walker) {
  JsonSchemaOptions options;
  options.unlisted_properties = request.value("unlisted", false);
  const auto grammar = compile_json_schema(request.at("schema").get<std::string>(), options);
  if (!grammar) return {{"error", grammar.error().message}};
  nlohmann::json out = {{"accepted", nlohmann::json::array()}, {"samples", nlohmann::json::array()}};
  for (const auto& text : request.at("instances"))
    out["accepted"].push_back(accepts(*grammar, text.get<std::string>()));
  std::mt19937_64 random(request.value("seed", 0u));
  size_t unfinished = 0;
  for (size_t i = 0; i < request.value("samples", size_t{0}); ++i) {
    if (const auto text = walker.walk(*grammar, random)) {
      out["samples"].push_back(*text);
    } else {
      ++unfinished;
    }
  }
  out["unfinished"] = unfinished;
  return out;
}

int run(const char* tokenizer_path) {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const TokenTrie> trie;
  if (tokenizer_path != nullptr) {
    auto loaded = Tokenizer::load(tokenizer_path);
    if (!loaded) {
      fmt::print(stderr, "{}\n", loaded.error().message);
      return 1;
    }
    tokenizer = *loaded;
    trie = TokenTrie::build(*tokenizer);
  }
  Walker walker(tokenizer, trie);
  for (std::string line; std::getline(std::cin, line);)
    fmt::print("{}\n", answer(nlohmann::json::parse(line), walker).dump());
  return 0;
}

}  // namespace
}  // namespace atelier::constraint

int main(int argc, char** argv) { return atelier::constraint::run(argc > 1 ? argv[1] : nullptr); }
