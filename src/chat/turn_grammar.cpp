#include "chat/turn_grammar.h"

#include "chat/json_text.h"
#include "engine/constraint/free_text.h"
#include "engine/constraint/json_schema.h"

namespace atelier::chat {
namespace {

using constraint::ExprId;
using constraint::Grammar;
using constraint::GrammarBuilder;
using constraint::JsonLanguage;

// The tag without the white space around it: how text is told from a call.
std::string_view bare(std::string_view tag) {
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t first = tag.find_first_not_of(kBlank);
  if (first == tag.npos) return {};
  return tag.substr(first, tag.find_last_not_of(kBlank) - first + 1);
}

class TurnGrammar {
 public:
  TurnGrammar(const Conversation& conversation, const TurnSyntax& syntax,
              const TurnConstraintOptions& options)
      : conversation_(conversation),
        syntax_(syntax),
        options_(options),
        json_(builder_, constraint::JsonSpace::kFlexible) {}

  Result<std::shared_ptr<const Grammar>> compile(const TurnParts& parts) {
    const constraint::RuleId root = builder_.declare("turn");
    ExprId turn = builder_.never();
    if (parts.calls) {
      ATELIER_TRY(turn, calls());
    }
    if (parts.text) {
      ATELIER_TRY(turn, with_text(turn));
    }
    builder_.define(root, turn);
    return builder_.build(root);
  }

 private:
  Result<ExprId> calls() {
    std::vector<ExprId> tools;
    const ToolChoice& choice = conversation_.tool_choice;
    for (const FunctionTool& tool : conversation_.tools) {
      if (choice.kind == ToolChoice::Kind::kFunction && tool.name != choice.name) continue;
      ATELIER_TRY(const ExprId arguments, arguments_expr(tool, options_, json_));
      tools.push_back(builder_.sequence(
          {builder_.bytes(fmt::format("{{\"name\": {}, \"{}\": ", constraint::json_string_text(tool.name),
                                      syntax_.arguments_key)),
           arguments, builder_.bytes("}")}));
    }
    const ExprId call = builder_.choice(tools);
    if (!conversation_.parallel_tool_calls) return tagged(call);
    return syntax_.tags_enclose_all ? tagged(several(call)) : several(tagged(call));
  }
  ExprId tagged(ExprId inner) {
    return builder_.sequence({builder_.bytes(syntax_.call_open), inner, builder_.bytes(syntax_.call_close)});
  }
  ExprId several(ExprId one) {
    const ExprId more = builder_.sequence({builder_.bytes(syntax_.between_calls), one});
    return builder_.sequence({one, builder_.repeat(more, 0, constraint::kUnbounded)});
  }

  // Text goes before calls where a tag tells them apart; where none does, a turn is one or the other, by how
  // it begins.
  Result<ExprId> with_text(ExprId calls) {
    const constraint::CodePointSet all = constraint::CodePointSet::all();
    if (!bare(syntax_.call_open).empty()) {
      ATELIER_TRY(const ExprId text, constraint::text_without(bare(syntax_.call_open), builder_));
      return builder_.sequence({text, builder_.optional(calls)});
    }
    constraint::CodePointSet call_begins;
    for (const char32_t c : U" \t\r\n{[") call_begins.add(c);
    const ExprId text = builder_.sequence({builder_.chars(all.minus(call_begins)),
                                           builder_.repeat(builder_.chars(all), 0, constraint::kUnbounded)});
    return builder_.choice({text, calls});
  }

  const Conversation& conversation_;
  const TurnSyntax& syntax_;
  const TurnConstraintOptions& options_;
  GrammarBuilder builder_;
  JsonLanguage json_;
};

}  // namespace

Result<ExprId> arguments_expr(const FunctionTool& tool, const TurnConstraintOptions& options,
                              JsonLanguage& json) {
  constexpr std::string_view kNone = R"({"type":"object","additionalProperties":false})";
  const auto language = options.arguments ? options.arguments(tool) : std::nullopt;
  auto arguments = language ? language->build(json)
                            : constraint::json_schema_expr(tool.parameters.empty() ? kNone : tool.parameters,
                                                           json, {.object_only = true});
  if (!arguments) return fail_in(fmt::format("tools: {}", tool.name), std::move(arguments).error());
  return arguments;
}

std::string arguments_key(const FunctionTool& tool, const TurnConstraintOptions& options) {
  const auto language = options.arguments ? options.arguments(tool) : std::nullopt;
  return language ? fmt::format("{} language {}", tool.name, language->key)
                  : fmt::format("{} schema {}", tool.name, tool.parameters);
}

Result<std::shared_ptr<const Grammar>> compile_arguments(const FunctionTool& tool,
                                                         const TurnConstraintOptions& options) {
  GrammarBuilder builder;
  JsonLanguage json(builder, constraint::JsonSpace::kFlexible);
  const constraint::RuleId root = builder.declare("arguments");
  ATELIER_TRY(const ExprId arguments, arguments_expr(tool, options, json));
  builder.define(root, arguments);
  auto grammar = builder.build(root);
  if (!grammar) return fail_in(fmt::format("tools: {}", tool.name), std::move(grammar).error());
  return grammar;
}

Result<std::shared_ptr<const Grammar>> compile_turn(const Conversation& conversation,
                                                    const TurnSyntax& syntax, const TurnParts& parts,
                                                    const TurnConstraintOptions& options) {
  return TurnGrammar(conversation, syntax, options).compile(parts);
}

Result<std::shared_ptr<const Grammar>> compile_reasoning(const TurnSyntax& syntax, bool opened) {
  GrammarBuilder builder;
  const constraint::RuleId root = builder.declare("reasoning");
  ATELIER_TRY(const ExprId text, constraint::text_without(syntax.reasoning_close, builder));
  const ExprId blank = builder.repeat(builder.chars({{' ', ' '}, {'\n', '\n'}}), 0, 4);
  builder.define(root, builder.sequence({builder.bytes(opened ? "" : syntax.reasoning_open), text,
                                         builder.bytes(syntax.reasoning_close), blank}));
  return builder.build(root);
}

}  // namespace atelier::chat
