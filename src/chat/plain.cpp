#include "chat/plain.h"

#include <algorithm>

#include "chat/text_parser.h"

namespace atelier::chat {
namespace {

constexpr std::string_view kUser = "\nUser:";
constexpr std::string_view kAssistant = "\nAssistant:";
constexpr std::string_view kWhitespace = " \t\r\n";

class PlainParser final : public TextParser {
 public:
  using TextParser::TextParser;
  Section section() const override { return Section::kFinal; }

 private:
  void on_text(std::string_view text, std::vector<Delta>& out) override {
    if (stopped_) return;
    held_ += text;
    if (turn_.message().content.empty())
      held_.erase(0, std::min(held_.find_first_not_of(kWhitespace), held_.size()));
    const size_t stop = held_.find(kUser);
    if (stop != std::string::npos) {
      held_.resize(stop);
      stopped_ = true;
      end_turn();
      return;
    }
    const size_t shown = held_.size() - partial_tag_bytes(held_, kUser);
    turn_.final_text(std::string_view(held_).substr(0, shown), out);
    held_.erase(0, shown);
  }

  void on_end(std::vector<Delta>& out) override { turn_.final_text(held_, out); }

  std::string held_;
  bool stopped_ = false;
};

class PlainDialect final : public Dialect {
 public:
  using Dialect::Dialect;
  std::string_view name() const override { return "plain"; }

  Result<Prompt> render(const Conversation& conversation, const RenderOptions& options) const override {
    if (!conversation.tools.empty() || !conversation.builtin_tools.empty())
      return fail(ErrorCode::kUnsupported, "tools: expected none for a model without a chat format, found {}",
                  conversation.tools.size() + conversation.builtin_tools.size());
    Prompt prompt;
    if (tokenizer().add_bos() && tokenizer().bos()) prompt.control(*tokenizer().bos());
    std::string text = dialogue(conversation, 0);
    if (options.generation_prompt) text += kAssistant;
    prompt.text(std::string_view(text).substr(text.starts_with('\n') ? 1 : 0));
    return prompt;
  }

  Result<Continuation> render_continuation(std::span<const TokenId> history, const Conversation& conversation,
                                           size_t first_new) const override {
    Continuation next;
    next.keep = history.size();
    if (next.keep > 0 && tokenizer().eos() && history[next.keep - 1] == *tokenizer().eos()) --next.keep;
    std::string text = dialogue(conversation, first_new);
    text += kAssistant;
    // The model may have written the beginning of the user's line already.
    constexpr size_t kTail = 16;
    const std::string tail = tokenizer().decode(
        history.subspan(next.keep - std::min(next.keep, kTail), std::min(next.keep, kTail)));
    if (tail.ends_with(kUser) && text.starts_with(kUser)) text.erase(0, kUser.size());
    Prompt prompt;
    prompt.text(text);
    next.append = prompt.encode(tokenizer());
    return next;
  }

  std::vector<TokenId> stop_tokens() const override {
    return tokenizer().eos() ? std::vector<TokenId>{*tokenizer().eos()} : std::vector<TokenId>{};
  }

  std::unique_ptr<Parser> new_parser(const ParserOptions& options) const override {
    return std::make_unique<PlainParser>(tokenizer(), stop_tokens(), options);
  }

 private:
  static std::string dialogue(const Conversation& conversation, size_t first) {
    std::string out;
    for (size_t i = first; i < conversation.messages.size(); ++i) {
      const Message& message = conversation.messages[i];
      switch (message.role) {
        case Role::kSystem:
        case Role::kDeveloper:
          out += "\n" + message.content + "\n";
          break;
        case Role::kUser:
          out += fmt::format("{} {}", kUser, message.content);
          break;
        case Role::kAssistant:
          out += fmt::format("{} {}", kAssistant, message.preamble + message.content);
          break;
        case Role::kTool:
          out += fmt::format("\n{}: {}", message.tool_name, message.content);
          break;
      }
    }
    return out;
  }
};

}  // namespace

Result<std::unique_ptr<Dialect>> make_plain(std::shared_ptr<const Tokenizer> tokenizer) {
  return std::make_unique<PlainDialect>(std::move(tokenizer));
}

}  // namespace atelier::chat
