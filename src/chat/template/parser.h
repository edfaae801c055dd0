// From tokens to the tree of ast.h.
#pragma once

#include "base/result.h"
#include "chat/template/ast.h"

namespace atelier::chat::jinja {

// Deeper nesting of blocks, brackets and operators is refused, so that walking the tree is bounded.
inline constexpr int kMaxBlockDepth = 64;
inline constexpr int kMaxExpressionHeight = 100;

// Errors carry line and column: kInvalidArgument for what is no template, kLimit for nesting, kUnsupported
// for tags that read other templates (include, import, extends, block).
Result<Block> parse(std::string_view source);

}  // namespace atelier::chat::jinja
