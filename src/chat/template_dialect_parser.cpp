#include "chat/template_dialect_parser.h"

#include <algorithm>
#include <array>

namespace atelier::chat {
namespace {

constexpr std::string_view kWhitespace = " \t\r\n";
constexpr size_t kMaxHeldWhitespace = 256;

constexpr std::array<TagSyntax::CallTag, 6> kCallTags = {{
    {"<tool_call>", "</tool_call>"},
    {"[TOOL_CALLS]", ""},
    {"<|python_tag|>", ""},
    {"<|tool_call|>", "<|/tool_call|>"},
    {"<|tool_calls|>", "<|/tool_calls|>"},
    {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"},
}};

struct ThinkTag {
  std::string_view open;
  std::string_view close;
};
constexpr std::array<ThinkTag, 2> kThinkTags = {{{"<think>", "</think>"}, {"[THINK]", "[/THINK]"}}};

// Control tokens that are part of what stands between the tags.
constexpr std::array<std::string_view, 5> kInnerTags = {"[ARGS]", "[CALL_ID]", "<｜tool▁call▁begin｜>",
                                                        "<｜tool▁sep｜>", "<｜tool▁call▁end｜>"};

std::string_view trimmed(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(kWhitespace), text.size());
  return text.substr(begin, text.find_last_not_of(kWhitespace) + 1 - begin);
}

// Takes the text up to `mark` off the front of `text`, and the mark; all of it if there is none.
std::string_view take_until(std::string_view& text, std::string_view mark) {
  const size_t at = text.find(mark);
  const std::string_view head = text.substr(0, at);
  text = at == std::string_view::npos ? std::string_view() : text.substr(at + mark.size());
  return head;
}

bool append_call(std::string_view name, std::string_view arguments, std::vector<CalledFunction>& calls) {
  name = trimmed(name);
  arguments = trimmed(arguments);
  if (name.empty() || name.find_first_of(kWhitespace) != std::string_view::npos) return false;
  const auto json = parse_json(arguments.empty() ? "{}" : arguments, "arguments");
  if (!json) return false;
  calls.push_back({std::string(name), compact_json(*json)});
  return true;
}

// NAME[ARGS]{…}, with [TOOL_CALLS] in front of every further call.
std::vector<CalledFunction> read_mistral_calls(std::string_view body) {
  std::vector<CalledFunction> calls;
  while (!trimmed(body).empty()) {
    std::string_view one = take_until(body, "[TOOL_CALLS]");
    std::string_view name = take_until(one, "[ARGS]");
    name = take_until(name, "[CALL_ID]");
    if (!append_call(name, one, calls)) return {};
  }
  return calls;
}

// function<｜tool▁sep｜>NAME and a fenced block, or NAME<｜tool▁sep｜>{…}; each between tags of its own.
std::vector<CalledFunction> read_deepseek_calls(std::string_view body) {
  std::vector<CalledFunction> calls;
  while (!trimmed(body).empty()) {
    std::string_view one = take_until(body, "<｜tool▁call▁end｜>");
    if (one.find("<｜tool▁call▁begin｜>") != std::string_view::npos) take_until(one, "<｜tool▁call▁begin｜>");
    std::string_view name = take_until(one, "<｜tool▁sep｜>");
    std::string_view arguments = trimmed(one);
    constexpr std::string_view kFence = "```json";
    if (const size_t fence = arguments.find(kFence);
        fence != std::string_view::npos && trimmed(name) == "function") {
      name = arguments.substr(0, fence);
      arguments.remove_prefix(fence + kFence.size());
      arguments = take_until(arguments, "```");
    }
    if (!append_call(name, arguments, calls)) return {};
  }
  return calls;
}

class TagParser final : public TextParser {
 public:
  TagParser(const Tokenizer& tokenizer, std::vector<TokenId> stops, TagSyntax syntax,
            const ParserOptions& options)
      : TextParser(tokenizer, std::move(stops), options), tokenizer_(tokenizer), syntax_(std::move(syntax)) {
    if (!options.tools) {
      syntax_.calls.clear();
      syntax_.bare_calls = false;
    }
    if (syntax_.reasons && syntax_.prompt_reasons) begin_reasoning(kThinkTags[0]);
  }

  Section section() const override {
    if (mode_ == Mode::kReasoning) return Section::kReasoning;
    return mode_ == Mode::kText ? Section::kFinal : Section::kArguments;
  }

 private:
  enum class Mode : uint8_t { kText, kReasoning, kCall, kBareCall };

  void on_text(std::string_view text, std::vector<Delta>& out) override {
    held_ += text;
    while (step(out)) {
    }
  }

