#include "chat/template_dialect.h"

#include <algorithm>

#include "chat/template/template.h"
#include "chat/template_dialect_parser.h"
#include "chat/template_dialect_prompt.h"
#include "chat/template_dialect_variables.h"
#include "chat/tool_json.h"

namespace atelier::chat {
namespace {

// Texts of the conversations that the template is asked about; none occurs in a template.
constexpr const char* kFirstUser =
    "\xEE\x80\x80"
    "first";
constexpr const char* kAnswer =
    "\xEE\x80\x80"
    "answer";
constexpr const char* kSecondUser =
    "\xEE\x80\x80"
    "second";

Conversation question() {
  Conversation talk;
  talk.date = "2000-01-01";
  talk.messages.push_back({.role = Role::kUser, .content = kFirstUser});
  return talk;
}

size_t bytes_of(const Conversation& conversation) {
  size_t bytes = 0;
  for (const Message& message : conversation.messages) {
    bytes += message.content.size() + message.reasoning.size() + message.preamble.size();
    for (const ToolCall& call : message.tool_calls) bytes += call.arguments.size();
  }
  for (const FunctionTool& tool : conversation.tools)
    bytes += tool.description.size() + tool.parameters.size();
  return bytes;
}

// For what the template does, and for passing every byte through its hands a few dozen times.
jinja::RenderLimits limits_for(const Conversation& conversation) {
  const size_t bytes = bytes_of(conversation);
  return {.steps = (uint64_t{16} << 20) + 4 * bytes, .output_bytes = (size_t{16} << 20) + 4 * bytes};
}

class TemplateDialect final : public Dialect {
 public:
  TemplateDialect(std::shared_ptr<const Tokenizer> tokenizer, ChatTemplate parsed, std::string_view source)
      : Dialect(std::move(tokenizer)),
        template_(std::move(parsed)),
        controls_(this->tokenizer()),
        syntax_(tag_syntax(source, this->tokenizer())),
        declares_tools_(source.find("tools") != std::string_view::npos),
        developer_role_(source.find("developer") != std::string_view::npos) {
    find_stops();
    syntax_.prompt_reasons = opens_reasoning({});
  }

  std::string_view name() const override { return "template"; }

  Result<Prompt> render(const Conversation& conversation, const RenderOptions& options) const override {
    ATELIER_CHECK_OK(refuse_builtin_tools(conversation, name()));
    if (!conversation.tools.empty() && !declares_tools_)
      return fail(ErrorCode::kUnsupported,
                  "tools: expected none, as this model's chat template declares none, found {}",
                  conversation.tools.size());
    ATELIER_TRY(const jinja::Text text, render_text(conversation, options));
    return controls_.prompt(text);
  }

  Result<Continuation> render_continuation(std::span<const TokenId> history, const Conversation& conversation,
                                           size_t) const override {
    ATELIER_TRY(const Prompt prompt, render(conversation, {}));
    // A template may show earlier turns otherwise than they were sampled (without their reasoning, say).
    // Where it does not, every id is kept and only what comes behind is encoded.
    if (auto rest = behind(prompt, tokenizer().decode(history)))
      return Continuation{history.size(), rest->encode(tokenizer())};
    const std::vector<TokenId> ids = prompt.encode(tokenizer());
    const auto [kept, fresh] = std::mismatch(history.begin(), history.end(), ids.begin(), ids.end());
    return Continuation{static_cast<size_t>(kept - history.begin()), {fresh, ids.end()}};
  }

  std::vector<TokenId> stop_tokens() const override { return stops_; }

  std::optional<TurnSyntax> turn_syntax(const ParserOptions& options) const override {
    return turn_syntax_of(syntax_for(options), tokenizer());
  }

  std::unique_ptr<Parser> new_parser(const ParserOptions& options) const override {
    return make_tag_parser(tokenizer(), stops_, syntax_for(options), options);
  }

 private:
  TagSyntax syntax_for(const ParserOptions& options) const {
    TagSyntax syntax = syntax_;
    if (!options.template_arguments.empty())
      syntax.prompt_reasons = opens_reasoning(options.template_arguments);
    return syntax;
  }

  Result<jinja::Text> render_shape(const Conversation& conversation, const RenderOptions& options,
                                   const TemplateShape& shape) const {
    ATELIER_TRY(const jinja::Dict variables, template_variables(conversation, options, shape, tokenizer()));
    return template_.render(variables, conversation.date, limits_for(conversation));
  }

