// JSON Schemas, regular expressions and GBNF: whatever is asked for compiles or is refused; what compiles can
// be followed to its end from wherever one stands, masks say what trying every token says, and what a schema
// lets out is JSON.
//
// Input: a letter (s: schema, u: schema with unlisted properties, r: regular expression, g: GBNF), a line of
// bytes that choose the way, and the source.
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "../tests/engine/constraint_vocabulary.h"
#include "base/check.h"
#include "engine/constraint/gbnf.h"
#include "engine/constraint/json_schema.h"
#include "engine/constraint/regex.h"

namespace {

using namespace atelier;
using namespace atelier::constraint;

constexpr uint64_t kBudget = 2'000'000;  // closure steps for one input: some grammars are slow, none may hang
constexpr size_t kMaxText = 300;

Result<std::shared_ptr<const Grammar>> compile(char kind, std::string_view source) {
  if (kind == 'r') return compile_regex(source);
  if (kind == 'g') return compile_gbnf(source);
  return compile_json_schema(source, {.unlisted_properties = kind == 'u'});
}

// Hands out the bytes of the line, then heads for the end.
class Chooser {
 public:
  explicit Chooser(std::string_view bytes) : bytes_(bytes) {}
  bool done() const { return bytes_.empty(); }
  size_t of(size_t n) {
    if (bytes_.empty()) return 0;
    const auto chosen = static_cast<uint8_t>(bytes_[0]);
    bytes_.remove_prefix(1);
    return chosen % n;
  }

 private:
  std::string_view bytes_;
};

// A text the grammar matches, if one is found in time.
std::optional<std::string> walk(const std::shared_ptr<const Grammar>& grammar, std::string_view way) {
  ConfigStore store(grammar);
  store.set_budget(kBudget);
  Chooser chooser(way);
  ConfigId at = store.start();
  std::string text;
  constexpr std::string_view kClosing = "}]\"0";
  while (text.size() < kMaxText) {
    if (store.accepts(at) && (chooser.done() || chooser.of(4) == 0)) return text;
    std::vector<size_t> legal;
    for (size_t c = 0; c < grammar->n_classes(); ++c)
      if (store.has_step(at, c) && store.step_class(at, c) != ConfigStore::kDead) legal.push_back(c);
    if (store.exhausted()) return std::nullopt;
    if (legal.empty()) {
      ATELIER_CHECK(store.accepts(at));  // nobody gets stuck
      return text;
    }
    size_t chosen = legal[chooser.of(legal.size())];
    if (chooser.done())
      for (const char c : kClosing)
        if (std::ranges::find(legal, grammar->class_of(static_cast<uint8_t>(c))) != legal.end())
          chosen = grammar->class_of(static_cast<uint8_t>(c));
    const auto byte =
        static_cast<uint8_t>(grammar->class_first(chosen) + chooser.of(grammar->class_size(chosen)));
    text.push_back(static_cast<char>(byte));
    at = store.step(at, byte);
  }
  return std::nullopt;
}

void check_masks(const std::shared_ptr<const Grammar>& grammar, std::string_view text) {
  static const WithVocabulary with;
  ConstraintMatcher matcher = with.matcher(grammar);
  std::vector<uint64_t> mask(token_mask_words(with.tokenizer().vocab_size()));
  for (size_t step = 0; step < 3; ++step) {
    if (!matcher.allowed(mask)) return;
    ATELIER_CHECK(ids_in(mask) == ids_in(mask_by_trial(matcher, with.tokenizer())));
    const size_t n = std::min<size_t>(text.size(), 5);
    if (n == 0 || !matcher.accept_text(text.substr(0, n))) return;
    text.remove_prefix(n);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.empty()) return 0;
  const size_t line = std::min(input.find('\n'), input.size());
  const auto grammar = compile(input[0], input.substr(std::min(line + 1, input.size())));
  if (!grammar) {
    ATELIER_CHECK(!grammar.error().message.empty());
    return 0;
  }
  const std::string_view way = input.substr(1, line - 1);
  const auto text = walk(*grammar, way);
  if (!text) return 0;
  if (input[0] != 'r' && input[0] != 'g') ATELIER_CHECK(nlohmann::json::accept(*text));
  if (way.size() % 8 == 0) check_masks(*grammar, *text);  // slow
  return 0;
}
