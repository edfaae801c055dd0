// Grammars for what a model may write where tools are called.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/constraint/grammar.h"

namespace atelier::agent {

// A text that obeys a JSON Schema. kUnsupported and kInvalidArgument name what cannot be enforced.
Result<std::shared_ptr<const constraint::Grammar>> json_grammar(std::string_view schema);

struct CallableTool {
  std::string name;
  std::string schema;  // of the arguments
};
// {"name": …, "<arguments_key>": {…}} for one of the tools.
Result<std::shared_ptr<const constraint::Grammar>> call_grammar(std::span<const CallableTool> tools,
                                                                std::string_view arguments_key);

// Text of at least one character in which `tag` does not appear, except as its end: `tag` complete, with
// which the text is over. `calls`, `text`: which of the two endings there are.
struct TaggedText {
  bool text = true;
  bool calls = true;
};
Result<std::shared_ptr<const constraint::Grammar>> tagged_text_grammar(std::string_view tag,
                                                                       TaggedText endings);

// Text of at least one character that does not begin as JSON or with white space.
Result<std::shared_ptr<const constraint::Grammar>> untagged_text_grammar();

}  // namespace atelier::agent
