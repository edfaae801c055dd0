#include "engine/constraint/schema_document.h"

#include <algorithm>
#include <array>

#include "engine/constraint/source_text.h"

namespace atelier::constraint {
namespace {

constexpr std::array<std::string_view, 14> kSchemaKeywords = {"additionalProperties",
                                                              "additionalItems",
                                                              "items",
                                                              "contains",
                                                              "not",
                                                              "if",
                                                              "then",
                                                              "else",
                                                              "propertyNames",
                                                              "unevaluatedItems",
                                                              "unevaluatedProperties",
                                                              "allOf",
                                                              "anyOf",
                                                              "oneOf"};
constexpr std::array<std::string_view, 6> kSchemaMapKeywords = {
    "properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"};

// The end of "scheme:", or 0.
size_t scheme_length(std::string_view uri) {
  size_t i = 0;
  while (i < uri.size() && (std::isalnum(static_cast<unsigned char>(uri[i])) || uri[i] == '+' ||
                            uri[i] == '-' || uri[i] == '.'))
    ++i;
  return i > 1 && i < uri.size() && uri[i] == ':' ? i + 1 : 0;
}

// RFC 3986, section 5.2, as far as schemas use it: no dots in paths.
std::string resolve_uri(std::string_view base, std::string_view reference) {
  if (reference.empty()) return std::string(base);
  const size_t scheme = scheme_length(base);
  if (scheme_length(reference) > 0 || scheme == 0) return std::string(reference);
  const bool has_authority = base.substr(scheme).starts_with("//");
  const size_t path = has_authority ? std::min(base.find('/', scheme + 2), base.size()) : scheme;
  if (reference.starts_with("//")) return std::string(base.substr(0, scheme)) + std::string(reference);
  if (reference.starts_with('/')) return std::string(base.substr(0, path)) + std::string(reference);
  const size_t slash = base.rfind('/');
  if (slash == base.npos || slash < path)
    return std::string(base.substr(0, path)) + (has_authority ? "/" : "") + std::string(reference);
  return std::string(base.substr(0, slash + 1)) + std::string(reference);
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](size_t at) {
      return at < text.size()
                 ? std::string_view("0123456789abcdef").find(static_cast<char>(std::tolower(text[at])))
                 : std::string_view::npos;
    };
    if (text[i] == '%' && digit(i + 1) != std::string_view::npos && digit(i + 2) != std::string_view::npos) {
      out.push_back(static_cast<char>(digit(i + 1) << 4 | digit(i + 2)));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

std::string without_fragment(std::string_view uri) {
  return std::string(uri.substr(0, std::min(uri.find('#'), uri.size())));
}

}  // namespace

Result<std::unique_ptr<SchemaDocument>> SchemaDocument::parse(std::string_view text) {
  auto document = std::make_unique<SchemaDocument>();
  ATELIER_TRY(document->root_, parse_json_value(text, "schema"));
  ATELIER_CHECK_OK(document->read_dialect());
  document->collect(document->root_, "", document->root_);
  return document;
}

Status SchemaDocument::read_dialect() {
  const JsonValue* dialect = root_.find("$schema");
  if (dialect == nullptr) return {};
  std::string_view uri = dialect->text;
  if (uri.ends_with('#')) uri.remove_suffix(1);
  if (uri.starts_with("https://")) uri.remove_prefix(8);
  if (uri.starts_with("http://")) uri.remove_prefix(7);
  if (uri == "json-schema.org/draft/2020-12/schema" || uri == "json-schema.org/draft/2019-09/schema")
    return {};
  if (uri == "json-schema.org/draft-07/schema" || uri == "json-schema.org/draft-06/schema" ||
      uri == "json-schema.org/draft-04/schema") {
    ref_stands_alone_ = true;
    return {};
  }
  if (uri == "json-schema.org/schema") return {};
  return fail(ErrorCode::kUnsupported,
              "schema: #/$schema: expected JSON Schema draft 4, 6, 7, 2019-09 or 2020-12, found {}",
              in_quotes(dialect->text));
}

void SchemaDocument::collect(const JsonValue& schema, const std::string& base, const JsonValue& resource) {
  if (!schema.is_object()) return;
  std::string own_base = base;
  const JsonValue* own_resource = &resource;
  const JsonValue* ref = schema.find("$ref");
  for (const char* keyword : {"$id", "id"}) {
    const JsonValue* id = schema.find(keyword);
    if (id == nullptr || !id->is_string() || (ref_stands_alone_ && ref != nullptr)) continue;
    if (id->text.starts_with('#')) {  // an anchor, before there was $anchor
      ids_.try_emplace(own_base + id->text, &schema);
      continue;
    }
    own_base = resolve_uri(base, without_fragment(id->text));
    own_resource = &schema;
    ids_.try_emplace(own_base, &schema);
  }
  for (const char* keyword : {"$anchor", "$dynamicAnchor"})
    if (const JsonValue* anchor = schema.find(keyword); anchor != nullptr && anchor->is_string())
      ids_.try_emplace(own_base + "#" + anchor->text, &schema);
  if (const JsonValue* anchor = schema.find("$dynamicAnchor"); anchor != nullptr)
    ++dynamic_anchors_[anchor->text];
  places_[&schema] = {own_base, own_resource};
  for (const auto& [name, value] : schema.members) {
    if (std::ranges::find(kSchemaKeywords, name) != kSchemaKeywords.end() || name == "prefixItems") {
      collect(value, own_base, *own_resource);
      for (const JsonValue& item : value.items) collect(item, own_base, *own_resource);
    } else if (std::ranges::find(kSchemaMapKeywords, name) != kSchemaMapKeywords.end()) {
      for (const auto& [key, member] : value.members) collect(member, own_base, *own_resource);
    }
  }
}

Result<const JsonValue*> SchemaDocument::resolve(const JsonValue& schema, std::string_view ref) const {
  const auto place = places_.find(&schema);
  const Place here = place == places_.end() ? Place{"", &root_} : place->second;
  const size_t hash = std::min(ref.find('#'), ref.size());
  const std::string_view before = ref.substr(0, hash);
  const std::string fragment = hash < ref.size() ? percent_decoded(ref.substr(hash + 1)) : "";
  const std::string base = resolve_uri(here.base, before);
  const JsonValue* resource = here.resource;
  if (!before.empty()) {
    const auto found = ids_.find(base);
    if (found == ids_.end())
      return fail(ErrorCode::kUnsupported,
                  "schema: {}/$ref: expected a reference inside the schema, found {}", where(schema),
                  in_quotes(ref));
    resource = found->second;
  }
  const JsonValue* target = nullptr;
  if (fragment.empty() || fragment.starts_with('/')) {
    target = resolve_pointer(*resource, fragment);
  } else if (const auto anchor = ids_.find(base + "#" + fragment); anchor != ids_.end()) {
    target = anchor->second;
  }
  if (target == nullptr)
    return fail(ErrorCode::kInvalidArgument,
                "schema: {}/$ref: expected a reference to something that is there, found {}", where(schema),
                in_quotes(ref));
  return target;
}

bool SchemaDocument::is_static(std::string_view dynamic_ref) const {
  const size_t hash = dynamic_ref.find('#');
  if (hash == dynamic_ref.npos) return true;
  const auto found = dynamic_anchors_.find(dynamic_ref.substr(hash + 1));
  return found == dynamic_anchors_.end() || found->second <= 1;
}

const JsonValue& SchemaDocument::keep(JsonValue value) {
  kept_.push_back(std::move(value));
  return kept_.back();
}

std::string SchemaDocument::where(const JsonValue& schema) const {
  const JsonValue* at = &schema;
  for (auto found = originals_.find(at); found != originals_.end(); found = originals_.find(at))
    at = found->second;
  return "#" + json_pointer(root_, *at);
}

}  // namespace atelier::constraint