  // Tags may be control tokens; for us they are text like any other.
  void on_special(TokenId id, std::vector<Delta>& out) override {
    const std::string_view text = tokenizer_.token_bytes(id);
    const auto is_text = [text](const auto& tag) { return tag.open == text || tag.close == text; };
    if (std::ranges::any_of(syntax_.calls, is_text) ||
        (syntax_.reasons && std::ranges::any_of(kThinkTags, is_text)) ||
        std::ranges::find(kInnerTags, text) != kInnerTags.end())
      on_text(text, out);
  }

  void on_end(std::vector<Delta>& out) override {
    if (mode_ == Mode::kReasoning) {
      turn_.reasoning(held_, out);
    } else if (mode_ == Mode::kText) {
      if (!turn_.has_calls() || !trimmed(held_).empty()) turn_.final_text(held_, out);
    } else if (mode_ == Mode::kBareCall || !tell_cut_call(held_, out)) {
      close_call(held_, out);  // the closing tag is often forgotten
    }
    held_.clear();
  }

  // True if there may be more to do with what is held.
  bool step(std::vector<Delta>& out) {
    switch (mode_) {
      case Mode::kReasoning:
        return read_reasoning(out);
      case Mode::kText:
        return read_text(out);
      case Mode::kCall:
        return read_call(out);
      case Mode::kBareCall:
        return false;
    }
    return false;
  }

  void begin_reasoning(const ThinkTag& tag) {
    mode_ = Mode::kReasoning;
    close_ = tag.close;
    fresh_ = true;
  }

  // White space right behind a tag belongs to the tag.
  bool drop_leading_space() {
    const size_t begin = held_.find_first_not_of(kWhitespace);
    held_.erase(0, std::min(begin, held_.size()));
    fresh_ = fresh_ && held_.empty();
    return !held_.empty();
  }

  bool read_reasoning(std::vector<Delta>& out) {
    if (fresh_ && !drop_leading_space()) return false;
    const size_t tag = held_.find(close_);
    const bool found = tag != std::string::npos;
    size_t end = found ? tag : held_.size() - partial_tag_bytes(held_, close_);
    const size_t whole = end;
    while (end > 0 && kWhitespace.find(held_[end - 1]) != std::string_view::npos) --end;
    if (!found && whole - end > kMaxHeldWhitespace) end = whole;
    turn_.reasoning(std::string_view(held_).substr(0, end), out);
    held_.erase(0, found ? tag + close_.size() : end);
    if (found) {
      mode_ = Mode::kText;
      fresh_ = true;
    }
    return found;
  }

  // Shows the text up to the next tag. Keeps back what may be the beginning of one, and white space before
  // it.
  bool read_text(std::vector<Delta>& out) {
    if (fresh_ && !drop_leading_space()) return false;
    if (may_be_bare_call()) {
      mode_ = Mode::kBareCall;
      return false;
    }
    size_t tag = std::string::npos;
    size_t partial = 0;
    const TagSyntax::CallTag* call = nullptr;
    const ThinkTag* think = nullptr;
    const auto look_for = [&](std::string_view open) {
      partial = std::max(partial, partial_tag_bytes(held_, open));
      const size_t at = held_.find(open);
      if (at >= tag) return false;
      tag = at;
      return true;
    };
    for (const TagSyntax::CallTag& candidate : syntax_.calls)
      if (look_for(candidate.open)) call = &candidate;
    if (syntax_.reasons)
      for (const ThinkTag& candidate : kThinkTags)
        if (look_for(candidate.open)) think = &candidate;
    const bool found = tag != std::string::npos;
    const size_t end = found ? tag : held_.size() - partial;
    size_t shown = end;
    while (shown > 0 && kWhitespace.find(held_[shown - 1]) != std::string_view::npos) --shown;
    if (!found && end - shown > kMaxHeldWhitespace) shown = end;
    show(std::string_view(held_).substr(0, shown), out);
    if (!found) {
      held_.erase(0, shown);
      return false;
    }
    if (think != nullptr) {
      held_.erase(0, tag + think->open.size());
      begin_reasoning(*think);
    } else {
      held_.erase(0, tag + call->open.size());
      mode_ = Mode::kCall;
      open_ = call->open;
      close_ = call->close;
      searched_ = 0;
    }
    return true;
  }

  void show(std::string_view text, std::vector<Delta>& out) {
    anything_shown_ = anything_shown_ || !text.empty();
    turn_.final_text(text, out);
  }

  bool may_be_bare_call() const {
    if (!syntax_.bare_calls || anything_shown_ || turn_.has_calls()) return false;
    const std::string_view text = trimmed(held_);
    if (text.empty() || (text[0] != '{' && text[0] != '[')) return false;
    return std::ranges::none_of(syntax_.calls, [text](const TagSyntax::CallTag& tag) {  // "[TOOL_CALLS]"
      return text.starts_with(tag.open) || tag.open.starts_with(text);
    });
  }

