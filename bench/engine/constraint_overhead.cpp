// What constraints cost:
//   bench_constraint_overhead TOKENIZER            compiling and masks, for schemas of common tools
//   bench_constraint_overhead --model MODEL [N]    also what a constrained step adds to decoding N tokens
//   (256)
// TOKENIZER: a tokenizer.json. Prints JSON lines. Steps follow calls as models write them, once on fresh
// caches and once more; a step is the mask and the acceptance of one token.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "engine/constraint/constraint_cache.h"
#include "engine/engine.h"
#include "engine/session.h"
#include "engine/token_filter.h"

namespace atelier::constraint {
namespace {

// Time of this thread on a processor: who else wants one is not what is measured.
struct Clock {
  using duration = std::chrono::nanoseconds;
  using time_point = std::chrono::time_point<Clock, duration>;
  static time_point now() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time_point(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
  }
};
double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

struct Tool {
  const char* name;
  const char* schema;
  const char* call;
};

// Shapes of tools that agents and assistants declare.
constexpr Tool kTools[] = {
    {"shell",
     R"({"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},"description":"The command"},
         "workdir":{"type":"string"},"timeout_ms":{"type":"number"}},"required":["command"],"additionalProperties":false})",
     R"({"command": ["bash", "-lc", "rg --files -g '*.cpp' | head -n 20 && sed -n 1,80p src/engine/session.cpp"], "workdir": "/srv/project", "timeout_ms": 10000})"},
    {"weather",
     R"({"type":"object","properties":{"location":{"type":"string"},"unit":{"type":"string","enum":["celsius","fahrenheit"]},
         "days":{"type":"integer","minimum":1,"maximum":14}},"required":["location"]})",
     R"({"location": "São Paulo, Brazil", "unit": "celsius", "days": 7})"},
    {"edit",
     R"({"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"file_path":{"type":"string"},
         "old_string":{"type":"string"},"new_string":{"type":"string"},"replace_all":{"type":"boolean","default":false}},
         "required":["file_path","old_string","new_string"],"additionalProperties":false})",
     "{\"file_path\": \"src/main.py\", \"old_string\": \"def add(a, b):\\n    return a - b\\n\", "
     "\"new_string\": "
     "\"def add(a: int, b: int) -> int:\\n    \\\"\\\"\\\"Adds.\\\"\\\"\\\"\\n    return a + b\\n\", "
     "\"replace_all\": false}"},
    {"todo",
     R"({"type":"object","properties":{"todos":{"type":"array","minItems":1,"maxItems":50,"items":{"type":"object","properties":{
         "content":{"type":"string","minLength":1},"status":{"type":"string","enum":["pending","in_progress","completed"]},
         "priority":{"type":"string","enum":["high","medium","low"]},"id":{"type":"string"}},
         "required":["content","status","priority","id"],"additionalProperties":false}}},"required":["todos"],
         "additionalProperties":false})",
     R"({"todos": [{"content": "Write the parser", "status": "in_progress", "priority": "high", "id": "1"}, {"content": "Test it on a thousand files", "status": "pending", "priority": "low", "id": "2"}]})"},
    {"search",
     R"({"type":"object","properties":{"pattern":{"type":"string"},"path":{"type":"string"},"glob":{"type":"string"},
         "output_mode":{"type":"string","enum":["content","files_with_matches","count"]},"-B":{"type":"number"},"-A":{"type":"number"},
         "-n":{"type":"boolean"},"head_limit":{"type":"number"},"multiline":{"type":"boolean"}},"required":["pattern"]})",
     R"({"pattern": "std::vector<\\w+>", "path": "src", "glob": "*.{h,cpp}", "output_mode": "content", "-n": true, "head_limit": 50})"},
    {"issue",
     R"({"type":"object","properties":{"owner":{"type":"string","pattern":"^[A-Za-z0-9-]{1,39}$"},"repo":{"type":"string",
         "pattern":"^[A-Za-z0-9._-]+$"},"title":{"type":"string","maxLength":256},"body":{"type":"string"},"labels":{"type":"array",
         "items":{"type":"string"},"maxItems":10},"due":{"type":"string","format":"date"},"milestone":{"type":["integer","null"]}},
         "required":["owner","repo","title"]})",
     R"({"owner": "some-body", "repo": "a.repository", "title": "Crash when the file is empty", "body": "Steps:\n1. Open an empty file.\n2. See it crash.", "labels": ["bug", "help wanted"], "due": "2026-02-28", "milestone": null})"},
    {"query",
     R"({"$defs":{"condition":{"oneOf":[{"type":"object","properties":{"op":{"const":"and"},"all":{"type":"array","items":{
         "$ref":"#/$defs/condition"},"minItems":1}},"required":["op","all"],"additionalProperties":false},{"type":"object","properties":{
         "op":{"enum":["eq","lt","gt"]},"field":{"type":"string"},"value":{"anyOf":[{"type":"number"},{"type":"string"}]}},
         "required":["op","field","value"],"additionalProperties":false}]}},"type":"object","properties":{"table":{"type":"string"},
         "where":{"$ref":"#/$defs/condition"},"limit":{"type":"integer","minimum":1,"maximum":10000}},"required":["table","where"]})",
     R"({"table": "orders", "where": {"op": "and", "all": [{"op": "gt", "field": "total", "value": 99.5}, {"op": "eq", "field": "country", "value": "NO"}]}, "limit": 500})"},
    {"any", R"({"type":"object"})",
     R"({"whatever": ["the", {"model": "likes"}, 1.5e3, null, true], "text": "a\tb"})"},
};

