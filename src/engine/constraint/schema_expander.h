// Resolves what combines schemas ($ref, allOf, anyOf, oneOf, not, if, dependencies, enumerations) into
// alternatives of plain conditions.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/constraint/schema_document.h"
#include "engine/constraint/schema_shape.h"

namespace atelier::constraint {

using Shapes = std::vector<Shape>;  // alternatives; none: nothing is allowed

class SchemaExpander {
 public:
  explicit SchemaExpander(SchemaDocument& document) : document_(document) {}

  // A value meets all of `goal` exactly if it meets one of the alternatives. Errors name the keyword and
  // where it stands: kUnsupported for what cannot be guaranteed, kInvalidArgument for what is no schema,
  // kLimit.
  Result<Shapes> expand(const SchemaGoal& goal);

  // No value can meet it, as far as that is seen without following recursion. Never wrong when it says so.
  bool is_surely_empty(const SchemaGoal& goal);
  bool is_surely_empty(const Shape& shape);

  // What holds for the property of that name, or for the item at that place.
  SchemaGoal property_goal(const ObjectSpec& object, const std::string& name);
  SchemaGoal item_goal(const ArraySpec& array, size_t index);
  // How many items are spoken of one by one.
  static size_t prefix_length(const ArraySpec& array);
  // Patterns of patternProperties, compiled once.
  Result<std::shared_ptr<const CharDfa>> pattern_dfa(std::string_view pattern);

  SchemaDocument& document() { return document_; }

 private:
  struct Keyword {
    const JsonValue& schema;
    std::string_view name;
    const JsonValue& value;
  };
  using Handler = Result<Shapes> (SchemaExpander::*)(const Keyword&);
  static const std::map<std::string_view, Handler>& handlers();
  static const std::map<std::string_view, Handler>& negated_handlers();

  Result<Shapes> expand(const SchemaAtom& atom);
  Result<Shapes> expand_schema(const JsonValue& schema);
  Result<Shapes> expand_negated(const JsonValue& schema);
  Result<Shapes> product(const Shapes& a, const Shapes& b, const JsonValue& schema);
  Status check_keyword(const JsonValue& schema, std::string_view keyword) const;

  // Keywords by what they constrain.
  Result<Shapes> types(const Keyword& k);
  Result<Shapes> enumeration(const Keyword& k);
  Result<Shapes> constant(const Keyword& k);
  Result<Shapes> number_bound(const Keyword& k);
  Result<Shapes> multiple_of(const Keyword& k);
  Result<Shapes> length(const Keyword& k);
  Result<Shapes> string_pattern(const Keyword& k);
  Result<Shapes> format(const Keyword& k);
  Result<Shapes> item_count(const Keyword& k);
  Result<Shapes> unique_items(const Keyword& k);
  Result<Shapes> items(const Keyword& k);
  Result<Shapes> contains(const Keyword& k);
  Result<std::pair<uint32_t, uint32_t>> contain_counts(const JsonValue& schema) const;
  Result<Shapes> properties(const Keyword& k);
  Result<Shapes> required(const Keyword& k);
  Result<Shapes> property_count(const Keyword& k);
  Result<Shapes> property_names(const Keyword& k);
  Result<Shapes> dependent_required(const Keyword& k);
  Result<Shapes> dependent_schemas(const Keyword& k);
  Result<Shapes> dependencies(const Keyword& k);
  Result<Shapes> reference(const Keyword& k);
  Result<Shapes> all_of(const Keyword& k);
  Result<Shapes> any_of(const Keyword& k);
  Result<Shapes> one_of(const Keyword& k);
  Result<Shapes> negation(const Keyword& k);
  Result<Shapes> conditional(const Keyword& k);
  Result<Shapes> beside(const Keyword& k);  // read along with another keyword

  // What violates them.
  Result<Shapes> not_types(const Keyword& k);
  Result<Shapes> not_listed(const Keyword& k);
  Result<Shapes> not_number_bound(const Keyword& k);
  Result<Shapes> not_multiple_of(const Keyword& k);
  Result<Shapes> not_length(const Keyword& k);
  Result<Shapes> not_pattern(const Keyword& k);
  Result<Shapes> not_item_count(const Keyword& k);
  Result<Shapes> not_items(const Keyword& k);
  Result<Shapes> not_contains(const Keyword& k);
  Result<Shapes> not_properties(const Keyword& k);
  Result<Shapes> not_required(const Keyword& k);
  Result<Shapes> not_property_count(const Keyword& k);
  Result<Shapes> not_additional(const Keyword& k);
  Result<Shapes> not_dependent_required(const Keyword& k);
  Result<Shapes> not_reference(const Keyword& k);
  Result<Shapes> not_all_of(const Keyword& k);
  Result<Shapes> not_any_of(const Keyword& k);
  Result<Shapes> not_negation(const Keyword& k);
  Result<Shapes> not_conditional(const Keyword& k);

  void add_unevaluated(const JsonValue& schema, Shapes& shapes) const;
  Result<Shapes> shapes_of_values(const JsonValue& schema, std::span<const JsonValue* const> values);
  const JsonValue& schema_of_value(const JsonValue& value);
  Result<bool> excludes(const Shapes& a, const Shapes& b);

  // Values of keywords, checked.
  Result<uint32_t> size_value(const Keyword& k) const;
  Result<Decimal> number_value(const Keyword& k) const;
  Status expect_kind(const Keyword& k, JsonValue::Kind kind) const;
  Status expect_schema(const Keyword& k, const JsonValue& value) const;
  Status expect_schemas(const Keyword& k) const;
  Status expect_strings(const Keyword& k, const JsonValue& list) const;
  tl::unexpected<Error> wrong(const Keyword& k, std::string_view expected) const;
  tl::unexpected<Error> unsupported(const Keyword& k, std::string_view why) const;

  SchemaDocument& document_;
  Result<std::shared_ptr<const Regex>> regex(std::string_view pattern);

  const Shapes* base_ = nullptr;  // what the rest of the schema says that is being expanded
  std::vector<SchemaAtom> open_;  // being expanded, to see circles
  std::map<SchemaAtom, Shapes> memo_;
  std::map<std::string, std::shared_ptr<const Regex>, std::less<>> patterns_;
  std::map<std::string, std::shared_ptr<const CharDfa>, std::less<>> pattern_dfas_;
  std::map<const JsonValue*, const JsonValue*> value_schemas_;
  size_t work_ = 0;  // shapes made
  int emptiness_depth_ = 0;
};

// The keywords that say nothing about which values are valid.
bool is_annotation(std::string_view keyword);

}  // namespace atelier::constraint
