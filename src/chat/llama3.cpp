#include "chat/llama3.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "chat/json_text.h"
#include "chat/text_parser.h"
#include "chat/tool_json.h"

namespace atelier::chat {
namespace {

// Templates trim with Python's strip, which knows Unicode's whitespace. Lengths in UTF-8: 1, 2 or 3 bytes.
constexpr std::array<std::string_view, 29> kSpaces = {
    " ",      "\t",     "\n",     "\v",     "\f",     "\r",     "\x1c",   "\x1d",   "\x1e",   "\x1f",
    "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
    "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};

std::string_view stripped(std::string_view text) {
  const auto strip_one = [&] {
    for (std::string_view space : kSpaces) {
      if (text.starts_with(space)) return text.remove_prefix(space.size()), true;
      if (text.ends_with(space)) return text.remove_suffix(space.size()), true;
    }
    return false;
  };
  while (strip_one()) {
  }
  return text;
}

// "2025-06-28" → "28 Jun 2025"; another spelling stays as it is.
std::string template_date(const std::string& iso) {
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  if (iso.empty()) return "26 Jul 2024";  // the template's own, for callers without a clock
  size_t month = 0;
  if (iso.size() == 10 && iso[4] == '-' && iso[7] == '-')
    std::from_chars(iso.data() + 5, iso.data() + 7, month);
  if (month < 1 || month > kMonths.size()) return iso;
  return fmt::format("{} {} {}", iso.substr(8, 2), kMonths[month - 1], iso.substr(0, 4));
}

struct Ids {
  TokenId bos, start_header, end_header, eot;
  std::optional<TokenId> eom, end_of_text, python_tag;
  std::vector<TokenId> stops() const {
    std::vector<TokenId> out = {eot};
    if (eom) out.push_back(*eom);
    if (end_of_text) out.push_back(*end_of_text);
    return out;
  }
};

// A turn that is JSON from its first character on may be a call; it is held back until it is complete.
class Llama3Parser final : public TextParser {
 public:
  Llama3Parser(const Tokenizer& tokenizer, std::vector<TokenId> stops, std::optional<TokenId> python_tag,
               const ParserOptions& options)
      : TextParser(tokenizer, std::move(stops), options), python_tag_(python_tag) {
    mode_ = options.tools ? Mode::kUndecided : Mode::kText;
  }

  Section section() const override { return mode_ == Mode::kHeld ? Section::kArguments : Section::kFinal; }

 private:
  enum class Mode { kUndecided, kText, kHeld };

  void on_text(std::string_view text, std::vector<Delta>& out) override {
    if (mode_ == Mode::kText) return turn_.final_text(text, out);
    held_ += text;
    if (mode_ == Mode::kHeld) return;
    const size_t first = held_.find_first_not_of(" \t\r\n");
    constexpr size_t kMaxHeldWhitespace = 256;
    if (first == std::string::npos && held_.size() <= kMaxHeldWhitespace) return;
    if (first != std::string::npos && (held_[first] == '{' || held_[first] == '[')) {
      mode_ = Mode::kHeld;
    } else {
      mode_ = Mode::kText;
      show_held(out);
    }
  }

  void on_special(TokenId id, std::vector<Delta>&) override {
    if (id == python_tag_ && mode_ == Mode::kUndecided) mode_ = Mode::kHeld;
  }

  void on_end(std::vector<Delta>& out) override {
    if (mode_ == Mode::kText) return;
    const std::vector<CalledFunction> calls = read_calls(held_);
    if (calls.empty()) return show_held(out);
    for (const CalledFunction& call : calls) {
      turn_.begin_call(call.name, out);
      turn_.arguments(call.arguments, out);
      turn_.end_call(true, out);
    }
  }

  void show_held(std::vector<Delta>& out) {
    turn_.final_text(held_, out);
    held_.clear();
  }

  std::optional<TokenId> python_tag_;
  Mode mode_;
  std::string held_;
};

class Llama3Dialect final : public Dialect {
 public:
  Llama3Dialect(std::shared_ptr<const Tokenizer> tokenizer, const Ids& ids, bool dated_system)
      : Dialect(std::move(tokenizer)), ids_(ids), dated_system_(dated_system) {}

  std::string_view name() const override { return "llama3"; }

  Result<Prompt> render(const Conversation& conversation, const RenderOptions& options) const override {
    ATELIER_CHECK_OK(refuse_builtin_tools(conversation, name()));
    const auto& messages = conversation.messages;
    Prompt prompt;
    prompt.control(ids_.bos);
    size_t next = 0;
    if (dated_system_) {
      const bool own = !messages.empty() && is_instruction(messages[0]);
      append_dated_system(prompt, conversation, own ? stripped(messages[0].content) : "");
      next = own ? 1 : 0;
    }
    if (!conversation.tools.empty()) {
      while (!dated_system_ && next < messages.size() && is_instruction(messages[next]))
        append_message(prompt, messages[next++]);
      ATELIER_TRY(const std::string tools, tools_text(conversation));
      const bool user = next < messages.size() && messages[next].role == Role::kUser;
      append(prompt, "user", tools, user ? stripped(messages[next].content) : "");
      next += user ? 1 : 0;
    }
    for (; next < messages.size(); ++next) append_message(prompt, messages[next]);
    if (options.generation_prompt) append_header(prompt, "assistant");
    return prompt;
  }

  Result<Continuation> render_continuation(std::span<const TokenId> history, const Conversation& conversation,
                                           size_t first_new) const override {
    Continuation next;
    next.keep = history.size();
    if (ids_.end_of_text && next.keep > 0 && history[next.keep - 1] == *ids_.end_of_text) --next.keep;
    const std::optional<TokenId> last = next.keep > 0 ? std::optional(history[next.keep - 1]) : std::nullopt;
    Prompt prompt;
    if (last != ids_.eot && !(ids_.eom && last == ids_.eom)) prompt.control(ids_.eot);
    for (size_t i = first_new; i < conversation.messages.size(); ++i)
      append_message(prompt, conversation.messages[i]);
    append_header(prompt, "assistant");
    next.append = prompt.encode(tokenizer());
    return next;
  }

  std::vector<TokenId> stop_tokens() const override { return ids_.stops(); }

  std::optional<TurnSyntax> turn_syntax(const ParserOptions&) const override {
    return TurnSyntax{.between_calls = "; ", .arguments_key = "parameters"};
  }

  std::unique_ptr<Parser> new_parser(const ParserOptions& options) const override {
    std::vector<TokenId> stops = ids_.stops();
    stops.push_back(ids_.start_header);  // another turn began without an end of this one
    return std::make_unique<Llama3Parser>(tokenizer(), std::move(stops), ids_.python_tag, options);
  }

 private:
  static bool is_instruction(const Message& message) {
    return message.role == Role::kSystem || message.role == Role::kDeveloper;
  }

  void append_header(Prompt& prompt, std::string_view role) const {
    prompt.control(ids_.start_header).text(role).control(ids_.end_header).text("\n\n");
  }

  void append(Prompt& prompt, std::string_view role, std::string_view content,
              std::string_view more = {}) const {
    append_header(prompt, role);
    prompt.text(content).text(more).control(ids_.eot);
  }

  void append_dated_system(Prompt& prompt, const Conversation& conversation, std::string_view text) const {
    const std::string dates = fmt::format("{}Cutting Knowledge Date: December 2023\nToday Date: {}\n\n",
                                          conversation.tools.empty() ? "" : "Environment: ipython\n",
                                          template_date(conversation.date));
    append(prompt, "system", dates, text);
  }

  static Result<std::string> tools_text(const Conversation& conversation) {
    std::string out =
        "Given the following functions, please respond with a JSON for a function call with its proper "
        "arguments "
        "that best answers the given prompt.\n\n"
        "Respond in the format {\"name\": function name, \"parameters\": dictionary of argument name and its "
        "value}."
        "Do not use variables.\n\n";
    for (const FunctionTool& tool : conversation.tools) {
      ATELIER_TRY(const Json json, tool_json(tool));
      out += python_json(json, 4) + "\n\n";
    }
    return out;
  }

  void append_message(Prompt& prompt, const Message& message) const {
    if (message.role == Role::kTool) {
      append(prompt, "ipython", python_json(Json(message.content)));  // the template quotes results
    } else if (message.role == Role::kAssistant && message.sampled) {
      append_header(prompt, "assistant");
      const bool for_result = ids_.eom && !message.sampled->empty() && message.sampled->back() == *ids_.eom;
      prompt.ids(without_stops(*message.sampled, ids_.stops())).control(for_result ? *ids_.eom : ids_.eot);
    } else if (message.role == Role::kAssistant && !message.tool_calls.empty()) {
      // The format has one call a message and no text beside it.
      for (const ToolCall& call : message.tool_calls)
        append(prompt, "assistant",
               fmt::format("{{\"name\": \"{}\", \"parameters\": {}}}", call.name, arguments_json(call)));
    } else {
      const std::string_view role = message.role == Role::kDeveloper ? "system" : role_name(message.role);
      append(prompt, role, stripped(message.preamble + message.content));
    }
  }

  Ids ids_;
  bool dated_system_;
};

}  // namespace

Result<std::unique_ptr<Dialect>> make_llama3(std::shared_ptr<const Tokenizer> tokenizer,
                                             std::string_view chat_template) {
  Ids ids{};
  ATELIER_TRY(ids.bos, control_token(*tokenizer, "<|begin_of_text|>"));
  ATELIER_TRY(ids.start_header, control_token(*tokenizer, "<|start_header_id|>"));
  ATELIER_TRY(ids.end_header, control_token(*tokenizer, "<|end_header_id|>"));
  ATELIER_TRY(ids.eot, control_token(*tokenizer, "<|eot_id|>"));
  ids.eom = tokenizer->find_token("<|eom_id|>");
  ids.end_of_text = tokenizer->find_token("<|end_of_text|>");
  ids.python_tag = tokenizer->find_token("<|python_tag|>");
  const bool dated_system = chat_template.find("Cutting Knowledge Date") != std::string_view::npos;
  return std::make_unique<Llama3Dialect>(std::move(tokenizer), ids, dated_system);
}

}  // namespace atelier::chat
