#include <algorithm>
#include <map>

#include "engine/constraint/schema_compiler.h"

namespace atelier::constraint {
namespace {

constexpr uint32_t kMaxPrefix = 10'000;
constexpr size_t kMaxUniqueValues = 8;     // whose subsets are states
constexpr size_t kMaxContainStates = 500;  // of places and counts
constexpr size_t kMaxConditions = 4;       // by `contains`, whose combinations are told apart

}  // namespace

Result<ExprId> SchemaCompiler::array_expr(const ArraySpec& array) {
  uint32_t min = array.min_items, max = array.max_items;
  if (min > max) return builder_.never();
  if (array.unique && max > 1) return unique_array(array, min, max);
  if (!array.contains.empty()) return containing_array(array, min, max);
  return free_array(array, min, max);
}

// "[" items "]", and "[]" without blanks inside.
ExprId SchemaCompiler::list(std::span<const ExprId> items) {
  std::vector<ExprId> parts;
  for (const ExprId item : items) {
    if (!parts.empty()) parts.push_back(json_.comma());
    parts.push_back(item);
  }
  return parts.empty() ? builder_.bytes("[]") : json_.bracketed(builder_.sequence(parts));
}

// From the item at `first` on: `min` to `max` more. Behind the listed ones all are alike.
ExprId SchemaCompiler::items_expr(const ArraySpec& array, size_t first, uint32_t min, uint32_t max) {
  const size_t last = std::max(SchemaExpander::prefix_length(array), first);
  const auto used = static_cast<uint32_t>(std::min<size_t>(last - first, max));
  const uint32_t rest_min = min > used ? min - used : 0,
                 rest_max = max == kUnbounded ? kUnbounded : max - used;
  ExprId tail = builder_.empty();
  if (rest_max > 0) {
    const ExprId item = value(expander_.item_goal(array, last));
    const ExprId next = builder_.sequence({json_.comma(), item});
    if (last > 0) {
      tail = builder_.repeat(next, rest_min, rest_max);
    } else {
      const ExprId more = builder_.repeat(next, rest_min > 0 ? rest_min - 1 : 0,
                                          rest_max == kUnbounded ? kUnbounded : rest_max - 1);
      tail = builder_.sequence({item, more});
      if (rest_min == 0) tail = builder_.optional(tail);
    }
  }
  if (used == 0) return tail;
  ExprAutomaton automaton;
  automaton.states.resize(used + 2);
  for (uint32_t i = 0; i < used; ++i) {
    const ExprId item = value(expander_.item_goal(array, first + i));
    const ExprId label = first + i == 0 ? item : builder_.sequence({json_.comma(), item});
    automaton.states[i].edges.push_back({label, i + 1});
    automaton.states[i].accepting = i >= min;
  }
  automaton.states[used].edges.push_back({tail, used + 1});
  automaton.states[used + 1].accepting = true;
  return builder_.automaton(automaton);
}

Result<ExprId> SchemaCompiler::free_array(const ArraySpec& array, uint32_t min, uint32_t max) {
  if (SchemaExpander::prefix_length(array) > kMaxPrefix)
    return fail(ErrorCode::kLimit, "prefixItems: expected at most {} schemas", kMaxPrefix);
  std::vector<ExprId> ways;
  if (min == 0) ways.push_back(builder_.bytes("[]"));
  if (max > 0) ways.push_back(json_.bracketed(items_expr(array, 0, std::max(min, 1u), max)));
  return builder_.choice(ways);
}

// An automaton over the items: where one stands, as far as that makes a difference, and how many items of
// each kind that is counted there have been. An item is taken as one that meets some of the conditions; the
// others it has to violate only where there may be too many of them.
struct SchemaCompiler::ContainStates {
  using State = std::vector<uint32_t>;  // the place, then a count for each condition
  const ArraySpec& array;
  uint32_t min, max;
  uint32_t last_place;  // all places from here on are alike

