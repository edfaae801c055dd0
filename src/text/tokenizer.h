// Text ⇄ token ids, exactly as the publisher's tokenizer does it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace atelier {

class Checkpoint;

using TokenId = int32_t;

// Whether special tokens written out in the text ("<|im_end|>") become their ids or stay ordinary text.
// User text is always encoded with kAsText: a typed control token must never become one.
enum class Specials { kAsText, kRecognised };

class Tokenizer {
 public:
  // `path`: a tokenizer.json, a folder holding one, or a .gguf.
  static Result<std::shared_ptr<const Tokenizer>> load(const std::filesystem::path& path);
  static Result<std::shared_ptr<const Tokenizer>> load(const Checkpoint& checkpoint);
  virtual ~Tokenizer() = default;

  // Appends the ids of `text` (any bytes; invalid UTF-8 is encoded byte by byte) to `ids`. Linear time. Adds
  // no BOS/EOS.
  virtual void encode(std::string_view text, Specials specials, std::vector<TokenId>& ids) const = 0;
  std::vector<TokenId> encode(std::string_view text, Specials specials = Specials::kAsText) const;

  // The same for those who would rather fail: a vocabulary that splits by an expression of its own, not one
  // of those we know, runs into that expression's limits on some texts, where encode() leaves the text
  // unsplit. Errors: kLimit (which limit, and at which byte), and then `ids` is as it was.
  virtual Status try_encode(std::string_view text, Specials specials, std::vector<TokenId>& ids) const;

  // The bytes a token stands for; empty for ids outside the vocabulary. Special tokens give their text.
  virtual std::string_view token_bytes(TokenId id) const = 0;
  virtual bool is_special(TokenId id) const = 0;
  virtual std::optional<TokenId> find_token(
      std::string_view text) const = 0;   // special tokens first, then ordinary ones by bytes
  virtual size_t vocab_size() const = 0;  // one past the highest id

  std::string decode(std::span<const TokenId> ids) const;  // special tokens written out

  // How many of the first bytes of `first` fall away where it begins a text: the space that some vocabularies
  // put in front of every first word.
  virtual size_t bytes_before_text(TokenId /*first*/) const { return 0; }

  // What the files say about the ends of text; add_bos: a BOS belongs in front of every raw prompt.
  virtual std::optional<TokenId> bos() const = 0;
  virtual std::optional<TokenId> eos() const = 0;
  virtual bool add_bos() const = 0;
};

// Turns a stream of tokens into text without ever emitting part of a UTF-8 character: bytes that may still
// become one are held back; bytes that cannot are replaced by U+FFFD, as the publisher's decoders do.
class StreamDecoder {
 public:
  enum class Begin { kContinues, kText };  // what the tokens continue: other text, or nothing
  explicit StreamDecoder(const Tokenizer& tokenizer, Begin begin = Begin::kContinues)
      : tokenizer_(&tokenizer), begins_(begin == Begin::kText) {}
  std::string push(TokenId id);  // text that became complete
  std::string finish();          // what is still held back, replaced if incomplete

 private:
  const Tokenizer* tokenizer_;
  bool begins_;
  std::string pending_;
};

}  // namespace atelier
