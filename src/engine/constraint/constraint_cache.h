// The constraints of one model: each is compiled once for all requests that ask for the same.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/constraint/constraint.h"
#include "engine/constraint/json_schema.h"

namespace atelier::constraint {

// Thread-safe. Bounded: the constraints used longest ago are forgotten first; who still holds one keeps it.
class ConstraintCache {
 public:
  static constexpr size_t kMaxEntries = 256;
  static constexpr size_t kMaxBytes = size_t{384} << 20;  // of masks and states that the constraints keep

  explicit ConstraintCache(std::shared_ptr<const Tokenizer> tokenizer) : tokenizer_(std::move(tokenizer)) {}

  // What `key` stands for; `compile` is called where it is new. Errors are `compile`'s and are not
  // remembered.
  using Compile = std::function<Result<std::shared_ptr<const Grammar>>()>;
  Result<std::shared_ptr<Constraint>> get(const std::string& key, const Compile& compile);

  // Errors: those of compile_json_schema, compile_regex and compile_gbnf.
  Result<std::shared_ptr<Constraint>> json_schema(std::string_view schema,
                                                  const JsonSchemaOptions& options = {});
  Result<std::shared_ptr<Constraint>> regex(std::string_view pattern);
  Result<std::shared_ptr<Constraint>> gbnf(std::string_view grammar);

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const std::shared_ptr<const Tokenizer>& shared_tokenizer() const { return tokenizer_; }
  // The vocabulary as constraints see it: made when first asked for, a tenth of a second for 200,000 tokens.
  const std::shared_ptr<const TokenTrie>& vocabulary();
  // One bit per token that is text, as TokenFilter::allowed() wants it.
  const std::vector<uint64_t>& text_mask();

  size_t size() const;

 private:
  struct Entry {
    std::string key;
    std::shared_ptr<Constraint> constraint;
  };
  std::shared_ptr<Constraint> find(const std::string& key);
  std::shared_ptr<Constraint> add(const std::string& key, std::shared_ptr<Constraint> constraint);
  void trim();
  void read_vocabulary();

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::once_flag vocabulary_read_;
  std::shared_ptr<const TokenTrie> vocabulary_;
  std::vector<uint64_t> text_mask_;

  mutable std::mutex mutex_;  // of the entries
  std::list<Entry> entries_;  // most recently used first
};

}  // namespace atelier::constraint
