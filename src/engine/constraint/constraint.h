// What a model may write: a grammar bound to a vocabulary, and matchers that follow one generation each.
//
//   ATELIER_TRY(auto grammar, compile_json_schema(text));             // or compile_regex, compile_gbnf
//   ATELIER_TRY(auto constraint, Constraint::create(grammar, trie));  // shared by all who ask for the same
//   ConstraintMatcher matcher(constraint);                            // one per generation loop:
//   matcher.allowed(mask); sample a token; matcher.accept(token);
//
// ConstraintCache does the first two and remembers.
//
// docs/constraints.md describes how it works and what it costs.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/constraint/config_store.h"
#include "engine/constraint/grammar.h"
#include "engine/constraint/token_trie.h"

namespace atelier::constraint {

// Thread-safe. What one matcher computes, all others of the same constraint find done.
class Constraint {
 public:
  // Texts of bytes that no token of the vocabulary spells by itself are left out of the grammar, so that a
  // generation never gets stuck. kUnsupported if nothing is left.
  static Result<std::shared_ptr<Constraint>> create(std::shared_ptr<const Grammar> grammar,
                                                    std::shared_ptr<const TokenTrie> vocabulary);

  const TokenTrie& vocabulary() const { return *vocabulary_; }
  // Does beforehand, in at most a fifth of a second, what first steps would take long for.
  void prepare();
  size_t bytes();  // of its caches

 private:
  friend class ConstraintMatcher;
  struct Machine;

  Constraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenTrie> vocabulary);
  // The caches in use; new ones when the old have grown past their limit.
  std::shared_ptr<Machine> machine();

  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const TokenTrie> vocabulary_;
  std::mutex mutex_;
  std::shared_ptr<Machine> machine_;
};

// Follows one text. Copies are cheap and go on by themselves. Used by one thread at a time.
class ConstraintMatcher {
 public:
  explicit ConstraintMatcher(std::shared_ptr<Constraint> constraint);

  // Writes the tokens that may come next, one bit each: [token_mask_words(vocab_size)]. Special tokens never
  // may; whether the text may end is can_end()'s to say. Errors: kLimit, where telling would take too long.
  Status allowed(std::span<uint64_t> mask);

  // Appends a token's bytes. False, and nothing changed, if they are not legal here.
  bool accept(TokenId token, std::string_view bytes);
  bool accept(TokenId token, const Tokenizer& tokenizer) {
    return !tokenizer.is_special(token) && accept(token, tokenizer.token_bytes(token));
  }
  // Appends text as one step, as for forced() text that is put in front of the model.
  bool accept_text(std::string_view bytes);
  // Takes back the last `steps` accepted tokens or texts.
  void rollback(size_t steps);
  size_t steps() const { return history_.size() - 1; }

  bool can_end();      // the text so far is complete
  bool is_complete();  // and nothing may follow it
  // The bytes that must come next, as far as there is no choice; at most `max_bytes`. They may end in the
  // middle of a character, and a model might write them in other tokens than an encoder: see forced_tokens().
  std::string forced(size_t max_bytes = 4096);
  // The shortest text that begins with `first` and after which can_end(); empty where none does. Takes a look
  // at all of the grammar once.
  std::string completion(std::string_view first = {});

 private:
  ConfigId at() const { return history_.back(); }
  // Moves to new caches if the constraint has.
  Constraint::Machine& settle();

  std::shared_ptr<Constraint> constraint_;
  std::shared_ptr<Constraint::Machine> machine_;
  std::vector<ConfigId> history_;  // where the text stood before the first step and after each
};

// The tokens of a forced text, without those at its end that could be cut differently once more text follows.
// These can be prefilled; matcher.accept_text() takes the bytes they stand for.
std::vector<TokenId> forced_tokens(std::string_view forced, const Tokenizer& tokenizer,
                                   const TokenTrie& trie);

}  // namespace atelier::constraint
