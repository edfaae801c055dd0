// Chat templates: the subset of Jinja that model publishers use, as transformers' apply_chat_template renders
// it. A template is untrusted input: it reaches nothing but its variables, and every cost is bounded.
//
// What is there: docs/templates.md.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "chat/template/budget.h"
#include "chat/template/text.h"
#include "chat/template/value.h"

namespace atelier::chat {

class ChatTemplate {
 public:
  // Errors name line and column: kInvalidArgument, kUnsupported for tags that read other templates, kLimit
  // for more than 1 MiB or deep nesting.
  static Result<ChatTemplate> parse(std::string_view source);

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

  // `date`: what strftime_now tells, "2025-06-28"; empty: the template finds no strftime_now. Errors name
  // line and column: kInvalidArgument for what the template refuses (raise_exception: the message ends with
  // its words) or does wrong, kUnsupported for a filter we lack, kLimit for what costs too much.
  Result<jinja::Text> render(const jinja::Dict& variables, std::string_view date,
                             const jinja::RenderLimits& limits = {}) const;

 private:
  struct Parsed;
  explicit ChatTemplate(std::unique_ptr<const Parsed> parsed);
  std::unique_ptr<const Parsed> parsed_;
};

}  // namespace atelier::chat
