// Guesses the tokens to come from those before: where the end of the text stood before, it goes on as it did
// then. Editing a file that is in the context, quoting and repeating are guessed well; what is new is not
// guessed at all.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "text/tokenizer.h"

namespace atelier {

class Drafter {
 public:
  // `corpus`: text that is likely to be repeated beside the sequence's own, such as a prediction of the
  // answer.
  explicit Drafter(std::span<const TokenId> corpus = {});

  // Tokens that were given; the guesses are not judged by them.
  void read(std::span<const TokenId> tokens);
  // A token that was sampled.
  void append(TokenId token);
  // Only the first `n` tokens stay.
  void truncate(size_t n);
  size_t size() const { return text_.size() - first_; }  // tokens, without the corpus
  TokenId token(size_t i) const { return text_[first_ + i]; }

  // At most `n` tokens that may come next; none where the end of the text is new.
  std::span<const TokenId> guess(size_t n) const;
  // How likely it is that token `i` of the guess is right if those before it are, as it was of late for
  // guesses with as much in common with their place.
  double confidence(size_t i) const;

 private:
  // Guesses by how many tokens before them agree: 2–3, 4–7, 8–15, 16 and more.
  static constexpr size_t kClasses = 4;
  struct Record {
    double right, made;  // decayed counts
  };
  static size_t class_of(size_t matched);
  static uint64_t key(TokenId before, TokenId last);
  size_t slot(size_t end) const;

  void push(TokenId token);
  void index_last();
  void grow();
  void search();
  size_t common_before(size_t place) const;

  std::vector<TokenId> text_;      // the corpus, a separator that matches nothing, the sequence
  size_t first_ = 0;               // where the sequence begins
  std::vector<uint32_t> heads_;    // by hash of two tokens: one past the last place where such a pair ends
  std::vector<uint32_t> earlier_;  // [text_.size()]: the same for the pair before; 0: none
  size_t place_ = 0;               // of the token guessed next; 0: no guess
  size_t matched_ = 0;             // tokens before place_ that equal the end of the text
  size_t left_at_ = 0;             // where a text that was followed for a while was left; 0: nowhere
  std::array<Record, kClasses> records_;
};

}  // namespace atelier
