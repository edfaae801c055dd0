// A tokenizer of one token per byte and named control tokens: every text can be written in it, and what is a
// control token and what only looks like one stays visible in the ids.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace atelier::chat {

class ToyTokenizer final : public Tokenizer {
 public:
  using Controls = std::vector<std::pair<std::string, TokenId>>;
  explicit ToyTokenizer(const Controls& controls) : controls_(controls) {
    for (size_t byte = 0; byte < 256; ++byte) bytes_.emplace_back(1, static_cast<char>(byte));
    for (const auto& [text, id] : controls_) texts_[id] = text;
  }

  static std::shared_ptr<const Tokenizer> harmony() {  // ids as in o200k_harmony
    return std::make_shared<ToyTokenizer>(Controls{{"<|endoftext|>", 199999},
                                                   {"<|return|>", 200002},
                                                   {"<|constrain|>", 200003},
                                                   {"<|channel|>", 200005},
                                                   {"<|start|>", 200006},
                                                   {"<|end|>", 200007},
                                                   {"<|message|>", 200008},
                                                   {"<|call|>", 200012},
                                                   {"<|reserved_200013|>", 200013}});
  }
  static std::shared_ptr<const Tokenizer> chatml() {
    return std::make_shared<ToyTokenizer>(
        Controls{{"<|endoftext|>", 1000}, {"<|im_start|>", 1001}, {"<|im_end|>", 1002}});
  }
  static std::shared_ptr<const Tokenizer> llama3() {
    return std::make_shared<ToyTokenizer>(Controls{{"<|begin_of_text|>", 1000},
                                                   {"<|end_of_text|>", 1001},
                                                   {"<|start_header_id|>", 1006},
                                                   {"<|end_header_id|>", 1007},
                                                   {"<|eom_id|>", 1008},
                                                   {"<|eot_id|>", 1009},
                                                   {"<|python_tag|>", 1010}});
  }
  static std::shared_ptr<const Tokenizer> plain() {
    return std::make_shared<ToyTokenizer>(Controls{{"<|endoftext|>", 1000}});
  }

  using Tokenizer::encode;
  void encode(std::string_view text, Specials specials, std::vector<TokenId>& ids) const override {
    while (!text.empty()) {
      const auto control = specials == Specials::kRecognised ? control_at(text) : nullptr;
      ids.push_back(control ? control->second : static_cast<unsigned char>(text[0]));
      text.remove_prefix(control ? control->first.size() : 1);
    }
  }
  std::string_view token_bytes(TokenId id) const override {
    if (id >= 0 && id < 256) return bytes_[static_cast<size_t>(id)];
    const auto found = texts_.find(id);
    return found == texts_.end() ? std::string_view() : std::string_view(found->second);
  }
  bool is_special(TokenId id) const override { return texts_.contains(id); }
  std::optional<TokenId> find_token(std::string_view text) const override {
    for (const auto& [name, id] : controls_)
      if (name == text) return id;
    if (text.size() == 1) return static_cast<unsigned char>(text[0]);
    return std::nullopt;
  }
  size_t vocab_size() const override { return 201088; }
  std::optional<TokenId> bos() const override { return std::nullopt; }
  std::optional<TokenId> eos() const override { return find_token("<|endoftext|>"); }
  bool add_bos() const override { return false; }

 private:
  const std::pair<std::string, TokenId>* control_at(std::string_view text) const {
    for (const auto& control : controls_)
      if (text.starts_with(control.first)) return &control;
    return nullptr;
  }

  Controls controls_;
  std::map<TokenId, std::string> texts_;
  std::vector<std::string> bytes_;
};

}  // namespace atelier::chat
