// What a schema says once its logic is resolved: alternatives, each a plain set of conditions per type.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/constraint/json_value.h"
#include "engine/constraint/number_language.h"
#include "engine/constraint/string_language.h"

namespace atelier::constraint {

// A schema that has to hold, or must not.
struct SchemaAtom {
  const JsonValue* schema;
  bool negated = false;
  auto operator<=>(const SchemaAtom&) const = default;
};
// Schemas that hold together, for one value; in the order in which they were found. None: any value.
using SchemaGoal = std::vector<SchemaAtom>;

// The types of JSON as bits; true and false are types of their own.
enum TypeBit : uint8_t {
  kTypeNull = 1,
  kTypeTrue = 2,
  kTypeFalse = 4,
  kTypeNumber = 8,
  kTypeString = 16,
  kTypeArray = 32,
  kTypeObject = 64,
  kTypeAll = 127,
};

// A schema that speaks of properties or items one by one. What is found by way of a negation holds all the
// same, but does not count as evaluated.
struct SchemaGroup {
  const JsonValue* schema;
  bool evaluates = true;
  bool operator==(const SchemaGroup&) const = default;
};

// unevaluatedProperties or unevaluatedItems: holds for what none of the groups says anything about.
struct Unevaluated {
  const JsonValue* schema;
  std::vector<const JsonValue*> groups;
  bool operator==(const Unevaluated&) const = default;
};

struct ArraySpec {
  uint32_t min_items = 0, max_items = kUnbounded;
  bool unique = false;
  std::vector<SchemaGroup> groups;                   // schemas with prefixItems, items or additionalItems
  SchemaGoal every;                                  // holds for all items besides
  std::vector<std::pair<size_t, SchemaAtom>> extra;  // holds for the item at that place besides
  struct Contains {
    SchemaAtom atom;
    const JsonValue* where;
    uint32_t min = 1, max = kUnbounded;
  };
  std::vector<Contains> contains;  // each holds for so many items
  std::vector<Unevaluated> unevaluated;

  void merge(const ArraySpec& other);
};

struct ObjectSpec {
  uint32_t min_properties = 0, max_properties = kUnbounded;
  std::vector<SchemaGroup> groups;  // schemas with properties, patternProperties or additionalProperties
  std::vector<std::string> required, forbidden;
  std::vector<std::pair<std::string, SchemaAtom>> extra;  // holds for the property of that name besides
  SchemaGoal names;                                       // holds for the names themselves
  std::vector<Unevaluated> unevaluated;

  void merge(const ObjectSpec& other);
  bool requires_name(const std::string& name) const;
};

struct Shape {
  uint8_t types = kTypeAll;
  NumberSpec number;
  StringSpec string;
  ArraySpec array;
  ObjectSpec object;

  void merge(const Shape& other);
};

}  // namespace atelier::constraint