struct Steps {
  std::vector<double> us;
  void print(std::string_view what) {
    std::ranges::sort(us);
    const auto quantile = [&](double q) {
      return us[std::min(us.size() - 1, static_cast<size_t>(q * static_cast<double>(us.size())))];
    };
    const auto fast = std::ranges::lower_bound(us, 100.0) - us.begin();
    fmt::print(
        R"({{"steps": "{}", "n": {}, "p50_us": {:.1f}, "p95_us": {:.1f}, "p99_us": {:.1f}, "max_us": {:.1f}, )"
        R"("below_100us": {:.4f}}})"
        "\n",
        what, us.size(), quantile(0.5), quantile(0.95), quantile(0.99), us.back(),
        static_cast<double>(fast) / static_cast<double>(us.size()));
  }
};

bool follow(Constraint& constraint, const std::shared_ptr<Constraint>& shared, const Tokenizer& tokenizer,
            std::span<const TokenId> ids, Steps& steps) {
  ConstraintMatcher matcher(shared);
  std::vector<uint64_t> mask(token_mask_words(constraint.vocabulary().vocab_size()));
  for (const TokenId id : ids) {
    const Clock::time_point start = Clock::now();
    if (!matcher.allowed(mask)) return false;
    const bool legal = (mask[static_cast<size_t>(id) / 64] >> (static_cast<size_t>(id) % 64) & 1) != 0;
    if (!legal || !matcher.accept(id, tokenizer)) return false;
    steps.us.push_back(us_since(start));
  }
  return matcher.can_end();
}

