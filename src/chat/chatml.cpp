#include "chat/chatml.h"

#include "chat/json_text.h"
#include "chat/text_parser.h"
#include "chat/tool_json.h"

namespace atelier::chat {
namespace {

constexpr std::string_view kWhitespace = " \t\r\n";
constexpr std::string_view kOpen = "<tool_call>";
constexpr std::string_view kClose = "</tool_call>";
constexpr size_t kMaxHeldWhitespace = 256;  // more of it is not what stands before a call

class ChatmlParser final : public TextParser {
 public:
  ChatmlParser(const Tokenizer& tokenizer, std::vector<TokenId> stops, const ParserOptions& options)
      : TextParser(tokenizer, std::move(stops), options), tools_(options.tools) {}

  Section section() const override { return in_call_ ? Section::kArguments : Section::kFinal; }

 private:
  void on_text(std::string_view text, std::vector<Delta>& out) override {
    if (!tools_) return turn_.final_text(text, out);
    held_ += text;
    while (in_call_ ? read_call(out) : read_text(out)) {
    }
  }

  void on_end(std::vector<Delta>& out) override {
    if (in_call_) {
      if (!tell_cut_call(held_, out)) close_call(held_, out);  // the closing tag is often forgotten
    } else if (!turn_.has_calls() || held_.find_first_not_of(kWhitespace) != std::string::npos) {
      turn_.final_text(held_, out);
    }
    held_.clear();
  }

  // Shows the text up to the next tag. Keeps back what may be the beginning of one, and whitespace before it.
  bool read_text(std::vector<Delta>& out) {
    const size_t tag = held_.find(kOpen);
    const bool found = tag != std::string::npos;
    const size_t end = found ? tag : held_.size() - partial_tag_bytes(held_, kOpen);
    size_t shown = end;
    while (shown > 0 && kWhitespace.find(held_[shown - 1]) != std::string_view::npos) --shown;
    if (!found && end - shown > kMaxHeldWhitespace) shown = end;
    turn_.final_text(std::string_view(held_).substr(0, shown), out);
    held_.erase(0, found ? tag + kOpen.size() : shown);
    searched_ = 0;
    in_call_ = found;
    return found;
  }

  bool read_call(std::vector<Delta>& out) {
    const size_t end = held_.find(kClose, searched_);
    if (end == std::string::npos) {
      searched_ = held_.size() - partial_tag_bytes(held_, kClose);
      return false;
    }
    close_call(std::string_view(held_).substr(0, end), out);
    held_.erase(0, end + kClose.size());
    in_call_ = false;
    return true;
  }

  void close_call(std::string_view body, std::vector<Delta>& out) {
    const std::vector<CalledFunction> calls = read_calls(body);
    if (calls.empty())
      turn_.final_text(std::string(kOpen) + std::string(body), out);  // not lost, only not a call
    for (const CalledFunction& call : calls) {
      turn_.begin_call(call.name, out);
      turn_.arguments(call.arguments, out);
      turn_.end_call(true, out);
    }
  }

  bool tools_;
  bool in_call_ = false;
  std::string held_;
  size_t searched_ = 0;  // of a call: no closing tag begins before this byte
};

std::string tools_text(std::string_view schemas) {
  return fmt::format(
      "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
      "You are provided with function signatures within <tools></tools> XML tags:\n<tools>{}\n</tools>\n\n"
      "For each function call, return a json object with function name and arguments within "
      "<tool_call></tool_call> XML tags:\n<tool_call>\n"
      "{{\"name\": <function-name>, \"arguments\": <args-json-object>}}\n</tool_call>",
      schemas);
}

class ChatmlDialect final : public Dialect {
 public:
  struct Ids {
    TokenId im_start, im_end;
    std::optional<TokenId> endoftext;
  };
  ChatmlDialect(std::shared_ptr<const Tokenizer> tokenizer, Ids ids, std::string default_system)
      : Dialect(std::move(tokenizer)), ids_(ids), default_system_(std::move(default_system)) {}

  std::string_view name() const override { return "chatml"; }

  Result<Prompt> render(const Conversation& conversation, const RenderOptions& options) const override {
    ATELIER_CHECK_OK(refuse_builtin_tools(conversation, name()));
    const auto& messages = conversation.messages;
    const bool own_system =
        !messages.empty() && (messages[0].role == Role::kSystem || messages[0].role == Role::kDeveloper);
    std::string system = own_system ? messages[0].content : default_system_;
    if (!conversation.tools.empty()) {
      std::string schemas;
      for (const FunctionTool& tool : conversation.tools) {
        ATELIER_TRY(const Json json, tool_json(tool));
        schemas += "\n" + python_json(json);
      }
      system += (system.empty() ? "" : "\n\n") + tools_text(schemas);
    }
    Prompt prompt;
    if (own_system || !system.empty()) append(prompt, "system", system);
    append_turns(prompt, conversation, own_system ? 1 : 0);
    if (options.generation_prompt) prompt.control(ids_.im_start).text("assistant\n");
    return prompt;
  }

