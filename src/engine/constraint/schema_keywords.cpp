// The keywords that constrain one type each.
#include <algorithm>

#include "engine/constraint/formats.h"
#include "engine/constraint/schema_expander.h"
#include "engine/constraint/source_text.h"

namespace atelier::constraint {

const std::map<std::string_view, SchemaExpander::Handler>& SchemaExpander::handlers() {
  using S = SchemaExpander;
  static const std::map<std::string_view, Handler> table = {
      {"type", &S::types},
      {"nullable", &S::beside},
      {"enum", &S::enumeration},
      {"const", &S::constant},
      {"minimum", &S::number_bound},
      {"maximum", &S::number_bound},
      {"exclusiveMinimum", &S::number_bound},
      {"exclusiveMaximum", &S::number_bound},
      {"multipleOf", &S::multiple_of},
      {"minLength", &S::length},
      {"maxLength", &S::length},
      {"pattern", &S::string_pattern},
      {"format", &S::format},
      {"minItems", &S::item_count},
      {"maxItems", &S::item_count},
      {"uniqueItems", &S::unique_items},
      {"items", &S::items},
      {"prefixItems", &S::items},
      {"additionalItems", &S::items},
      {"unevaluatedItems", &S::beside},
      {"contains", &S::contains},
      {"minContains", &S::beside},
      {"maxContains", &S::beside},
      {"properties", &S::properties},
      {"patternProperties", &S::properties},
      {"additionalProperties", &S::properties},
      {"unevaluatedProperties", &S::beside},
      {"required", &S::required},
      {"minProperties", &S::property_count},
      {"maxProperties", &S::property_count},
      {"propertyNames", &S::property_names},
      {"dependentRequired", &S::dependent_required},
      {"dependentSchemas", &S::dependent_schemas},
      {"dependencies", &S::dependencies},
      {"$ref", &S::reference},
      {"$dynamicRef", &S::reference},
      {"allOf", &S::all_of},
      {"anyOf", &S::any_of},
      {"oneOf", &S::one_of},
      {"not", &S::negation},
      {"if", &S::conditional},
      {"then", &S::beside},
      {"else", &S::beside},
  };
  return table;
}

Result<Shapes> SchemaExpander::beside(const Keyword& k) {
  if (k.name == "nullable") {
    if (!k.value.is_bool()) return wrong(k, "a boolean");
  } else if (k.name == "minContains" || k.name == "maxContains") {
    ATELIER_CHECK_OK(size_value(k));
  } else {
    ATELIER_CHECK_OK(expect_schema(k, k.value));
  }
  return Shapes{Shape{}};
}

// 0 for no name of a type.
static unsigned type_bits(std::string_view name) {
  if (name == "null") return kTypeNull;
  if (name == "boolean") return kTypeTrue | kTypeFalse;
  if (name == "number" || name == "integer") return kTypeNumber;
  if (name == "string") return kTypeString;
  if (name == "array") return kTypeArray;
  if (name == "object") return kTypeObject;
  return 0;
}

Result<Shapes> SchemaExpander::types(const Keyword& k) {
  std::vector<JsonValue> names = k.value.items;
  if (k.value.is_string()) names = {k.value};
  if (names.empty()) return wrong(k, "the name of a type, or a list of them");
  Shape shape{.types = 0};
  bool number = false, integer = false;
  for (const JsonValue& name : names) {
    const std::string_view type = name.is_string() ? std::string_view(name.text) : "";
    integer = integer || type == "integer";
    number = number || type == "number";
    const unsigned bits = type_bits(type);
    if (bits == 0) return wrong(k, "null, boolean, integer, number, string, array or object");
    shape.types |= static_cast<uint8_t>(bits);
  }
  shape.number.integer = integer && !number;
  const JsonValue* nullable = k.schema.find("nullable");  // OpenAPI 3.0
  if (nullable != nullptr && nullable->kind == JsonValue::Kind::kTrue) shape.types |= kTypeNull;
  return Shapes{shape};
}

// Of arrays and objects one alternative each, of all the others one together.
Result<Shapes> SchemaExpander::shapes_of_values(const JsonValue&, std::span<const JsonValue* const> values) {
  using Kind = JsonValue::Kind;
  Shape scalars{.types = 0};
  Shapes out;
  for (const JsonValue* value : values) {
    switch (value->kind) {
      case Kind::kNull:
        scalars.types |= kTypeNull;
        break;
      case Kind::kTrue:
        scalars.types |= kTypeTrue;
        break;
      case Kind::kFalse:
        scalars.types |= kTypeFalse;
        break;
      case Kind::kNumber:
        scalars.types |= kTypeNumber;
        if (!scalars.number.values) scalars.number.values.emplace();
        scalars.number.values->push_back(value->text);
        break;
      case Kind::kString:
        scalars.types |= kTypeString;
        if (!scalars.string.values) scalars.string.values.emplace();
        scalars.string.values->push_back(value->text);
        break;
      case Kind::kArray:
      case Kind::kObject: {
        ATELIER_TRY(const Shapes one, expand(SchemaAtom{&schema_of_value(*value)}));
        out.insert(out.end(), one.begin(), one.end());
        break;
      }
    }
  }
  if (scalars.types != 0) out.insert(out.begin(), scalars);
  return out;
}

// The schema that only this array or object meets.
const JsonValue& SchemaExpander::schema_of_value(const JsonValue& value) {
  const auto [at, added] = value_schemas_.try_emplace(&value, nullptr);
  if (!added) return *at->second;
  const auto exactly = [](const JsonValue& part) {
    JsonValue schema = JsonValue::object();
    schema.add("const", part);
    return schema;
  };
  JsonValue schema = JsonValue::object();
  if (value.is_array()) {
    schema.add("type", JsonValue::string("array"));
    JsonValue& prefix = schema.add("prefixItems", JsonValue::array());
    for (const JsonValue& item : value.items) prefix.items.push_back(exactly(item));
    schema.add("items", JsonValue::boolean(false));
    schema.add("minItems", JsonValue::number(value.items.size()));
  } else {
    schema.add("type", JsonValue::string("object"));
    JsonValue& properties = schema.add("properties", JsonValue::object());
    JsonValue required = JsonValue::array();
    for (const auto& [name, member] : value.members) {
      properties.add(name, exactly(member));
      required.items.push_back(JsonValue::string(name));
    }
    schema.add("required", std::move(required));
    schema.add("additionalProperties", JsonValue::boolean(false));
  }
  const JsonValue& kept = document_.keep(std::move(schema));
  document_.stands_for(kept, value);
  at->second = &kept;
  return kept;
}

Result<Shapes> SchemaExpander::enumeration(const Keyword& k) {
  ATELIER_CHECK_OK(expect_kind(k, JsonValue::Kind::kArray));
  std::vector<const JsonValue*> values;
  for (const JsonValue& value : k.value.items) values.push_back(&value);
  return shapes_of_values(k.schema, values);
}

Result<Shapes> SchemaExpander::constant(const Keyword& k) {
  const JsonValue* const value = &k.value;
  return shapes_of_values(k.schema, std::span(&value, 1));
}

Result<Shapes> SchemaExpander::number_bound(const Keyword& k) {
  Shape shape;
  const bool lower = k.name == "minimum" || k.name == "exclusiveMinimum";
  if (k.value.is_bool() && k.name.starts_with("exclusive")) {  // draft 4: says that the other bound is open
    const JsonValue* bound = k.schema.find(lower ? "minimum" : "maximum");
    if (bound == nullptr || !bound->is_number()) return wrong(k, "a number, or a boolean beside a bound");
    if (k.value.kind == JsonValue::Kind::kFalse) return Shapes{shape};
    const Decimal value = Decimal::parse(bound->text);
    lower ? shape.number.at_least(value, true) : shape.number.at_most(value, true);
    return Shapes{shape};
  }
  ATELIER_TRY(const Decimal value, number_value(k));
  const bool open = k.name.starts_with("exclusive");
  lower ? shape.number.at_least(value, open) : shape.number.at_most(value, open);
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::multiple_of(const Keyword& k) {
  ATELIER_TRY(const Decimal value, number_value(k));
  if (value.is_zero() || value.negative()) return wrong(k, "a number above 0");
  Shape shape;
  shape.number.multiples.push_back(value);
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::length(const Keyword& k) {
  ATELIER_TRY(const uint32_t size, size_value(k));
  Shape shape;
  (k.name == "minLength" ? shape.string.min_length : shape.string.max_length) = size;
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::string_pattern(const Keyword& k) {
  ATELIER_CHECK_OK(expect_kind(k, JsonValue::Kind::kString));
  auto parsed = regex(k.value.text);
  if (!parsed) return fail_in(fmt::format("schema: {}/pattern", document_.where(k.schema)), parsed.error());
  Shape shape;
  shape.string.patterns.push_back(*parsed);
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::format(const Keyword& k) {
  ATELIER_CHECK_OK(expect_kind(k, JsonValue::Kind::kString));
  Shape shape;
  const std::string_view name = k.value.text;
  if (name == "float" || name == "double") return Shapes{shape};
  if (name == "int32" || name == "int64") {  // OpenAPI
    const bool wide = name == "int64";
    shape.number.at_least(Decimal::from_int(wide ? INT64_MIN : INT32_MIN), false);
    shape.number.at_most(Decimal::from_int(wide ? INT64_MAX : INT32_MAX), false);
    return Shapes{shape};
  }
  const std::string_view pattern = format_pattern(name);
  if (pattern.empty()) return unsupported(k, fmt::format("format {} not supported", in_quotes(name)));
  ATELIER_TRY(const auto parsed, regex(pattern));
  shape.string.patterns.push_back(parsed);
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::item_count(const Keyword& k) {
  ATELIER_TRY(const uint32_t size, size_value(k));
  Shape shape;
  (k.name == "minItems" ? shape.array.min_items : shape.array.max_items) = size;
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::unique_items(const Keyword& k) {
  if (!k.value.is_bool()) return wrong(k, "a boolean");
  Shape shape;
  shape.array.unique = k.value.kind == JsonValue::Kind::kTrue;
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::items(const Keyword& k) {
  if (k.name == "prefixItems" || k.value.is_array()) {
    if (!k.value.is_array()) return wrong(k, "a list of schemas");
    for (const JsonValue& item : k.value.items) ATELIER_CHECK_OK(expect_schema(k, item));
  } else {
    ATELIER_CHECK_OK(expect_schema(k, k.value));
  }
  Shape shape;
  shape.array.groups.push_back({&k.schema});
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::contains(const Keyword& k) {
  ATELIER_CHECK_OK(expect_schema(k, k.value));
  ATELIER_TRY(const auto counts, contain_counts(k.schema));
  const auto [min, max] = counts;
  Shape shape;
  if (min > max) shape.types &= static_cast<uint8_t>(~kTypeArray);
  if (min > 0 || max != kUnbounded) shape.array.contains.push_back({{&k.value}, &k.schema, min, max});
  return Shapes{shape};
}

// minContains and maxContains.
Result<std::pair<uint32_t, uint32_t>> SchemaExpander::contain_counts(const JsonValue& schema) const {
  std::pair<uint32_t, uint32_t> out = {1, kUnbounded};
  if (const JsonValue* min = schema.find("minContains")) {
    ATELIER_TRY(out.first, size_value({schema, "minContains", *min}));
  }
  if (const JsonValue* max = schema.find("maxContains")) {
    ATELIER_TRY(out.second, size_value({schema, "maxContains", *max}));
  }
  return out;
}

Result<Shapes> SchemaExpander::properties(const Keyword& k) {
  if (k.name == "additionalProperties") {
    ATELIER_CHECK_OK(expect_schema(k, k.value));
  } else {
    ATELIER_CHECK_OK(expect_kind(k, JsonValue::Kind::kObject));
    for (const auto& [name, schema] : k.value.members) {
      ATELIER_CHECK_OK(expect_schema(k, schema));
      if (k.name == "properties") continue;
      const auto dfa = pattern_dfa(name);
      if (!dfa)
        return fail_in(fmt::format("schema: {}/patternProperties", document_.where(k.schema)), dfa.error());
    }
  }
  Shape shape;
  shape.object.groups.push_back({&k.schema});
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::required(const Keyword& k) {
  if (k.value.is_bool())  // OpenAPI 2 and draft 3, inside the property itself
    return unsupported(k, "expected a list of names, found a boolean as in draft 3");
  ATELIER_CHECK_OK(expect_strings(k, k.value));
  Shape shape;
  for (const JsonValue& name : k.value.items)
    if (!shape.object.requires_name(name.text)) shape.object.required.push_back(name.text);
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::property_count(const Keyword& k) {
  ATELIER_TRY(const uint32_t size, size_value(k));
  Shape shape;
  (k.name == "minProperties" ? shape.object.min_properties : shape.object.max_properties) = size;
  return Shapes{shape};
}

Result<Shapes> SchemaExpander::property_names(const Keyword& k) {
  ATELIER_CHECK_OK(expect_schema(k, k.value));
  Shape shape;
  shape.object.names.push_back({&k.value});
  return Shapes{shape};
}

}  // namespace atelier::constraint
