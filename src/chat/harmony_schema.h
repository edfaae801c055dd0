// JSON Schema → the TypeScript-like type harmony shows to the model.
#pragma once

#include <string>

#include "chat/json_text.h"

namespace atelier::chat::harmony {

// `schema`: nested at most kMaxJsonDepth deep. Line by line what openai-harmony 0.0.8 writes, its oddities
// included (a description of several lines is commented on its first only): the model knows no other.
std::string type_of_schema(const Json& schema, const std::string& indent = "");

}  // namespace atelier::chat::harmony
