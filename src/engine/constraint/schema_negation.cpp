// What violates a schema: for each of its keywords, the values that violate that one. Needed for `not`, for
// the else of conditions, and for branches of oneOf that overlap.
#include <algorithm>

#include "engine/constraint/schema_expander.h"

namespace atelier::constraint {

const std::map<std::string_view, SchemaExpander::Handler>& SchemaExpander::negated_handlers() {
  using S = SchemaExpander;
  static const std::map<std::string_view, Handler> table = {
      {"type", &S::not_types},
      {"enum", &S::not_listed},
      {"const", &S::not_listed},
      {"minimum", &S::not_number_bound},
      {"maximum", &S::not_number_bound},
      {"exclusiveMinimum", &S::not_number_bound},
      {"exclusiveMaximum", &S::not_number_bound},
      {"multipleOf", &S::not_multiple_of},
      {"minLength", &S::not_length},
      {"maxLength", &S::not_length},
      {"pattern", &S::not_pattern},
      {"minItems", &S::not_item_count},
      {"maxItems", &S::not_item_count},
      {"items", &S::not_items},
      {"prefixItems", &S::not_items},
      {"contains", &S::not_contains},
      {"properties", &S::not_properties},
      {"required", &S::not_required},
      {"additionalProperties", &S::not_additional},
      {"minProperties", &S::not_property_count},
      {"maxProperties", &S::not_property_count},
      {"dependentRequired", &S::not_dependent_required},
      {"$ref", &S::not_reference},
      {"allOf", &S::not_all_of},
      {"anyOf", &S::not_any_of},
      {"not", &S::not_negation},
      {"if", &S::not_conditional},
      {"then", &S::not_conditional},
      {"else", &S::not_conditional},
  };
  return table;
}

Result<Shapes> SchemaExpander::expand_negated(const JsonValue& schema) {
  if (schema.is_bool()) return schema.kind == JsonValue::Kind::kFalse ? Shapes{Shape{}} : Shapes{};
  // The schema itself has to be one, and to be understood, before it can be turned around.
  ATELIER_CHECK_OK(expand(SchemaAtom{&schema}));
  const JsonValue* ref = schema.find("$ref");
  if (ref != nullptr && document_.ref_stands_alone()) return not_reference({schema, "$ref", *ref});
  Shapes out;
  for (const auto& [name, value] : schema.members) {
    if (is_annotation(name)) continue;
    const Keyword k = {schema, name, value};
    const auto handler = negated_handlers().find(name);
    if (handler == negated_handlers().end()) return unsupported(k, "cannot be negated");
    base_ = nullptr;
    ATELIER_TRY(const Shapes one, (this->*handler->second)(k));
    out.insert(out.end(), one.begin(), one.end());
  }
  for (Shape& shape : out) {
    for (SchemaGroup& group : shape.object.groups) group.evaluates = false;
    for (SchemaGroup& group : shape.array.groups) group.evaluates = false;
  }
  return out;
}

Result<Shapes> SchemaExpander::not_types(const Keyword& k) {
  ATELIER_TRY(const Shapes positive, types(k));
  Shape rest{.types = static_cast<uint8_t>(kTypeAll & ~positive[0].types)};
  if (positive[0].number.integer) {
    rest.types |= kTypeNumber;
    rest.number.fractional = true;
  }
  return rest.types == 0 ? Shapes{} : Shapes{rest};
}

Result<Shapes> SchemaExpander::not_listed(const Keyword& k) {
  Shape shape;
  const std::span<const JsonValue> values =
      k.name == "const" ? std::span(&k.value, 1) : std::span(k.value.items);
  for (const JsonValue& value : values) {
    switch (value.kind) {
      case JsonValue::Kind::kNull:
        shape.types &= static_cast<uint8_t>(~kTypeNull);
        break;
      case JsonValue::Kind::kTrue:
        shape.types &= static_cast<uint8_t>(~kTypeTrue);
        break;
      case JsonValue::Kind::kFalse:
        shape.types &= static_cast<uint8_t>(~kTypeFalse);
        break;
      case JsonValue::Kind::kNumber:
        shape.number.excluded.push_back(Decimal::parse(value.text));
        break;
      case JsonValue::Kind::kString:
        shape.string.excluded.push_back(value.text);
        break;
      case JsonValue::Kind::kArray:
      case JsonValue::Kind::kObject:
        return unsupported(k, "arrays and objects cannot be negated");
    }
  }
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::not_number_bound(const Keyword& k) {
  ATELIER_TRY(const Shapes positive, number_bound(k));
  const NumberSpec& bound = positive[0].number;
  Shape shape{.types = kTypeNumber};
  if (bound.min) {
    shape.number.at_most(*bound.min, !bound.min_open);
  } else if (bound.max) {
    shape.number.at_least(*bound.max, !bound.max_open);
  } else {
    return Shapes{};
  }
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::not_multiple_of(const Keyword& k) {
  ATELIER_TRY(const Shapes positive, multiple_of(k));
  Shape shape{.types = kTypeNumber};
  shape.number.anti_multiples = positive[0].number.multiples;
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::not_length(const Keyword& k) {
  ATELIER_TRY(const uint32_t size, size_value(k));
  Shape shape{.types = kTypeString};
  if (k.name == "minLength") {
    if (size == 0) return Shapes{};
    shape.string.max_length = size - 1;
  } else {
    if (size == kUnbounded) return Shapes{};
    shape.string.min_length = size + 1;
  }
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::not_pattern(const Keyword& k) {
  ATELIER_TRY(const Shapes positive, string_pattern(k));
  Shape shape{.types = kTypeString};
  shape.string.anti_patterns = positive[0].string.patterns;
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::not_item_count(const Keyword& k) {
  ATELIER_TRY(const uint32_t size, size_value(k));
  Shape shape{.types = kTypeArray};
  if (k.name == "minItems") {
    if (size == 0) return Shapes{};
    shape.array.max_items = size - 1;
  } else {
    if (size == kUnbounded) return Shapes{};
    shape.array.min_items = size + 1;
  }
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::not_items(const Keyword& k) {
  if (k.value.kind == JsonValue::Kind::kTrue) return Shapes{};
  if (k.value.is_array()) {
    Shapes out;
    for (size_t i = 0; i < k.value.items.size(); ++i) {
      Shape shape{.types = kTypeArray};
      shape.array.min_items = static_cast<uint32_t>(i + 1);
      shape.array.extra.push_back({i, {&k.value.items[i], true}});
      out.push_back(std::move(shape));
    }
    return out;
  }
  if (k.schema.find("prefixItems") != nullptr) return unsupported(k, "cannot be negated beside prefixItems");
  Shape shape{.types = kTypeArray};
  shape.array.contains.push_back({{&k.value, true}, &k.schema});
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::not_contains(const Keyword& k) {
  ATELIER_TRY(const auto counts, contain_counts(k.schema));
  const auto [min, max] = counts;
  if (min > max) return Shapes{Shape{.types = kTypeArray}};
  Shapes out;
  if (min == 1) {  // none at all
    out.push_back({.types = kTypeArray});
    out.back().array.every.push_back({&k.value, true});
  } else if (min > 1) {
    out.push_back({.types = kTypeArray});
    out.back().array.contains.push_back({{&k.value}, &k.schema, 0, min - 1});
  }
  if (max != kUnbounded) {
    out.push_back({.types = kTypeArray});
    out.back().array.contains.push_back({{&k.value}, &k.schema, max + 1, kUnbounded});
  }
  return out;
}

Result<Shapes> SchemaExpander::not_properties(const Keyword& k) {
  Shapes out;
  for (const auto& [name, schema] : k.value.members) {
    if (schema.kind == JsonValue::Kind::kTrue || (schema.is_object() && schema.members.empty())) continue;
    Shape shape{.types = kTypeObject};
    shape.object.required.push_back(name);
    shape.object.extra.push_back({name, {&schema, true}});
    out.push_back(std::move(shape));
  }
  return out;
}

Result<Shapes> SchemaExpander::not_required(const Keyword& k) {
  Shapes out;
  for (const JsonValue& name : k.value.items) {
    Shape shape{.types = kTypeObject};
    shape.object.forbidden.push_back(name.text);
    out.push_back(std::move(shape));
  }
  return out;
}

Result<Shapes> SchemaExpander::not_additional(const Keyword& k) {
  if (k.value.kind == JsonValue::Kind::kTrue || (k.value.is_object() && k.value.members.empty()))
    return Shapes{};
  return unsupported(k, "cannot be negated");
}

Result<Shapes> SchemaExpander::not_property_count(const Keyword& k) {
  ATELIER_TRY(const uint32_t size, size_value(k));
  Shape shape{.types = kTypeObject};
  if (k.name == "minProperties") {
    if (size == 0) return Shapes{};
    shape.object.max_properties = size - 1;
  } else {
    if (size == kUnbounded) return Shapes{};
    shape.object.min_properties = size + 1;
  }
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::not_dependent_required(const Keyword& k) {
  Shapes out;
  for (const auto& [name, needed] : k.value.members) {
    for (const JsonValue& other : needed.items) {
      Shape shape{.types = kTypeObject};
      shape.object.required.push_back(name);
      shape.object.forbidden.push_back(other.text);
      out.push_back(std::move(shape));
    }
  }
  return out;
}

Result<Shapes> SchemaExpander::not_reference(const Keyword& k) {
  ATELIER_CHECK_OK(expect_kind(k, JsonValue::Kind::kString));
  ATELIER_TRY(const JsonValue* target, document_.resolve(k.schema, k.value.text));
  return expand(SchemaAtom{target, true});
}

Result<Shapes> SchemaExpander::not_all_of(const Keyword& k) {
  Shapes out;
  for (const JsonValue& part : k.value.items) {
    ATELIER_TRY(const Shapes one, expand(SchemaAtom{&part, true}));
    out.insert(out.end(), one.begin(), one.end());
  }
  return out;
}

Result<Shapes> SchemaExpander::not_any_of(const Keyword& k) {
  SchemaGoal none;
  for (const JsonValue& part : k.value.items) none.push_back({&part, true});
  return expand(none);
}

Result<Shapes> SchemaExpander::not_negation(const Keyword& k) { return expand(SchemaAtom{&k.value}); }

// Asked once for each of if, then and else: only the first answers.
Result<Shapes> SchemaExpander::not_conditional(const Keyword& k) {
  if (k.name != "if") return Shapes{};
  const JsonValue* then = k.schema.find("then");
  const JsonValue* otherwise = k.schema.find("else");
  Shapes out;
  if (then != nullptr) {
    ATELIER_TRY(out, expand(SchemaGoal{{&k.value}, {then, true}}));
  }
  if (otherwise != nullptr) {
    ATELIER_TRY(const Shapes more, expand(SchemaGoal{{&k.value, true}, {otherwise, true}}));
    out.insert(out.end(), more.begin(), more.end());
  }
  return out;
}

}  // namespace atelier::constraint