int measure(const std::shared_ptr<const Tokenizer>& tokenizer) {
  ConstraintCache cache(tokenizer);
  Clock::time_point start = Clock::now();
  cache.vocabulary();
  fmt::print(R"({{"vocabulary": {}, "read_ms": {:.1f}}})"
             "\n",
             tokenizer->vocab_size(), us_since(start) / 1e3);
  Steps first, again;
  for (const Tool& tool : kTools) {
    start = Clock::now();
    const auto constraint = cache.json_schema(tool.schema);
    const double compile_ms = us_since(start) / 1e3;
    if (!constraint) {
      fmt::print(stderr, "{}: {}\n", tool.name, constraint.error().message);
      return 1;
    }
    const std::vector<TokenId> ids = tokenizer->encode(tool.call);
    start = Clock::now();
    if (!follow(**constraint, *constraint, *tokenizer, ids, first)) {
      fmt::print(stderr, "{}: the call is not what the schema says\n", tool.name);
      return 1;
    }
    const double call_ms = us_since(start) / 1e3;
    follow(**constraint, *constraint, *tokenizer, ids, again);
    fmt::print(R"({{"tool": "{}", "compile_ms": {:.2f}, "tokens": {}, "first_call_ms": {:.2f}, "kib": {}}})"
               "\n",
               tool.name, compile_ms, ids.size(), call_ms, (*constraint)->bytes() >> 10);
  }
  first.print("first call of each tool");
  again.print("second call");
  return 0;
}

// Decodes under a constraint and holds what that costs against the pass of the model.
int decode(const std::string& path, size_t n_tokens) {
  auto engine = Engine::load(path, {.drafts = {.enabled = false}});
  if (!engine) {
    fmt::print(stderr, "{}\n", engine.error().message);
    return 1;
  }
  if (const int failed = measure((*engine)->shared_tokenizer()); failed != 0) return failed;
  const Tokenizer& tokenizer = (*engine)->tokenizer();
  const auto constraint =
      (*engine)
          ->constraints()
          ->json_schema(R"({"type":"array","minItems":5000,"items":{"type":"object","properties":{
                                  "name":{"type":"string","maxLength":40},"n":{"type":"integer"},
                                  "tags":{"type":"array","items":{"enum":["a","b","c"]}}},"required":["name","n"]}})")
          .value();
  for (const float temperature : {0.0f, 0.8f}) {
    Session session(**engine);
    Sampler masked({.temperature = temperature, .seed = 1}), free({.temperature = temperature, .seed = 1});
    ConstraintMatcher matcher(constraint);
    std::vector<uint64_t> mask(token_mask_words(tokenizer.vocab_size()));
    auto logits = session.prefill(tokenizer.encode("A JSON list of people:\n"));
    double pass = 0, mask_us = 0, draw = 0, free_draw = 0;
    for (size_t i = 0; logits && i < n_tokens; ++i) {
      Clock::time_point start = Clock::now();
      free.sample(*logits, session.tokens(), i);
      free_draw += us_since(start);
      start = Clock::now();
      if (!matcher.allowed(mask)) return 1;
      mask_us += us_since(start);
      start = Clock::now();
      const TokenId token = masked.sample_masked(*logits, session.tokens(), i, mask);
      draw += us_since(start);
      start = Clock::now();
      matcher.accept(token, tokenizer);
      mask_us += us_since(start);
      start = Clock::now();
      logits = session.append(token);
      pass += us_since(start);
    }
    const double n = static_cast<double>(n_tokens);
    fmt::print(R"({{"decode_tokens": {}, "temperature": {:.1f}, "pass_us": {:.1f}, "free_draw_us": {:.1f}, )"
               R"("mask_us": {:.1f}, "masked_draw_us": {:.1f}, "overhead": {:.4f}}})"
               "\n",
               n_tokens, temperature, pass / n, free_draw / n, mask_us / n, draw / n,
               (mask_us + draw - free_draw) / (pass + free_draw));
  }
  return 0;
}

int run(int argc, char** argv) {
  if (argc > 2 && std::string_view(argv[1]) == "--model")
    return decode(argv[2], argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 256);
  if (argc != 2) {
    std::fputs("usage: bench_constraint_overhead TOKENIZER | --model MODEL [TOKENS]\n", stderr);
    return 2;
  }
  const auto tokenizer = Tokenizer::load(argv[1]);
  if (!tokenizer) {
    fmt::print(stderr, "{}\n", tokenizer.error().message);
    return 1;
  }
  return measure(*tokenizer);
}

}  // namespace
}  // namespace atelier::constraint

int main(int argc, char** argv) { return atelier::constraint::run(argc, argv); }
