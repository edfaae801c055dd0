#include "engine/constraint/schema_compiler.h"

#include <algorithm>

#include "engine/constraint/number_language.h"
#include "engine/constraint/string_language.h"

namespace atelier::constraint {
namespace {

constexpr size_t kMaxRules = 20'000;

}  // namespace

Result<ExprId> json_schema_expr(std::string_view schema, JsonLanguage& json,
                                const JsonSchemaOptions& options) {
  ATELIER_TRY(const auto document, SchemaDocument::parse(schema));
  return SchemaCompiler(*document, options, json).compile();
}

Result<std::shared_ptr<const Grammar>> compile_json_schema(std::string_view schema,
                                                           const JsonSchemaOptions& options) {
  GrammarBuilder builder;
  JsonLanguage json(builder, options.space);
  const RuleId root = builder.declare("root");
  ATELIER_TRY(const ExprId value, json_schema_expr(schema, json, options));
  builder.define(root, value);
  auto grammar = builder.build(root);
  if (!grammar && grammar.error().code == ErrorCode::kInvalidArgument)
    return fail(ErrorCode::kInvalidArgument,
                "schema: expected one that some value meets, found one that none can");
  return grammar;
}

Result<std::shared_ptr<const Grammar>> compile_json(const JsonSchemaOptions& options) {
  return compile_json_schema("{}", options);
}

Result<ExprId> SchemaCompiler::compile() {
  SchemaDocument& document = expander_.document();
  SchemaGoal goal = {{&document.root()}};
  if (options_.object_only) {
    JsonValue object = JsonValue::object();
    object.add("type", JsonValue::string("object"));
    goal.push_back({&document.keep(std::move(object))});
  }
  const ExprId root = value(goal);
  for (size_t next = 0; next < pending_.size(); ++next) {
    const Pending now = pending_[next];
    auto expr = body(now.goal);
    if (!expr) {
      // What the languages of single types refuse does not say yet where.
      if (expr.error().message.starts_with("schema: ")) return tl::unexpected<Error>(expr.error());
      return fail(expr.error().code, "schema: {}: {}", document.where(*now.goal[0].schema),
                  expr.error().message);
    }
    builder_.define(now.rule, *expr);
    if (pending_.size() > kMaxRules || builder_.full())
      return fail(ErrorCode::kLimit, "schema: expected one that takes at most {} rules", kMaxRules);
  }
  return root;
}

ExprId SchemaCompiler::value(const SchemaGoal& goal) {
  SchemaGoal key = goal;
  // `true` says nothing.
  std::erase_if(key, [](const SchemaAtom& atom) {
    return !atom.negated && (atom.schema->kind == JsonValue::Kind::kTrue ||
                             (atom.schema->is_object() && atom.schema->members.empty()));
  });
  if (key.empty()) return json_.value();
  const SchemaGoal ordered = key;
  std::ranges::sort(key);
  const auto [at, added] = rules_.try_emplace(key, 0);
  if (added) {
    at->second = builder_.declare("value");
    pending_.push_back({at->second, ordered});
  }
  return builder_.rule(at->second);
}

Result<ExprId> SchemaCompiler::body(const SchemaGoal& goal) {
  ATELIER_TRY(const Shapes shapes, expander_.expand(goal));
  std::vector<ExprId> ways;
  for (const Shape& shape : shapes) {
    ATELIER_TRY(const ExprId way, shape_expr(shape));
    ways.push_back(way);
  }
  return builder_.choice(ways);
}

Result<ExprId> SchemaCompiler::shape_expr(const Shape& shape) {
  std::vector<ExprId> ways;
  if ((shape.types & kTypeString) != 0) {
    ATELIER_TRY(const ExprId strings, string_expr(shape.string, json_));
    ways.push_back(strings);
  }
  if ((shape.types & kTypeNumber) != 0) {
    ATELIER_TRY(const ExprId numbers, number_expr(shape.number, builder_));
    ways.push_back(numbers);
  }
  if ((shape.types & kTypeTrue) != 0) ways.push_back(builder_.bytes("true"));
  if ((shape.types & kTypeFalse) != 0) ways.push_back(builder_.bytes("false"));
  if ((shape.types & kTypeNull) != 0) ways.push_back(builder_.bytes("null"));
  if ((shape.types & kTypeObject) != 0) {
    ATELIER_TRY(const ExprId objects, object_expr(shape.object));
    ways.push_back(objects);
  }
  if ((shape.types & kTypeArray) != 0) {
    ATELIER_TRY(const ExprId arrays, array_expr(shape.array));
    ways.push_back(arrays);
  }
  return builder_.choice(ways);
}

}  // namespace atelier::constraint
