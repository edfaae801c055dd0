#include <algorithm>
#include <unordered_set>

#include "engine/constraint/schema_compiler.h"
#include "engine/constraint/source_text.h"

namespace atelier::constraint {
namespace {

constexpr size_t kMaxListed = 5'000;
constexpr size_t kMaxObjectStates = 50'000;
constexpr size_t kMaxOpenPatterns = 6;  // whose combinations are told apart

bool allows_none(const JsonValue& schema) { return schema.kind == JsonValue::Kind::kFalse; }

}  // namespace

Result<ExprId> SchemaCompiler::object_expr(const ObjectSpec& object) {
  for (const std::string& name : object.forbidden)
    if (object.requires_name(name)) return builder_.never();
  if (object.min_properties > object.max_properties) return builder_.never();
  ATELIER_TRY(const std::optional<CharDfa> allowed, allowed_names(object));
  ATELIER_TRY(std::vector<std::string> listed, listed_names(object));
  const std::vector<std::string> named = listed;  // whatever becomes of them, they are nobody else's
  std::vector<std::string> taken = named;
  taken.insert(taken.end(), object.forbidden.begin(), object.forbidden.end());
  std::erase_if(listed, [&](const std::string& name) {
    if (std::ranges::find(object.forbidden, name) != object.forbidden.end()) return true;
    return allowed && !allowed->matches(decode_source(name, "name").value_or(U""));
  });
  for (const std::string& name : object.required)
    if (std::ranges::find(listed, name) == listed.end()) return builder_.never();
  ExprId open = builder_.never();
  if (is_open(object, listed.size())) {
    ATELIER_TRY(open, open_pair(object, taken, allowed));
  }
  // Two unlisted properties may come out with the same name; then they count as one.
  if (object.min_properties > 1 && !builder_.is_never(open)) {
    if (listed.size() < object.min_properties)
      return fail(ErrorCode::kUnsupported,
                  "minProperties: expected at least {} properties that are listed, found {}",
                  object.min_properties, listed.size());
    open = builder_.never();
  }
  return listing_object(object, listed, open);
}

// In the order of the schema; those that are only required follow.
Result<std::vector<std::string>> SchemaCompiler::listed_names(const ObjectSpec& object) {
  std::vector<std::string> out;
  std::unordered_set<std::string> known;
  const auto add = [&](const std::string& name) {
    if (known.insert(name).second) out.push_back(name);
  };
  for (const SchemaGroup& group : object.groups)
    if (const JsonValue* properties = group.schema->find("properties"))
      for (const auto& [name, schema] : properties->members) add(name);
  for (const std::string& name : object.required) add(name);
  for (const auto& [name, atom] : object.extra) add(name);
  if (out.size() > kMaxListed)
    return fail(ErrorCode::kLimit, "properties: expected at most {}, found {}", kMaxListed, out.size());
  return out;
}

bool SchemaCompiler::is_open(const ObjectSpec& object, size_t n_listed) const {
  if (options_.unlisted_properties || object.min_properties > n_listed) return true;
  bool lists = false, says = !object.names.empty();
  for (const SchemaGroup& group : object.groups) {
    lists = lists || group.schema->find("properties") != nullptr;
    says = says || group.schema->find("additionalProperties") != nullptr ||
           group.schema->find("patternProperties") != nullptr;
  }
  for (const Unevaluated& rest : object.unevaluated) says = says || !allows_none(*rest.schema);
  return says || !lists;
}

// What propertyNames leaves; nothing if it is not there.
Result<std::optional<CharDfa>> SchemaCompiler::allowed_names(const ObjectSpec& object) {
  if (object.names.empty()) return std::optional<CharDfa>();
  ATELIER_TRY(const Shapes shapes, expander_.expand(object.names));
  CharDfa none = CharDfa::any();  // of what none of the alternatives allows
  for (const Shape& shape : shapes) {
    if ((shape.types & kTypeString) == 0) continue;
    ATELIER_TRY(const CharDfa names, string_dfa(shape.string));
    ATELIER_TRY(none, intersection(none, complement(names)));
  }
  return std::optional(complement(none));
}

// Names that are not listed, apart by which patterns they match: each combination has a schema of its own.
Result<std::vector<SchemaCompiler::OpenNames>> SchemaCompiler::open_names(
    const ObjectSpec& object, std::span<const std::string> listed, const std::optional<CharDfa>& allowed) {
  CharDfa rest = allowed ? *allowed : CharDfa::any();
  std::vector<std::u32string> names;
  for (const std::string& name : listed) names.push_back(decode_source(name, "name").value_or(U""));
  if (!names.empty()) {
    ATELIER_TRY(rest, intersection(rest, complement(CharDfa::one_of(names))));
  }
  std::vector<std::string> patterns;
  for (const SchemaGroup& group : object.groups)
    if (const JsonValue* all = group.schema->find("patternProperties"))
      for (const auto& [pattern, schema] : all->members)
        if (std::ranges::find(patterns, pattern) == patterns.end()) patterns.push_back(pattern);
  if (patterns.size() > kMaxOpenPatterns)
    return fail(ErrorCode::kUnsupported, "patternProperties: expected at most {} patterns, found {}",
                kMaxOpenPatterns, patterns.size());
  // Names that no pattern knows are let in where the schema speaks of them, or of no names at all.
  const bool unknown_too =
      options_.unlisted_properties || listed.size() < object.min_properties || !object.names.empty() ||
      !object.unevaluated.empty() ||
      std::ranges::any_of(
          object.groups,
          [](const SchemaGroup& group) { return group.schema->find("additionalProperties") != nullptr; }) ||
      std::ranges::none_of(
          object.groups,
          [](const SchemaGroup& group) {
            return group.schema->find("properties") != nullptr ||
                   group.schema->find("patternProperties") != nullptr;
          });
  std::vector<OpenNames> out;
  for (size_t chosen = unknown_too ? 0 : 1; chosen < size_t{1} << patterns.size(); ++chosen) {
    const auto matches = [&](std::string_view pattern) {
      return (chosen >> (std::ranges::find(patterns, pattern) - patterns.begin()) & 1) != 0;
    };
    OpenNames one{rest, {}};
    for (const std::string& pattern : patterns) {
      ATELIER_TRY(const auto dfa, expander_.pattern_dfa(pattern));
      ATELIER_TRY(one.names, intersection(one.names, matches(pattern) ? *dfa : complement(*dfa)));
    }
    const auto look_up = [&](const JsonValue& group, SchemaGoal* goal) {
      bool any = false;
      if (const JsonValue* all = group.find("patternProperties"))
        for (const auto& [pattern, schema] : all->members) {
          if (!matches(pattern)) continue;
          any = true;
          if (goal != nullptr) goal->push_back({&schema});
        }
      const JsonValue* additional = group.find("additionalProperties");
      if (!any && additional != nullptr && goal != nullptr) goal->push_back({additional});
      return any || additional != nullptr;
    };
    for (const SchemaGroup& group : object.groups) look_up(*group.schema, &one.goal);
    for (const Unevaluated& left : object.unevaluated)
      if (std::ranges::none_of(left.groups, [&](const JsonValue* group) { return look_up(*group, nullptr); }))
        one.goal.push_back({left.schema});
    const bool forbidden = std::ranges::any_of(
        one.goal, [](const SchemaAtom& atom) { return !atom.negated && allows_none(*atom.schema); });
    if (!forbidden && !one.names.states.empty()) out.push_back(std::move(one));
  }
  return out;
}

Result<ExprId> SchemaCompiler::open_pair(const ObjectSpec& object, std::span<const std::string> listed,
                                         const std::optional<CharDfa>& allowed) {
  ATELIER_TRY(const std::vector<OpenNames> kinds, open_names(object, listed, allowed));
  const CharWriter write = [this](const CodePointSet& set) { return json_.canonical(set); };
  std::vector<ExprId> ways;
  for (const OpenNames& kind : kinds) {
    const bool any = listed.empty() && !allowed && kinds.size() == 1 && kind.names.states.size() == 1;
    const ExprId name = any ? json_.string() : json_.quoted(dfa_expr(kind.names, builder_, write));
    ways.push_back(builder_.sequence({name, json_.colon(), value(kind.goal)}));
  }
  return builder_.choice(ways);
}

ExprId SchemaCompiler::pair(const ObjectSpec& object, const std::string& name) {
  return builder_.sequence(
      {builder_.bytes(json_string_text(name)), json_.colon(), value(expander_.property_goal(object, name))});
}

// An automaton over the listed properties in order. For each property and number of properties written so far
// there are two states: behind a value, where a comma or the end may come, and behind a comma, where a name
// must.
struct SchemaCompiler::ObjectStates {
  size_t n_listed, counts;
  size_t behind_value(size_t next, size_t count) const { return (next * counts + count) * 2; }
  size_t behind_comma(size_t next, size_t count) const { return (next * counts + count) * 2 + 1; }
  size_t size() const { return (n_listed + 1) * counts * 2; }
};

Result<ExprId> SchemaCompiler::listing_object(const ObjectSpec& object, std::span<const std::string> listed,
                                              ExprId open) {
  const uint32_t min = object.min_properties, max = object.max_properties;
  const bool has_open = !builder_.is_never(open);
  std::vector<ExprId> ways;
  if (min == 0 && object.required.empty()) ways.push_back(builder_.bytes("{}"));
  if (max == 0) return builder_.choice(ways);
  const ExprId comma = json_.comma();
  if (listed.empty()) {
    if (!has_open) return builder_.choice(ways);
    const ExprId more = builder_.repeat(builder_.sequence({comma, open}), min > 1 ? min - 1 : 0,
                                        max == kUnbounded ? kUnbounded : max - 1);
    ways.push_back(json_.braced(builder_.sequence({open, more})));
    return builder_.choice(ways);
  }
  // Counted are as many as make a difference; beyond that, the last count stands for all above.
  const bool max_matters = has_open ? max != kUnbounded : max < listed.size();
  const size_t top = std::max<size_t>(max_matters ? max : 0, std::max(min, 1u));
  const ObjectStates states{listed.size(), top + 1};
  if (top > kMaxObjectStates || states.size() > kMaxObjectStates)
    return fail(ErrorCode::kLimit, "{}: expected a count that takes at most {} states, found {}",
                max_matters ? "maxProperties" : "minProperties", kMaxObjectStates, top);
  ExprAutomaton automaton;
  automaton.states.resize(states.size());
  const auto next_count = [&](size_t count) -> std::optional<size_t> {
    if (count < top) return count + 1;
    return max_matters && top == max ? std::nullopt : std::optional(top);
  };
  const auto edge = [&](size_t from, ExprId label, size_t to) {
    automaton.states[from].edges.push_back({label, static_cast<uint32_t>(to)});
  };
  std::vector<ExprId> pairs;
  std::vector<bool> required;
  size_t last_required = 0;  // one past it
  for (size_t i = 0; i < listed.size(); ++i) {
    pairs.push_back(pair(object, listed[i]));
    required.push_back(object.requires_name(listed[i]));
    if (required[i]) last_required = i + 1;
  }
  for (size_t i = 0; i <= listed.size(); ++i) {
    for (size_t count = 0; count <= top; ++count) {
      const size_t value_end = states.behind_value(i, count), name = states.behind_comma(i, count);
      automaton.states[value_end].accepting = count >= std::max(min, 1u) && i >= last_required;
      const auto after = next_count(count);
      if (after && count > 0) edge(value_end, comma, name);
      if (i < listed.size()) {
        if (after) edge(name, pairs[i], states.behind_value(i + 1, *after));
        if (!required[i]) edge(name, builder_.empty(), states.behind_comma(i + 1, count));
      } else if (has_open && after) {
        edge(name, open, states.behind_value(i, *after));
      }
    }
  }
  // The automaton starts as behind a comma.
  std::swap(automaton.states[0], automaton.states[1]);
  for (auto& state : automaton.states)
    for (auto& e : state.edges)
      if (e.target < 2) e.target = 1 - e.target;
  ways.push_back(json_.braced(builder_.automaton(automaton)));
  return builder_.choice(ways);
}

}  // namespace atelier::constraint
