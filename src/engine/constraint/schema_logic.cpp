// The keywords that combine schemas.
#include <algorithm>

#include "engine/constraint/schema_expander.h"

namespace atelier::constraint {

Result<Shapes> SchemaExpander::reference(const Keyword& k) {
  ATELIER_CHECK_OK(expect_kind(k, JsonValue::Kind::kString));
  if (k.name == "$dynamicRef" && !document_.is_static(k.value.text))
    return unsupported(
        k, "expected a reference to an anchor that there is once, found one with several meanings");
  ATELIER_TRY(const JsonValue* target, document_.resolve(k.schema, k.value.text));
  return expand(SchemaAtom{target});
}

Result<Shapes> SchemaExpander::all_of(const Keyword& k) {
  ATELIER_CHECK_OK(expect_schemas(k));
  Shapes out = {Shape{}};
  for (const JsonValue& part : k.value.items) {
    ATELIER_TRY(const Shapes one, expand(SchemaAtom{&part}));
    ATELIER_TRY(out, product(out, one, part));
  }
  return out;
}

Result<Shapes> SchemaExpander::any_of(const Keyword& k) {
  ATELIER_CHECK_OK(expect_schemas(k));
  Shapes out;
  for (const JsonValue& part : k.value.items) {
    ATELIER_TRY(const Shapes one, expand(SchemaAtom{&part}));
    out.insert(out.end(), one.begin(), one.end());
  }
  return out;
}

// No value of this schema meets one of `a` and one of `b`.
Result<bool> SchemaExpander::excludes(const Shapes& a, const Shapes& b) {
  const Shapes base = base_ != nullptr ? *base_ : Shapes{Shape{}};
  for (const Shape& first : a) {
    for (const Shape& second : b) {
      if ((first.types & second.types) == 0) continue;
      for (const Shape& rest : base) {
        if (++work_ > 200'000) return fail(ErrorCode::kLimit, "schema: expected fewer alternatives of oneOf");
        Shape all = rest;
        all.merge(first);
        all.merge(second);
        if (!is_surely_empty(all)) return false;
      }
    }
  }
  return true;
}

// Branches that exclude each other are alternatives as they are; of others, each has to hold without the
// rest.
Result<Shapes> SchemaExpander::one_of(const Keyword& k) {
  ATELIER_CHECK_OK(expect_schemas(k));
  const Shapes* const base = base_;
  const size_t n = k.value.items.size();
  std::vector<Shapes> branches(n);
  for (size_t i = 0; i < n; ++i) {
    ATELIER_TRY(branches[i], expand(SchemaAtom{&k.value.items[i]}));
  }
  std::vector<std::vector<bool>> apart(n, std::vector<bool>(n, true));
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < i; ++j) {
      base_ = base;
      ATELIER_TRY(const bool excluded, excludes(branches[i], branches[j]));
      apart[i][j] = apart[j][i] = excluded;
    }
  }
  Shapes out;
  for (size_t i = 0; i < n; ++i) {
    Shapes alone = branches[i];
    for (size_t j = 0; j < n; ++j) {
      if (apart[i][j]) continue;
      const Result<Shapes> others = expand(SchemaAtom{&k.value.items[j], true});
      if (!others)
        return unsupported(
            k, fmt::format("expected branches that exclude each other, found that {} and {} may not ({})", j,
                           i, others.error().message));
      ATELIER_TRY(alone, product(alone, *others, k.schema));
    }
    out.insert(out.end(), alone.begin(), alone.end());
  }
  return out;
}

Result<Shapes> SchemaExpander::negation(const Keyword& k) {
  ATELIER_CHECK_OK(expect_schema(k, k.value));
  return expand(SchemaAtom{&k.value, true});
}

Result<Shapes> SchemaExpander::conditional(const Keyword& k) {
  ATELIER_CHECK_OK(expect_schema(k, k.value));
  const JsonValue* then = k.schema.find("then");
  const JsonValue* otherwise = k.schema.find("else");
  if (then == nullptr && otherwise == nullptr) return Shapes{Shape{}};
  SchemaGoal yes = {{&k.value}}, no = {{&k.value, true}};
  if (then != nullptr) yes.push_back({then});
  if (otherwise != nullptr) no.push_back({otherwise});
  ATELIER_TRY(Shapes out, expand(yes));
  ATELIER_TRY(const Shapes rest, expand(no));
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

namespace {

// Objects without the property, and whatever is no object.
Shape without_property(const std::string& name) {
  Shape shape;
  shape.object.forbidden.push_back(name);
  return shape;
}

}  // namespace

Result<Shapes> SchemaExpander::dependent_required(const Keyword& k) {
  ATELIER_CHECK_OK(expect_kind(k, JsonValue::Kind::kObject));
  Shapes out = {Shape{}};
  for (const auto& [name, needed] : k.value.members) {
    ATELIER_CHECK_OK(expect_strings(k, needed));
    Shape with{.types = kTypeObject};
    with.object.required.push_back(name);
    for (const JsonValue& other : needed.items)
      if (!with.object.requires_name(other.text)) with.object.required.push_back(other.text);
    ATELIER_TRY(out, product(out, {without_property(name), with}, k.schema));
  }
  return out;
}

Result<Shapes> SchemaExpander::dependent_schemas(const Keyword& k) {
  ATELIER_CHECK_OK(expect_kind(k, JsonValue::Kind::kObject));
  Shapes out = {Shape{}};
  for (const auto& [name, schema] : k.value.members) {
    ATELIER_CHECK_OK(expect_schema(k, schema));
    Shape has{.types = kTypeObject};
    has.object.required.push_back(name);
    ATELIER_TRY(const Shapes met, expand(SchemaAtom{&schema}));
    ATELIER_TRY(Shapes ways, product({has}, met, k.schema));
    ways.push_back(without_property(name));
    ATELIER_TRY(out, product(out, ways, k.schema));
  }
  return out;
}

// Drafts up to 7: either of the two, by the kind of the value.
Result<Shapes> SchemaExpander::dependencies(const Keyword& k) {
  ATELIER_CHECK_OK(expect_kind(k, JsonValue::Kind::kObject));
  JsonValue names = JsonValue::object();
  Shapes out = {Shape{}};
  for (const auto& [name, value] : k.value.members) {
    if (value.is_array()) {
      names.add(name, value);
      continue;
    }
    ATELIER_CHECK_OK(expect_schema(k, value));
    Shape has{.types = kTypeObject};
    has.object.required.push_back(name);
    ATELIER_TRY(const Shapes met, expand(SchemaAtom{&value}));
    ATELIER_TRY(Shapes ways, product({has}, met, k.schema));
    ways.push_back(without_property(name));
    ATELIER_TRY(out, product(out, ways, k.schema));
  }
  ATELIER_TRY(const Shapes needed, dependent_required({k.schema, k.name, names}));
  return product(out, needed, k.schema);
}

}  // namespace atelier::constraint
