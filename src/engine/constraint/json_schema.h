// JSON Schema compiled to a grammar over JSON text: whatever is generated under it is valid.
//
// Values are written in one form: properties in the order of the schema, each at most once (those not
// required may be left out), numbers without needless zeros, strings with any legal escape where they are
// free. What a schema asks for and a grammar cannot guarantee is refused, by keyword and JSON pointer;
// nothing is ignored but what the specification calls annotations. docs/constraints.md has the list.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "engine/constraint/grammar.h"
#include "engine/constraint/json_language.h"

namespace atelier::constraint {

struct JsonSchemaOptions {
  JsonSpace space = JsonSpace::kFlexible;  // of a grammar of its own
  // Properties that an object does not list, where the schema neither allows nor forbids them: the
  // specification allows them, but who lists properties rarely wants others. Objects that list none are open
  // either way.
  bool unlisted_properties = false;
  // The value must be an object, as the arguments of a call are, whatever else the schema admits.
  bool object_only = false;
};

// Errors: kInvalidArgument (no schema, or one that nothing can meet), kUnsupported (names the keyword),
// kLimit (256 KiB, 64 levels, alternatives, states).
Result<std::shared_ptr<const Grammar>> compile_json_schema(std::string_view schema,
                                                           const JsonSchemaOptions& options = {});

// The same as an expression, for a grammar that has other parts too.
Result<ExprId> json_schema_expr(std::string_view schema, JsonLanguage& json,
                                const JsonSchemaOptions& options = {});

// Any JSON value, or any object.
Result<std::shared_ptr<const Grammar>> compile_json(const JsonSchemaOptions& options = {});

}  // namespace atelier::constraint
