// From resolved schemas to grammar rules.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/constraint/json_schema.h"
#include "engine/constraint/schema_expander.h"

namespace atelier::constraint {

class SchemaCompiler {
 public:
  SchemaCompiler(SchemaDocument& document, const JsonSchemaOptions& options, JsonLanguage& json)
      : options_(options), expander_(document), builder_(json.builder()), json_(json) {}
  // The expression of a valid value; all rules it refers to are defined.
  Result<ExprId> compile();

 private:
  // What may stand for a name that no group lists.
  struct OpenNames {
    CharDfa names;
    SchemaGoal goal;
  };
  // Where one stands in an object that lists properties: which comes next, and how many were written, as far
  // as that is counted.
  struct ObjectStates;

  // The rule of a goal, made once; its body follows when its turn comes.
  ExprId value(const SchemaGoal& goal);
  Result<ExprId> body(const SchemaGoal& goal);
  Result<ExprId> shape_expr(const Shape& shape);

  Result<ExprId> array_expr(const ArraySpec& array);
  Result<ExprId> free_array(const ArraySpec& array, uint32_t min, uint32_t max);
  ExprId items_expr(const ArraySpec& array, size_t first, uint32_t min, uint32_t max);
  Result<ExprId> unique_array(const ArraySpec& array, uint32_t min, uint32_t max);
  struct ContainStates;
  Result<ExprId> containing_array(const ArraySpec& array, uint32_t min, uint32_t max);
  ExprId list(std::span<const ExprId> items);
  Result<std::optional<std::vector<std::string>>> finite_values(const SchemaGoal& goal, size_t at_most);

  Result<ExprId> object_expr(const ObjectSpec& object);
  Result<std::vector<std::string>> listed_names(const ObjectSpec& object);
  bool is_open(const ObjectSpec& object, size_t n_listed) const;
  Result<std::optional<CharDfa>> allowed_names(const ObjectSpec& object);
  Result<std::vector<OpenNames>> open_names(const ObjectSpec& object, std::span<const std::string> listed,
                                            const std::optional<CharDfa>& allowed);
  Result<ExprId> open_pair(const ObjectSpec& object, std::span<const std::string> listed,
                           const std::optional<CharDfa>& allowed);
  Result<ExprId> listing_object(const ObjectSpec& object, std::span<const std::string> listed, ExprId open);
  ExprId pair(const ObjectSpec& object, const std::string& name);

  JsonSchemaOptions options_;
  SchemaExpander expander_;
  GrammarBuilder& builder_;
  JsonLanguage& json_;
  std::map<SchemaGoal, RuleId> rules_;  // by the goal's atoms in a fixed order
  struct Pending {
    RuleId rule;
    SchemaGoal goal;
  };
  std::vector<Pending> pending_;
};

}  // namespace atelier::constraint