  bool read_call(std::vector<Delta>& out) {
    if (close_.empty()) return false;
    const size_t end = held_.find(close_, searched_);
    if (end == std::string::npos) {
      searched_ = held_.size() - partial_tag_bytes(held_, close_);
      return false;
    }
    close_call(std::string_view(held_).substr(0, end), out);
    held_.erase(0, end + close_.size());
    mode_ = Mode::kText;
    return true;
  }

  void close_call(std::string_view body, std::vector<Delta>& out) {
    const std::vector<CalledFunction> calls = read_tagged_calls(body);
    if (calls.empty()) {  // not lost, only not a call
      turn_.final_text(mode_ == Mode::kCall ? std::string(open_) + std::string(body) : std::string(body),
                       out);
      return;
    }
    for (const CalledFunction& call : calls) {
      turn_.begin_call(call.name, out);
      turn_.arguments(call.arguments, out);
      turn_.end_call(true, out);
    }
  }

  const Tokenizer& tokenizer_;
  TagSyntax syntax_;
  Mode mode_ = Mode::kText;
  std::string held_;
  bool fresh_ = false;           // right behind a tag
  bool anything_shown_ = false;  // of the answer
  std::string_view open_;        // kCall
  std::string_view close_;       // kCall, kReasoning
  size_t searched_ = 0;          // kCall: no closing tag begins before this byte
};

}  // namespace

std::vector<CalledFunction> read_tagged_calls(std::string_view body) {
  if (body.find("[ARGS]") != std::string_view::npos && !trimmed(body).starts_with('{') &&
      !trimmed(body).starts_with('['))
    return read_mistral_calls(body);
  if (body.find("<｜tool▁sep｜>") != std::string_view::npos) return read_deepseek_calls(body);
  return read_calls(body);
}

TagSyntax tag_syntax(std::string_view chat_template, const Tokenizer& tokenizer) {
  const auto mentions = [&](std::string_view text) {
    return chat_template.find(text) != std::string_view::npos;
  };
  TagSyntax syntax;
  for (const TagSyntax::CallTag& tag : kCallTags)
    if (mentions(tag.open)) syntax.calls.push_back(tag);
  const bool any_mentioned = !syntax.calls.empty();
  if (!any_mentioned) syntax.calls.assign(kCallTags.begin(), kCallTags.end());
  // Llama's way: JSON and nothing else. Its templates mention <|python_tag|> for another kind of call.
  syntax.bare_calls =
      !any_mentioned || (syntax.calls.size() == 1 && syntax.calls[0].open == "<|python_tag|>");
  for (const ThinkTag& tag : kThinkTags)
    syntax.reasons =
        syntax.reasons || mentions(tag.open) || mentions(tag.close) || tokenizer.find_token(tag.open);
  return syntax;
}

TurnSyntax turn_syntax_of(const TagSyntax& syntax, const Tokenizer& tokenizer) {
  TurnSyntax out{.between_calls = "\n", .arguments_key = "arguments"};
  if (syntax.bare_calls) {
    out.between_calls = "; ";
    out.arguments_key = "parameters";
  } else if (!syntax.calls.empty()) {
    const TagSyntax::CallTag& tag = syntax.calls.front();
    const bool own_lines = tag.open == "<tool_call>";
    out.call_open = fmt::format("{}{}", tag.open, own_lines ? "\n" : "");
    out.call_close = fmt::format("{}{}", own_lines ? "\n" : "", tag.close);
    out.tags_enclose_all = !own_lines;
  }
  if (syntax.reasons) {
    const ThinkTag& tag =
        !syntax.prompt_reasons && tokenizer.find_token(kThinkTags[1].open) ? kThinkTags[1] : kThinkTags[0];
    out.reasoning_open = tag.open;
    out.reasoning_close = tag.close;
    out.prompt_opens_reasoning = syntax.prompt_reasons;
  }
  const auto add = [&](std::string_view text, std::vector<TokenId>& ids) {
    if (const auto id = tokenizer.find_token(text); id && tokenizer.is_special(*id)) ids.push_back(*id);
  };
  for (const TagSyntax::CallTag& tag : syntax.calls) {
    add(tag.open, out.call_tokens);
    if (!tag.close.empty()) add(tag.close, out.call_tokens);
  }
  for (const ThinkTag& tag : kThinkTags) {
    add(tag.open, out.reasoning_tokens);
    add(tag.close, out.reasoning_tokens);
  }
  return out;
}

std::unique_ptr<Parser> make_tag_parser(const Tokenizer& tokenizer, std::vector<TokenId> stops,
                                        TagSyntax syntax, const ParserOptions& options) {
  return std::make_unique<TagParser>(tokenizer, std::move(stops), std::move(syntax), options);
}

}  // namespace atelier::chat
