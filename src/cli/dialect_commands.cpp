// atelier render, parse: a conversation to a prompt, sampled ids to a message, for scripts.
#include <nlohmann/json.hpp>

#include "chat/completions_body.h"
#include "chat/dialect.h"
#include "cli/model_flags.h"
#include "cli/token_ids.h"
#include "io/chat_template.h"

namespace atelier::cli {
namespace {

constexpr size_t kMaxDialectInput = size_t{32} << 20;

Result<std::unique_ptr<chat::Dialect>> load_dialect(const std::string& model, const Globals& globals) {
  ATELIER_TRY(const std::filesystem::path path, locate(model, globals));
  ATELIER_TRY(const Checkpoint checkpoint, Checkpoint::open(path));
  ATELIER_TRY(const auto tokenizer, Tokenizer::load(checkpoint));
  return chat::dialect_for(checkpoint.architecture(), tokenizer, chat_template_of(checkpoint));
}

Status run_render(const std::string& model, bool text, const Globals& globals) {
  ATELIER_TRY(const auto dialect, load_dialect(model, globals));
  ATELIER_TRY(const std::string body, read_stdin(kMaxDialectInput));
  ATELIER_TRY(const chat::Conversation conversation, chat::parse_completions_body(std::string_view(body)));
  ATELIER_TRY(const chat::Prompt prompt, dialect->render(conversation));
  return text ? print(prompt.to_text(dialect->tokenizer())) : print_json(prompt.encode(dialect->tokenizer()));
}

Status run_parse(const std::string& model, const Globals& globals) {
  ATELIER_TRY(const auto dialect, load_dialect(model, globals));
  ATELIER_TRY(const std::string input, read_stdin(kMaxDialectInput));
  ATELIER_TRY(const std::vector<TokenId> ids, parse_token_ids("standard input", input));
  const std::unique_ptr<chat::Parser> parser = dialect->new_parser();
  std::vector<chat::Delta> deltas;
  for (const TokenId id : ids) parser->push(id, deltas);
  const chat::Message message = parser->finish(deltas);
  return print(
      chat::turn_json(message, *parser).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
      "\n");
}

}  // namespace

void register_dialect_commands(Registration r) {
  auto model = std::make_shared<std::string>();
  auto text = std::make_shared<bool>(false);
  CLI::App* render = r.app.add_subcommand("render", "A Chat Completions body on stdin to the prompt's ids");
  render->add_option("-m,--model", *model, "A name from the store or a path");
  render->add_flag("--text", *text, "Print the prompt's text instead");
  render->callback([=] { r.selected = [=] { return run_render(*model, *text, r.globals); }; });
  CLI::App* parse = r.app.add_subcommand("parse", "Sampled ids on stdin to the assistant's messages as JSON");
  parse->add_option("-m,--model", *model, "A name from the store or a path");
  parse->callback([=] { r.selected = [=] { return run_parse(*model, r.globals); }; });
}

}  // namespace atelier::cli
