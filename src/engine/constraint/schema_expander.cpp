#include "engine/constraint/schema_expander.h"

#include <algorithm>
#include <array>

#include "engine/constraint/source_text.h"

namespace atelier::constraint {
namespace {

constexpr size_t kMaxAlternatives = 512;  // of one value
constexpr size_t kMaxWork = 200'000;      // alternatives put together for one schema
constexpr size_t kMaxOpen = 100;          // schemas one inside the other for the same value
constexpr int kMaxEmptinessDepth = 6;     // values looked into

constexpr std::array<std::string_view, 24> kAnnotations = {"title",
                                                           "description",
                                                           "default",
                                                           "examples",
                                                           "example",
                                                           "deprecated",
                                                           "readOnly",
                                                           "writeOnly",
                                                           "$comment",
                                                           "$schema",
                                                           "$id",
                                                           "id",
                                                           "$anchor",
                                                           "$defs",
                                                           "definitions",
                                                           "$vocabulary",
                                                           "contentEncoding",
                                                           "contentMediaType",
                                                           "contentSchema",
                                                           "$dynamicAnchor",
                                                           "externalDocs",
                                                           "xml",
                                                           "discriminator",
                                                           "$recursiveAnchor"};

}  // namespace

bool is_annotation(std::string_view keyword) {
  return keyword.starts_with("x-") || std::ranges::find(kAnnotations, keyword) != kAnnotations.end();
}

tl::unexpected<Error> SchemaExpander::wrong(const Keyword& k, std::string_view expected) const {
  return fail(ErrorCode::kInvalidArgument, "schema: {}/{}: expected {}, found {}", document_.where(k.schema),
              k.name, expected,
              k.value.is_number() || k.value.is_string() ? in_quotes(k.value.text) : kind_name(k.value.kind));
}

tl::unexpected<Error> SchemaExpander::unsupported(const Keyword& k, std::string_view why) const {
  return fail(ErrorCode::kUnsupported, "schema: {}/{}: {}", document_.where(k.schema), k.name, why);
}

Status SchemaExpander::expect_kind(const Keyword& k, JsonValue::Kind kind) const {
  if (k.value.kind == kind) return {};
  return wrong(k, kind_name(kind));
}

Status SchemaExpander::expect_schema(const Keyword& k, const JsonValue& value) const {
  if (value.is_object() || value.is_bool()) return {};
  return wrong(k, "a schema");
}

Status SchemaExpander::expect_schemas(const Keyword& k) const {
  ATELIER_CHECK_OK(expect_kind(k, JsonValue::Kind::kArray));
  if (k.value.items.empty()) return wrong(k, "at least one schema");
  for (const JsonValue& item : k.value.items) ATELIER_CHECK_OK(expect_schema(k, item));
  return {};
}

Status SchemaExpander::expect_strings(const Keyword& k, const JsonValue& list) const {
  if (!list.is_array() || !std::ranges::all_of(list.items, &JsonValue::is_string))
    return wrong(k, "a list of names");
  return {};
}

Result<Decimal> SchemaExpander::number_value(const Keyword& k) const {
  ATELIER_CHECK_OK(expect_kind(k, JsonValue::Kind::kNumber));
  return Decimal::parse(k.value.text);
}

// Sizes that no text reaches count as no limit.
Result<uint32_t> SchemaExpander::size_value(const Keyword& k) const {
  constexpr uint32_t kBeyondReach = 1u << 30;
  ATELIER_TRY(const Decimal value, number_value(k));
  if (value.negative() || !value.is_integer()) return wrong(k, "a whole number from 0");
  const auto parts = value.parts(18);
  const uint64_t size = parts ? std::stoull(parts->whole) : UINT64_MAX;
  if (size < kBeyondReach) return static_cast<uint32_t>(size);
  if (!k.name.starts_with("min")) return kUnbounded;
  return fail(ErrorCode::kLimit, "schema: {}/{}: expected less than {}, found {}", document_.where(k.schema),
              k.name, kBeyondReach, k.value.text);
}

Result<std::shared_ptr<const Regex>> SchemaExpander::regex(std::string_view pattern) {
  const auto known = patterns_.find(pattern);
  if (known != patterns_.end()) return known->second;
  ATELIER_TRY(Regex parsed, parse_regex(pattern));
  return patterns_[std::string(pattern)] = std::make_shared<const Regex>(std::move(parsed));
}

Result<std::shared_ptr<const CharDfa>> SchemaExpander::pattern_dfa(std::string_view pattern) {
  const auto known = pattern_dfas_.find(pattern);
  if (known != pattern_dfas_.end()) return known->second;
  ATELIER_TRY(const auto parsed, regex(pattern));
  ATELIER_TRY(CharDfa dfa, regex_dfa(*parsed, RegexMatch::kSearch));
  return pattern_dfas_[std::string(pattern)] = std::make_shared<const CharDfa>(std::move(dfa));
}

Status SchemaExpander::check_keyword(const JsonValue& schema, std::string_view keyword) const {
  // Up to draft 7 these may be meant as conditions.
  if (document_.ref_stands_alone() && (keyword == "contentEncoding" || keyword == "contentMediaType"))
    return fail(ErrorCode::kUnsupported, "schema: {}/{}: keyword not supported", document_.where(schema),
                keyword);
  if (is_annotation(keyword) || handlers().contains(keyword)) return {};
  return fail(ErrorCode::kUnsupported, "schema: {}/{}: keyword not supported", document_.where(schema),
              keyword);
}

Result<Shapes> SchemaExpander::product(const Shapes& a, const Shapes& b, const JsonValue& schema) {
  Shapes out;
  for (const Shape& left : a) {
    for (const Shape& right : b) {
      if ((left.types & right.types) == 0) continue;
      Shape both = left;
      both.merge(right);
      out.push_back(std::move(both));
    }
  }
  work_ += a.size() * b.size();
  if (out.size() > kMaxAlternatives || work_ > kMaxWork)
    return fail(ErrorCode::kLimit, "schema: {}: expected at most {} alternatives, found more",
                document_.where(schema), kMaxAlternatives);
  return out;
}

Result<Shapes> SchemaExpander::expand(const SchemaGoal& goal) {
  Shapes out = {Shape{}};
  for (const SchemaAtom& atom : goal) {
    ATELIER_TRY(const Shapes one, expand(atom));
    ATELIER_TRY(out, product(out, one, *atom.schema));
  }
  return out;
}

Result<Shapes> SchemaExpander::expand(const SchemaAtom& atom) {
  if (const auto known = memo_.find(atom); known != memo_.end()) return known->second;
  const JsonValue& schema = *atom.schema;
  if (std::ranges::find(open_, atom) != open_.end())
    return fail(ErrorCode::kUnsupported,
                "schema: {}: expected a schema, found one that refers back to itself for the same value",
                document_.where(schema));
  if (open_.size() >= kMaxOpen)
    return fail(ErrorCode::kLimit,
                "schema: {}: expected at most {} schemas for one value, one inside the other",
                document_.where(schema), kMaxOpen);
  open_.push_back(atom);
  const Shapes* const outer = base_;
  Result<Shapes> out = atom.negated ? expand_negated(schema) : expand_schema(schema);
  base_ = outer;
  open_.pop_back();
  if (out) memo_[atom] = *out;
  return out;
}

Result<Shapes> SchemaExpander::expand_schema(const JsonValue& schema) {
  if (schema.is_bool()) return schema.kind == JsonValue::Kind::kTrue ? Shapes{Shape{}} : Shapes{};
  if (!schema.is_object())
    return fail(ErrorCode::kInvalidArgument, "schema: {}: expected a schema, found {}",
                document_.where(schema), kind_name(schema.kind));
  const JsonValue* ref = schema.find("$ref");
  if (ref != nullptr && document_.ref_stands_alone()) return reference({schema, "$ref", *ref});
  // What has several alternatives comes last: oneOf has to know what else holds.
  const auto rank = [](std::string_view name) { return name == "oneOf" ? 2 : name == "anyOf" ? 1 : 0; };
  Shapes out = {Shape{}};
  for (int pass = 0; pass < 3; ++pass) {
    for (const auto& [name, value] : schema.members) {
      if (rank(name) != pass) continue;
      ATELIER_CHECK_OK(check_keyword(schema, name));
      if (is_annotation(name)) continue;
      base_ = &out;
      ATELIER_TRY(const Shapes one, (this->*handlers().at(name))({schema, name, value}));
      ATELIER_TRY(out, product(out, one, schema));
    }
  }
  add_unevaluated(schema, out);
  return out;
}

namespace {

std::vector<const JsonValue*> evaluating(std::span<const SchemaGroup> groups) {
  std::vector<const JsonValue*> out;
  for (const SchemaGroup& group : groups)
    if (group.evaluates) out.push_back(group.schema);
  return out;
}

}  // namespace

// A schema within that already looks at everything unevaluated leaves nothing to look at.
void SchemaExpander::add_unevaluated(const JsonValue& schema, Shapes& shapes) const {
  const JsonValue* properties = schema.find("unevaluatedProperties");
  const JsonValue* items = schema.find("unevaluatedItems");
  for (Shape& shape : shapes) {
    if (properties != nullptr && shape.object.unevaluated.empty())
      shape.object.unevaluated.push_back({properties, evaluating(shape.object.groups)});
    if (items != nullptr && shape.array.unevaluated.empty())
      shape.array.unevaluated.push_back({items, evaluating(shape.array.groups)});
  }
}

SchemaGoal SchemaExpander::property_goal(const ObjectSpec& object, const std::string& name) {
  const std::u32string text = decode_source(name, "name").value_or(U"");
  SchemaGoal goal;
  const auto add = [&](SchemaAtom atom) {
    if (std::ranges::find(goal, atom) == goal.end()) goal.push_back(atom);
  };
  // Calls `found` with each schema the group has for the name; true if it has any but additionalProperties.
  const auto look_up = [&](const JsonValue& group, const auto& found) {
    bool any = false;
    if (const JsonValue* properties = group.find("properties"))
      if (const JsonValue* property = properties->find(name)) {
        any = true;
        found(*property);
      }
    if (const JsonValue* patterns = group.find("patternProperties")) {
      for (const auto& [pattern, schema] : patterns->members) {
        const auto dfa = pattern_dfa(pattern);
        if (!dfa || !(*dfa)->matches(text)) continue;
        any = true;
        found(schema);
      }
    }
    return any;
  };
  for (const SchemaGroup& group : object.groups) {
    const JsonValue* additional = group.schema->find("additionalProperties");
    if (!look_up(*group.schema, [&](const JsonValue& schema) { add({&schema}); }) && additional != nullptr)
      add({additional});
  }
  for (const auto& [extra, atom] : object.extra)
    if (extra == name) add(atom);
  for (const Unevaluated& rest : object.unevaluated) {
    const bool evaluated = std::ranges::any_of(rest.groups, [&](const JsonValue* group) {
      return look_up(*group, [](const JsonValue&) {}) || group->find("additionalProperties") != nullptr;
    });
    if (!evaluated) add({rest.schema});
  }
  return goal;
}

namespace {

// The items a group lists, and the schema for all after them (null: any).
struct ItemSchemas {
  std::span<const JsonValue> prefix;
  const JsonValue* rest = nullptr;
};

ItemSchemas item_schemas(const JsonValue& group) {
  ItemSchemas out;
  const JsonValue* items = group.find("items");
  if (items != nullptr && items->is_array()) {
    out.prefix = items->items;
    out.rest = group.find("additionalItems");
    return out;
  }
  out.rest = items;
  if (const JsonValue* prefix = group.find("prefixItems")) out.prefix = prefix->items;
  return out;
}

}  // namespace

size_t SchemaExpander::prefix_length(const ArraySpec& array) {
  size_t length = 0;
  for (const SchemaGroup& group : array.groups)
    length = std::max(length, item_schemas(*group.schema).prefix.size());
  for (const auto& [at, atom] : array.extra) length = std::max(length, at + 1);
  return length;
}

SchemaGoal SchemaExpander::item_goal(const ArraySpec& array, size_t index) {
  SchemaGoal goal = array.every;
  const auto add = [&](const JsonValue* schema) {
    if (std::ranges::find(goal, SchemaAtom{schema}) == goal.end()) goal.push_back({schema});
  };
  for (const SchemaGroup& group : array.groups) {
    const ItemSchemas schemas = item_schemas(*group.schema);
    if (index < schemas.prefix.size()) {
      add(&schemas.prefix[index]);
    } else if (schemas.rest != nullptr) {
      add(schemas.rest);
    }
  }
  for (const auto& [at, atom] : array.extra)
    if (at == index && std::ranges::find(goal, atom) == goal.end()) goal.push_back(atom);
  for (const Unevaluated& rest : array.unevaluated) {
    const bool evaluated = std::ranges::any_of(rest.groups, [&](const JsonValue* group) {
      const ItemSchemas schemas = item_schemas(*group);
      return index < schemas.prefix.size() || schemas.rest != nullptr;
    });
    if (!evaluated) add(rest.schema);
  }
  return goal;
}

bool SchemaExpander::is_surely_empty(const SchemaGoal& goal) {
  if (goal.empty() || emptiness_depth_ >= kMaxEmptinessDepth) return false;
  const Shapes* const outer = base_;
  const Result<Shapes> shapes = expand(goal);
  base_ = outer;
  if (!shapes) return false;
  return std::ranges::all_of(*shapes, [this](const Shape& shape) { return is_surely_empty(shape); });
}

bool SchemaExpander::is_surely_empty(const Shape& shape) {
  struct Depth {
    int& depth;
    explicit Depth(int& d) : depth(d) { ++depth; }
    ~Depth() { --depth; }
  } const deeper(emptiness_depth_);
  if ((shape.types & (kTypeNull | kTypeTrue | kTypeFalse)) != 0) return false;
  if ((shape.types & kTypeNumber) != 0 && !shape.number.is_empty()) return false;
  if ((shape.types & kTypeString) != 0 && shape.string.min_length <= shape.string.max_length) {
    const StringSpec& s = shape.string;
    const bool may_conflict = s.values || s.patterns.size() + s.anti_patterns.size() > 1;
    const Result<CharDfa> dfa = may_conflict ? string_dfa(s) : CharDfa::any();
    if (!dfa || !dfa->is_empty()) return false;
  }
  if ((shape.types & kTypeArray) != 0) {
    const ArraySpec& a = shape.array;
    bool empty = a.min_items > a.max_items;
    for (size_t i = 0; i < std::min<size_t>(a.min_items, 4) && !empty; ++i)
      empty = is_surely_empty(item_goal(a, i));
    if (!empty) return false;
  }
  if ((shape.types & kTypeObject) != 0) {
    const ObjectSpec& o = shape.object;
    const bool impossible =
        o.min_properties > o.max_properties || o.required.size() > o.max_properties ||
        std::ranges::any_of(o.forbidden, [&](const std::string& name) { return o.requires_name(name); });
    if (!impossible && std::ranges::none_of(o.required, [&](const std::string& name) {
          return is_surely_empty(property_goal(o, name));
        }))
      return false;
  }
  return true;
}

}  // namespace atelier::constraint