  State start() const { return State(1 + array.contains.size(), 0); }
  bool accepts(const State& state) const {
    for (size_t i = 0; i < array.contains.size(); ++i)
      if (state[i + 1] < array.contains[i].min) return false;
    return state[0] >= min;
  }
  // After an item that meets the conditions in `met`; nothing if that is one too many.
  std::optional<State> after(State state, size_t met) const {
    if (max != kUnbounded && state[0] >= max) return std::nullopt;
    state[0] = std::min(state[0] + 1, last_place);
    for (size_t i = 0; i < array.contains.size(); ++i) {
      if ((met >> i & 1) == 0) continue;
      const ArraySpec::Contains& condition = array.contains[i];
      if (condition.max != kUnbounded && state[i + 1] >= condition.max) return std::nullopt;
      const uint32_t counted = condition.max != kUnbounded ? condition.max : condition.min;
      state[i + 1] = std::min(state[i + 1] + 1, counted);
    }
    return state;
  }
  SchemaGoal goal(SchemaExpander& expander, uint32_t place, size_t met) const {
    SchemaGoal out = expander.item_goal(array, place);
    for (size_t i = 0; i < array.contains.size(); ++i) {
      SchemaAtom atom = array.contains[i].atom;
      const bool meets = (met >> i & 1) != 0;
      if (!meets && array.contains[i].max == kUnbounded) continue;
      if (!meets) atom.negated = !atom.negated;
      out.push_back(atom);
    }
    return out;
  }
};

Result<ExprId> SchemaCompiler::containing_array(const ArraySpec& array, uint32_t min, uint32_t max) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::kUnsupported, "schema: {}/contains: {}",
                expander_.document().where(*array.contains[0].where), why);
  };
  if (!array.unevaluated.empty()) return refuse("not supported beside unevaluatedItems");
  if (array.contains.size() > kMaxConditions)
    return refuse(fmt::format("expected at most {} conditions for an array, found {}", kMaxConditions,
                              array.contains.size()));
  const size_t places = std::max({SchemaExpander::prefix_length(array), size_t{min},
                                  max == kUnbounded ? size_t{0} : size_t{max}, size_t{1}});
  const auto too_many = [&] {
    return refuse(
        fmt::format("expected counts and places that take at most {} states, found more", kMaxContainStates));
  };
  if (places > kMaxContainStates) return too_many();
  const ContainStates machine{array, min, max, static_cast<uint32_t>(places)};
  std::map<ContainStates::State, uint32_t> known = {{machine.start(), 0}};
  std::vector<ContainStates::State> states = {machine.start()};
  ExprAutomaton automaton;
  for (size_t at = 0; at < states.size(); ++at) {
    auto& here = automaton.states.emplace_back();
    here.accepting = at > 0 && machine.accepts(states[at]);
    for (size_t met = 0; met < size_t{1} << array.contains.size(); ++met) {
      const auto next = machine.after(states[at], met);
      if (!next) continue;
      const SchemaGoal goal = machine.goal(expander_, states[at][0], met);
      if (expander_.is_surely_empty(goal)) continue;
      const auto [target, added] = known.try_emplace(*next, static_cast<uint32_t>(states.size()));
      if (added) states.push_back(*next);
      if (states.size() > kMaxContainStates) return too_many();
      const ExprId item = value(goal);
      automaton.states[at].edges.push_back(
          {at == 0 ? item : builder_.sequence({json_.comma(), item}), target->second});
    }
  }
  std::vector<ExprId> ways = {json_.bracketed(builder_.automaton(automaton))};
  if (machine.accepts(machine.start())) ways.push_back(builder_.bytes("[]"));
  return builder_.choice(ways);
}

Result<std::optional<std::vector<std::string>>> SchemaCompiler::finite_values(const SchemaGoal& goal,
                                                                              size_t at_most) {
  using Values = std::optional<std::vector<std::string>>;
  if (goal.empty()) return Values();
  ATELIER_TRY(const Shapes shapes, expander_.expand(goal));
  std::vector<std::string> out;
  const auto add = [&](const std::string& text) {
    if (std::ranges::find(out, text) == out.end()) out.push_back(text);
  };
  for (const Shape& shape : shapes) {
    if ((shape.types & (kTypeArray | kTypeObject)) != 0) return Values();
    if ((shape.types & kTypeString) != 0) {
      ATELIER_TRY(const auto strings, shape.string.finite());
      if (!strings) return Values();
      for (const std::string& text : *strings) add(json_string_text(text));
    }
    if ((shape.types & kTypeNumber) != 0) {
      const auto numbers = shape.number.finite(at_most);
      if (!numbers) return Values();
      for (const std::string& text : *numbers) {
        // 1 and 1.0 are the same value.
        const bool known = std::ranges::any_of(out, [&](const std::string& other) {
          return (other[0] == '-' || (other[0] >= '0' && other[0] <= '9')) &&
                 Decimal::parse(other) == Decimal::parse(text);
        });
        if (!known) add(text);
      }
    }
    if ((shape.types & kTypeTrue) != 0) add("true");
    if ((shape.types & kTypeFalse) != 0) add("false");
    if ((shape.types & kTypeNull) != 0) add("null");
  }
  return out.size() <= at_most ? Values(std::move(out)) : Values();
}

// Arrays of few possible values, each once: the states are what has been used.
Result<ExprId> SchemaCompiler::unique_array(const ArraySpec& array, uint32_t min, uint32_t max) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorCode::kUnsupported, "uniqueItems: {}", why);
  };
  if (SchemaExpander::prefix_length(array) > 0) return refuse("not supported beside lists of items");
  if (!array.contains.empty()) return refuse("not supported beside contains");
  ATELIER_TRY(const auto values, finite_values(expander_.item_goal(array, 0), kMaxUniqueValues));
  if (!values)
    return refuse(
        fmt::format("expected items of at most {} possible values, or maxItems of 1", kMaxUniqueValues));
  const size_t n = values->size();
  ExprAutomaton automaton;
  automaton.states.resize(size_t{1} << n);
  for (size_t used = 0; used < automaton.states.size(); ++used) {
    const auto count = static_cast<uint32_t>(__builtin_popcountll(used));
    automaton.states[used].accepting = count >= std::max(min, 1u) && count <= max;
    for (size_t i = 0; i < n && count < max; ++i) {
      if ((used >> i & 1) != 0) continue;
      const ExprId text = builder_.bytes((*values)[i]);
      const ExprId label = used == 0 ? text : builder_.sequence({json_.comma(), text});
      automaton.states[used].edges.push_back({label, static_cast<uint32_t>(used | size_t{1} << i)});
    }
  }
  std::vector<ExprId> ways;
  if (min == 0) ways.push_back(builder_.bytes("[]"));
  if (n > 0) ways.push_back(json_.bracketed(builder_.automaton(automaton)));
  return builder_.choice(ways);
}

}  // namespace atelier::constraint