  // Templates that do not take a conversation in the usual shape are offered it in others before they may
  // refuse.
  Result<jinja::Text> render_text(const Conversation& conversation, const RenderOptions& options) const {
    TemplateShape usual;
    usual.developer_role = developer_role_;
    auto text = render_shape(conversation, options, usual);
    if (text || text.error().code != ErrorCode::kInvalidArgument) return text;
    const auto& messages = conversation.messages;
    const bool calls = std::ranges::any_of(messages, [](const Message& m) { return !m.tool_calls.empty(); });
    for (const bool nine_character_ids : {false, true})
      for (const bool object_arguments : {true, false})
        for (const bool null_content : {true, false}) {
          if (!calls || (!nine_character_ids && object_arguments && null_content)) continue;
          TemplateShape other = usual;
          other.null_content = null_content;
          other.object_arguments = object_arguments;
          other.nine_character_ids = nine_character_ids;
          if (auto rendered = render_shape(conversation, options, other)) return rendered;
        }
    const bool instructed =
        messages.size() > 1 && (messages[0].role == Role::kSystem || messages[0].role == Role::kDeveloper);
    if (instructed && std::ranges::any_of(messages, [](const Message& m) { return m.role == Role::kUser; })) {
      TemplateShape folded = usual;
      folded.fold_system = true;
      if (auto rendered = render_shape(conversation, options, folded)) return rendered;
    }
    return text;
  }

  // What of `prompt` comes behind `text`; nullopt if it does not begin with it, or not at the edge of a
  // token.
  std::optional<Prompt> behind(const Prompt& prompt, std::string_view text) const {
    Prompt rest;
    for (const Prompt::Segment& segment : prompt.segments()) {
      const bool control = segment.control != Prompt::kText;
      const std::string_view bytes =
          control ? tokenizer().token_bytes(segment.control) : std::string_view(segment.text);
      const size_t common = std::min(bytes.size(), text.size());
      if (bytes.substr(0, common) != text.substr(0, common)) return std::nullopt;
      if (control && common > 0 && common < bytes.size()) return std::nullopt;
      text.remove_prefix(common);
      if (control && common == 0)
        rest.control(segment.control);
      else if (!control)
        rest.text(bytes.substr(common));
    }
    return text.empty() ? std::optional(std::move(rest)) : std::nullopt;
  }

  void add_stop(TokenId id) {
    if (std::ranges::find(stops_, id) == stops_.end()) stops_.push_back(id);
  }

  // The first control token behind `marker`, unless data comes first.
  void add_stop_behind(const Conversation& conversation, std::string_view marker) {
    const auto text = render_text(conversation, {});
    if (!text) return;
    const size_t at = text->bytes().rfind(marker);
    if (at == std::string_view::npos) return;
    const Prompt tail = controls_.prompt(text->slice(at + marker.size(), text->size()));
    for (const Prompt::Segment& segment : tail.segments()) {
      // What only closes a call is no end of the turn.
      const bool control = segment.control != Prompt::kText;
      if (control && !closes_call(tokenizer().token_bytes(segment.control))) return add_stop(segment.control);
      if (segment.text.find(kSecondUser) != std::string::npos) return;
    }
  }

  void find_stops() {
    if (const auto eos = tokenizer().eos()) add_stop(*eos);
    Conversation talk = question();
    talk.messages.push_back({.role = Role::kAssistant, .content = kAnswer});
    talk.messages.push_back({.role = Role::kUser, .content = kSecondUser});
    add_stop_behind(talk, kAnswer);
    if (!declares_tools_) return;
    Conversation calling = question();
    calling.tools.push_back({"f", "f", R"({"type": "object", "properties": {"a": {"type": "string"}}})"});
    Message call{.role = Role::kAssistant};
    call.tool_calls.push_back({"call_1", "f", fmt::format(R"({{"a": "{}"}})", kAnswer)});
    calling.messages.push_back(std::move(call));
    calling.messages.push_back(
        {.role = Role::kTool, .content = kSecondUser, .tool_call_id = "call_1", .tool_name = "f"});
    add_stop_behind(calling, kAnswer);
  }

  bool closes_call(std::string_view token) const {
    constexpr std::string_view kInner[] = {"</tool_call>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>"};
    return std::ranges::find(kInner, token) != std::end(kInner) ||
           std::ranges::any_of(syntax_.calls,
                               [token](const auto& tag) { return !tag.close.empty() && tag.close == token; });
  }

  // Whether the prompt of an answer ends inside of <think>.
  bool opens_reasoning(const std::string& template_arguments) const {
    Conversation talk = question();
    talk.template_arguments = template_arguments;
    const auto text = render_text(talk, {});
    if (!text) return false;
    const std::string_view tail = text->bytes().substr(text->bytes().rfind(kFirstUser) + 1);
    const size_t open = tail.rfind("<think>");
    const size_t close = tail.rfind("</think>");
    return open != std::string_view::npos && (close == std::string_view::npos || close < open);
  }

  ChatTemplate template_;
  ControlTokens controls_;
  TagSyntax syntax_;
  bool declares_tools_;
  bool developer_role_;
  std::vector<TokenId> stops_;
};

}  // namespace

Result<std::unique_ptr<Dialect>> make_template(std::shared_ptr<const Tokenizer> tokenizer,
                                               std::string_view chat_template) {
  ATELIER_TRY(ChatTemplate parsed, ChatTemplate::parse(chat_template));
  return std::make_unique<TemplateDialect>(std::move(tokenizer), std::move(parsed), chat_template);
}

}  // namespace atelier::chat
