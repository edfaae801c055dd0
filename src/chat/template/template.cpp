#include "chat/template/template.h"

#include "chat/template/interpreter.h"
#include "chat/template/parser.h"

namespace atelier::chat {

struct ChatTemplate::Parsed {
  jinja::Block block;
};

ChatTemplate::ChatTemplate(std::unique_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view source) {
  auto block = jinja::parse(source);
  if (!block) return fail_in("chat template", std::move(block).error());
  auto parsed = std::make_unique<Parsed>();
  parsed->block = std::move(*block);
  return ChatTemplate(std::unique_ptr<const Parsed>(std::move(parsed)));
}

Result<jinja::Text> ChatTemplate::render(const jinja::Dict& variables, std::string_view date,
                                         const jinja::RenderLimits& limits) const {
  jinja::Interpreter interpreter(variables, limits, std::string(date));
  auto text = interpreter.render(parsed_->block);
  if (!text) return fail_in("chat template", std::move(text).error());
  return text;
}

}  // namespace atelier::chat