  Result<Continuation> render_continuation(std::span<const TokenId> history, const Conversation& conversation,
                                           size_t first_new) const override {
    Continuation next;
    next.keep = history.size();
    if (ids_.endoftext && next.keep > 0 && history[next.keep - 1] == *ids_.endoftext) --next.keep;
    const bool closed = next.keep > 0 && history[next.keep - 1] == ids_.im_end;
    Prompt prompt;
    if (!closed) prompt.control(ids_.im_end);
    prompt.text("\n");
    append_turns(prompt, conversation, first_new);
    prompt.control(ids_.im_start).text("assistant\n");
    next.append = prompt.encode(tokenizer());
    return next;
  }

  std::vector<TokenId> stop_tokens() const override {
    std::vector<TokenId> stops = {ids_.im_end};
    if (ids_.endoftext) stops.push_back(*ids_.endoftext);
    return stops;
  }

  std::optional<TurnSyntax> turn_syntax(const ParserOptions&) const override {
    return TurnSyntax{.call_open = "<tool_call>\n",
                      .call_close = "\n</tool_call>",
                      .between_calls = "\n",
                      .arguments_key = "arguments"};
  }

  std::unique_ptr<Parser> new_parser(const ParserOptions& options) const override {
    std::vector<TokenId> stops = stop_tokens();
    stops.push_back(ids_.im_start);  // another turn began without an end of this one
    return std::make_unique<ChatmlParser>(tokenizer(), std::move(stops), options);
  }

 private:
  void append(Prompt& prompt, std::string_view role, std::string_view content) const {
    prompt.control(ids_.im_start).text(role).text("\n").text(content).control(ids_.im_end).text("\n");
  }

  void append_turns(Prompt& prompt, const Conversation& conversation, size_t first) const {
    const auto& messages = conversation.messages;
    for (size_t i = first; i < messages.size(); ++i) {
      const Message& message = messages[i];
      if (message.role == Role::kTool) {  // results in a row share one turn
        const bool opens = i == first || messages[i - 1].role != Role::kTool;
        const bool closes = i + 1 == messages.size() || messages[i + 1].role != Role::kTool;
        if (opens) prompt.control(ids_.im_start).text("user");
        prompt.text("\n<tool_response>\n").text(message.content).text("\n</tool_response>");
        if (closes) prompt.control(ids_.im_end).text("\n");
      } else if (message.role == Role::kAssistant) {
        append_assistant(prompt, message);
      } else {
        append(prompt, message.role == Role::kUser ? "user" : "system", message.content);
      }
    }
  }

  void append_assistant(Prompt& prompt, const Message& message) const {
    if (message.sampled) {
      prompt.control(ids_.im_start).piece("assistant\n").ids(without_stops(*message.sampled, stop_tokens()));
      prompt.control(ids_.im_end).text("\n");
      return;
    }
    if (message.tool_calls.empty()) return append(prompt, "assistant", message.preamble + message.content);
    prompt.control(ids_.im_start).text("assistant");
    const std::string said = message.preamble + message.content;
    if (!said.empty()) prompt.text("\n").text(said);
    for (const ToolCall& call : message.tool_calls)
      prompt.text(fmt::format("\n<tool_call>\n{{\"name\": \"{}\", \"arguments\": {}}}\n</tool_call>",
                              call.name, arguments_json(call)));
    prompt.control(ids_.im_end).text("\n");
  }

  Ids ids_;
  std::string default_system_;
};

// Jinja string escapes, as far as templates use them.
std::string unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '\\' && i + 1 < text.size();
    if (escape) ++i;
    out += escape && text[i] == 'n' ? '\n' : text[i];
  }
  return out;
}

}  // namespace

std::string default_system_of(std::string_view chat_template) {
  constexpr std::string_view kSystem = "<|im_start|>system";
  for (size_t at = chat_template.find(kSystem); at != std::string_view::npos;
       at = chat_template.find(kSystem, at + 1)) {
    std::string_view text = chat_template.substr(at + kSystem.size());
    text = text.substr(0, text.find("<|im_end|>"));
    const size_t line_end = text.starts_with('\n') ? 1 : text.starts_with("\\n") ? 2 : 0;
    // A quote that ends the literal means that the text is put together at run time.
    const bool literal = text.find("}}") == std::string_view::npos &&
                         text.find(" + ") == std::string_view::npos &&
                         text.size() < chat_template.size() - at - kSystem.size();
    if (line_end > 0 && literal) return unescaped(text.substr(line_end));
  }
  return {};
}

Result<std::unique_ptr<Dialect>> make_chatml(std::shared_ptr<const Tokenizer> tokenizer,
                                             std::string_view chat_template) {
  ATELIER_TRY(const TokenId im_start, control_token(*tokenizer, "<|im_start|>"));
  ATELIER_TRY(const TokenId im_end, control_token(*tokenizer, "<|im_end|>"));
  const ChatmlDialect::Ids ids{im_start, im_end, tokenizer->find_token("<|endoftext|>")};
  return std::make_unique<ChatmlDialect>(std::move(tokenizer), ids, default_system_of(chat_template));
}

}  // namespace atelier::chat
