#include "chat/harmony_schema.h"

#include <optional>
#include <set>
#include <vector>

namespace atelier::chat::harmony {
namespace {

const Json* array_member(const Json& schema, const char* key) {
  const Json* found = member(schema, key);
  return found && found->is_array() ? found : nullptr;
}

bool is_enum(const Json& schema) {
  const Json* values = array_member(schema, "enum");
  return values && !values->empty();
}

enum class EnumDefault { kBare, kQuoted };  // how a default that is one of an enum's strings is written

std::string default_text(const Json& schema, EnumDefault enum_default) {
  const Json& value = *member(schema, "default");
  const std::string* text = string_member(schema, "default");
  if (text && !is_enum(schema)) return "default: \"" + *text + "\"";  // not escaped
  if (text && enum_default == EnumDefault::kBare) return "default: " + *text;
  return "default: " + compact_json(value);
}

std::string nullable_type(const Json& schema, const std::string& indent) {
  std::string type = type_of_schema(schema, indent);
  const Json* nullable = member(schema, "nullable");
  const bool is_nullable = nullable && nullable->is_boolean() && nullable->get<bool>();
  if (is_nullable && type.find("null") == std::string::npos) type += " | null";
  return type;
}

std::string trailing_comment(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? " // " : " ") + part;
  return out;
}

std::string one_of_type(const Json& variants, const std::string& indent) {
  std::string out;
  for (const Json& variant : variants) {
    out += "\n" + indent + " | " + nullable_type(variant, indent + "   ");
    std::vector<std::string> comments;
    if (const std::string* text = string_member(variant, "description")) comments.push_back(*text);
    if (member(variant, "default")) comments.push_back(default_text(variant, EnumDefault::kQuoted));
    out += trailing_comment(comments);
  }
  return out;
}

std::string comment_line(const std::string& indent, const std::string& text) {
  return indent + "// " + text + "\n";
}

std::string property_comments(const Json& schema, const std::string& indent) {
  std::string out;
  if (const std::string* title = string_member(schema, "title"))
    out += comment_line(indent, *title) + indent + "//\n";
  const std::string* description = string_member(schema, "description");
  if (description && !member(schema, "oneOf")) out += comment_line(indent, *description);
  const Json* examples = array_member(schema, "examples");
  if (examples && !examples->empty()) {
    out += comment_line(indent, "Examples:");
    for (const Json& example : *examples)
      if (example.is_string())
        out += comment_line(indent, "- \"" + example.get_ref<const std::string&>() + "\"");
  }
  return out;
}

// A property whose type is a choice takes one line per alternative, closed by a line with the comma.
std::string one_of_property(const std::string& name, const Json& schema, const std::string& indent) {
  const Json& variants = *member(schema, "oneOf");
  const std::string* description = string_member(schema, "description");
  const std::string* first = variants.empty() ? nullptr : string_member(variants[0], "description");
  const bool above = description && !(first && *first == *description);
  std::string out;
  if (above) out += comment_line(indent, *description);
  if (member(schema, "default")) out += comment_line(indent, default_text(schema, EnumDefault::kBare));
  out += indent + name + ":\n";
  for (size_t i = 0; i < variants.size(); ++i) {
    const Json& variant = variants[i];
    out += indent + " | " + nullable_type(variant, indent + "   ");
    std::vector<std::string> comments;
    const std::string* text = string_member(variant, "description");
    const bool said_above = (i == 0 && above) || (text && description && *text == *description);
    if (text && !said_above) comments.push_back(*text);
    if (member(variant, "default")) comments.push_back(default_text(variant, EnumDefault::kBare));
    out += trailing_comment(comments) + "\n";
  }
  return out + indent + ",\n";
}

std::string property(const std::string& name, const Json& schema, const std::string& indent) {
  if (array_member(schema, "oneOf")) return one_of_property(name, schema, indent);
  std::string out = indent + name + ": " + nullable_type(schema, indent + "    ") + ",";
  if (member(schema, "default") && !member(schema, "oneOf"))
    out += " // " + default_text(schema, EnumDefault::kBare);
  return out + "\n";
}

std::string object_type(const Json& schema, const std::string& indent) {
  std::string out;
  if (const std::string* text = string_member(schema, "description")) out += comment_line(indent, *text);
  out += "{\n";
  std::set<std::string> required;
  if (const Json* names = array_member(schema, "required"))
    for (const Json& name : *names)
      if (name.is_string()) required.insert(name.get<std::string>());
  if (const Json* properties = member(schema, "properties"); properties && properties->is_object()) {
    for (const auto& [key, value] : properties->items()) {
      out += property_comments(value, indent);
      out += property(required.contains(key) ? key : key + "?", value, indent);
    }
  }
  return out + indent + "}";
}

std::string string_type(const Json& schema) {
  std::string out;
  if (const Json* values = array_member(schema, "enum"))
    for (const Json& value : *values)
      if (value.is_string())
        out += (out.empty() ? "\"" : " | \"") + value.get_ref<const std::string&>() + "\"";  // not escaped
  return out.empty() ? "string" : out;
}

std::optional<std::string> union_type(const Json& types) {
  std::optional<std::string> out;
  for (const Json& type : types) {
    if (!type.is_string()) continue;
    const std::string& name = type.get_ref<const std::string&>();
    out = (out ? *out + " | " : "") + (name == "integer" ? "number" : name);
  }
  return out;
}

}  // namespace

std::string type_of_schema(const Json& schema, const std::string& indent) {
  if (const Json* variants = array_member(schema, "oneOf")) return one_of_type(*variants, indent);
  if (const Json* types = array_member(schema, "type"))
    if (const auto type = union_type(*types)) return *type;
  const std::string* type = string_member(schema, "type");
  if (!type) return "any";
  if (*type == "object") return object_type(schema, indent);
  if (*type == "string") return string_type(schema);
  if (*type == "number" || *type == "integer") return "number";
  if (*type == "boolean") return "boolean";
  if (*type == "array") {
    const Json* items = member(schema, "items");
    return items ? type_of_schema(*items, indent) + "[]" : "Array<any>";
  }
  return "any";
}

}  // namespace atelier::chat::harmony
