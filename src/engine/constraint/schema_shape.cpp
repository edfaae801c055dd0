#include "engine/constraint/schema_shape.h"

#include <algorithm>

namespace atelier::constraint {
namespace {

template <class T>
void append_new(std::vector<T>& to, const std::vector<T>& from) {
  for (const T& one : from)
    if (std::ranges::find(to, one) == to.end()) to.push_back(one);
}

}  // namespace

void ArraySpec::merge(const ArraySpec& other) {
  min_items = std::max(min_items, other.min_items);
  max_items = std::min(max_items, other.max_items);
  unique = unique || other.unique;
  append_new(groups, other.groups);
  append_new(every, other.every);
  append_new(extra, other.extra);
  contains.insert(contains.end(), other.contains.begin(), other.contains.end());
  append_new(unevaluated, other.unevaluated);
}

void ObjectSpec::merge(const ObjectSpec& other) {
  min_properties = std::max(min_properties, other.min_properties);
  max_properties = std::min(max_properties, other.max_properties);
  append_new(groups, other.groups);
  append_new(required, other.required);
  append_new(forbidden, other.forbidden);
  append_new(extra, other.extra);
  append_new(names, other.names);
  append_new(unevaluated, other.unevaluated);
}

bool ObjectSpec::requires_name(const std::string& name) const {
  return std::ranges::find(required, name) != required.end();
}

void Shape::merge(const Shape& other) {
  types &= other.types;
  number.merge(other.number);
  string.merge(other.string);
  array.merge(other.array);
  object.merge(other.object);
}

}  // namespace atelier::constraint
