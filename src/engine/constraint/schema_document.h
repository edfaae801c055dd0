// A JSON Schema as read: its dialect, and what its references lead to.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "engine/constraint/json_value.h"

namespace atelier::constraint {

class SchemaDocument {
 public:
  // Drafts 4 to 2020-12, told apart by $schema; without one, whatever the keywords mean in the latest draft
  // that knows them. Errors: those of parse_json_value; kUnsupported for other dialects.
  static Result<std::unique_ptr<SchemaDocument>> parse(std::string_view text);

  const JsonValue& root() const { return root_; }
  // Up to draft 7, nothing beside $ref counts.
  bool ref_stands_alone() const { return ref_stands_alone_; }

  // What `ref`, the value of a $ref that stands in `schema`, points at. kUnsupported for other documents,
  // kInvalidArgument where nothing is there.
  Result<const JsonValue*> resolve(const JsonValue& schema, std::string_view ref) const;

  // Whether a $dynamicRef can mean one thing only: its $dynamicAnchor is there once, or not at all.
  bool is_static(std::string_view dynamic_ref) const;

  // A schema of our own making, kept as long as the document.
  const JsonValue& keep(JsonValue value);

  // "#/properties/a" for messages; of kept schemas, that of the value they were made for.
  std::string where(const JsonValue& schema) const;
  void stands_for(const JsonValue& kept, const JsonValue& original) { originals_[&kept] = &original; }

 private:
  Status read_dialect();
  void collect(const JsonValue& schema, const std::string& base, const JsonValue& resource);

  JsonValue root_;
  bool ref_stands_alone_ = false;
  std::map<std::string, const JsonValue*, std::less<>> ids_;    // absolute, and with #anchor
  std::map<std::string, size_t, std::less<>> dynamic_anchors_;  // how often each is there
  struct Place {
    std::string base;           // the URI that references are relative to
    const JsonValue* resource;  // the root for pointers
  };
  std::unordered_map<const JsonValue*, Place> places_;
  std::deque<JsonValue> kept_;
  std::unordered_map<const JsonValue*, const JsonValue*> originals_;
};

}  // namespace atelier::constraint
