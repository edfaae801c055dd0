// GBNF, the grammar language of llama.cpp: rules of literals, character classes, groups and repetitions.
//
//   root  ::= "[" (item ("," item)*)? "]"   # the whole text
//   item  ::= [0-9]{1,3} | "\"" [^"\n]* "\""
//
// All of it is supported but references to tokens (<think>, <[1000]>), which mean nothing over bytes. Rules
// may begin with themselves (list ::= list "," item | item); by way of other rules they may not.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "engine/constraint/grammar.h"

namespace atelier::constraint {

// Errors: kInvalidArgument (syntax; says the line), kUnsupported (token references, indirect left recursion;
// named), kLimit (256 KiB, 64 levels of groups, size of what it is compiled to).
Result<std::shared_ptr<const Grammar>> compile_gbnf(std::string_view text);

}  // namespace atelier::constraint
