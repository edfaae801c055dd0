// Reads a turn of a model of unknown family: reasoning and tool calls between tags.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "chat/text_parser.h"

namespace atelier::chat {

// What a turn may hold, as far as the template and the vocabulary tell.
struct TagSyntax {
  // Where calls stand, and how they end there (empty: with the turn).
  struct CallTag {
    std::string_view open;
    std::string_view close;
  };
  std::vector<CallTag> calls;
  bool bare_calls = false;      // a turn that is JSON from its first character on may be calls
  bool reasons = false;         // <think>…</think>, [THINK]…[/THINK]
  bool prompt_reasons = false;  // the prompt ends inside of the reasoning
};

// Tags that the template spells, or, for reasoning, the vocabulary; call tags of all kinds where it spells
// none.
TagSyntax tag_syntax(std::string_view chat_template, const Tokenizer& tokenizer);

// How such turns are to be written: in the first of the tags, as JSON.
TurnSyntax turn_syntax_of(const TagSyntax& syntax, const Tokenizer& tokenizer);

std::unique_ptr<Parser> make_tag_parser(const Tokenizer& tokenizer, std::vector<TokenId> stops,
                                        TagSyntax syntax, const ParserOptions& options);

// The calls between two tags, in any of these forms; empty if `body` is something else:
//   {"name": …, "arguments": …}, an array of them, or several in a row
//   NAME[ARGS]{…}, NAME[CALL_ID]ID[ARGS]{…}        Mistral from 2025 on
//   …NAME<｜tool▁sep｜>{…}, and with ```json fences  DeepSeek
std::vector<CalledFunction> read_tagged_calls(std::string_view body);

}  // namespace atelier::chat
