#include "agent/harness/call_grammar.h"

#include <algorithm>
#include <vector>

#include "chat/json_text.h"
#include "engine/constraint/gbnf.h"

namespace atelier::agent {
namespace {

using chat::Json;

// A GBNF literal.
std::string literal(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + "\"";
}

std::string char_class(std::string_view chars, bool negated) {
  std::string out = negated ? "[^" : "[";
  for (const char c : chars) {
    if (c == '\n') {
      out += "\\n";
    } else {
      if (c == ']' || c == '\\' || c == '^' || c == '-') out += '\\';
      out += c;
    }
  }
  return out + "]";
}

// How much of `tag` ends with `matched` characters of it followed by `c`.
size_t next_match(std::string_view tag, size_t matched, char c) {
  const std::string seen = std::string(tag.substr(0, matched)) + c;
  for (size_t n = std::min(seen.size(), tag.size()); n > 0; --n)
    if (std::string_view(seen).ends_with(tag.substr(0, n))) return n;
  return 0;
}

// Rules for the JSON of a schema, one after the other.
class SchemaRules {
 public:
  // The rule's name.
  Result<std::string> add(const Json& schema) {
    if (const Json* any = chat::member(schema, "anyOf")) {
      std::string body;
      for (const Json& option : *any) {
        ATELIER_TRY(const std::string rule, add(option));
        body += (body.empty() ? "" : " | ") + rule;
      }
      return name(body);
    }
    if (const Json* values = chat::member(schema, "enum")) {
      std::string body;
      for (const Json& value : *values)
        body += (body.empty() ? "" : " | ") + literal(chat::compact_json(value));
      return name(body);
    }
    const std::string* type = chat::string_member(schema, "type");
    if (type == nullptr) return fail(ErrorCode::kUnsupported, "schema: expected \"type\", found none");
    if (*type == "object") return object(schema);
    if (*type == "array") return array(schema);
    if (*type == "string") {
      const bool not_empty = chat::member(schema, "minLength") != nullptr;
      return name(not_empty ? R"("\"" char+ "\"")" : R"("\"" char* "\"")");
    }
    if (*type == "integer") return name("[1-9] [0-9]{0,8}");
    if (*type == "boolean") return name(R"("true" | "false")");
    return fail(ErrorCode::kUnsupported, "schema: type {} is not supported", *type);
  }

  std::string text(const std::string& root) const {
    return rules_ + "root ::= " + root + "\n" +
           R"(char ::= [^"\\\x00-\x1f\x7f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
colon ::= ":" " "?
comma ::= "," " "?
)";
  }
  std::string name(const std::string& body) {
    const std::string rule = fmt::format("r{}", n_++);
    rules_ += rule + " ::= " + body + "\n";
    return rule;
  }

 private:
  // Members in the order of the schema, each at most once.
  Result<std::string> object(const Json& schema) {
    struct Member {
      std::string text;
      bool required;
    };
    std::vector<Member> members;
    const Json* properties = chat::member(schema, "properties");
    const Json* required = chat::member(schema, "required");
    if (properties != nullptr)
      for (const auto& [key, value] : properties->items()) {
        ATELIER_TRY(const std::string rule, add(value));
        const bool needed = required != nullptr && std::ranges::find(*required, Json(key)) != required->end();
        members.push_back({literal(chat::compact_json(Json(key))) + " colon " + rule, needed});
      }
    // after[i]: what may follow once a member before i was written; first[i]: if none was.
    std::string after = "\"\"", first = "\"\"";
    for (size_t i = members.size(); i-- > 0;) {
      const Member& m = members[i];
      const std::string next_after = name(after);
      const std::string next_first = name(first);
      after = "comma " + m.text + " " + next_after + (m.required ? "" : " | " + next_after);
      first = m.text + " " + next_after + (m.required ? "" : " | " + next_first);
    }
    return name("\"{\" (" + first + ") \"}\"");
  }

  Result<std::string> array(const Json& schema) {
    const Json* items = chat::member(schema, "items");
    if (items == nullptr) return fail(ErrorCode::kUnsupported, "schema: expected \"items\", found none");
    ATELIER_TRY(const std::string item, add(*items));
    const std::string list = item + " (comma " + item + ")*";
    return name(chat::member(schema, "minItems") ? "\"[\" " + list + " \"]\""
                                                 : "\"[\" (" + list + ")? \"]\"");
  }

  std::string rules_;
  size_t n_ = 0;
};

}  // namespace

Result<std::shared_ptr<const constraint::Grammar>> json_grammar(std::string_view schema) {
  ATELIER_TRY(const Json json, chat::parse_json(schema, "schema"));
  SchemaRules rules;
  ATELIER_TRY(const std::string root, rules.add(json));
  return constraint::compile_gbnf(rules.text(root));
}

Result<std::shared_ptr<const constraint::Grammar>> call_grammar(std::span<const CallableTool> tools,
                                                                std::string_view arguments_key) {
  SchemaRules rules;
  std::string body;
  for (const CallableTool& tool : tools) {
    ATELIER_TRY(const Json json, chat::parse_json(tool.schema, tool.name));
    ATELIER_TRY(const std::string arguments, rules.add(json));
    body += (body.empty() ? "" : " | ") +
            rules.name(fmt::format("{} {} colon {} \"}}\"", literal("\"" + tool.name + "\"" + ", "),
                                   literal(fmt::format("\"{}\"", arguments_key)), arguments));
  }
  return constraint::compile_gbnf(rules.text("\"{\\\"name\\\": \" (" + body + ")"));
}

Result<std::shared_ptr<const constraint::Grammar>> tagged_text_grammar(std::string_view tag,
                                                                       TaggedText endings) {
  if (!endings.text) return constraint::compile_gbnf("root ::= " + literal(tag) + "\n");
  std::string chars(tag);
  std::ranges::sort(chars);
  chars.erase(std::unique(chars.begin(), chars.end()), chars.end());
  const auto alternatives = [&](size_t matched) {
    std::string body = char_class(chars, /*negated=*/true) + " t0";
    for (const char c : chars) {
      const size_t next = next_match(tag, matched, c);
      if (next < tag.size()) {
        body += fmt::format(" | {} t{}", char_class(std::string(1, c), false), next);
      } else if (endings.calls) {
        body += " | " + char_class(std::string(1, c), false);
      }
    }
    return body;
  };
  std::string rules = "root ::= " + alternatives(0) + "\n";
  for (size_t matched = 0; matched < tag.size(); ++matched)
    rules += fmt::format("t{} ::= \"\" | {}\n", matched, alternatives(matched));
  return constraint::compile_gbnf(rules);
}

Result<std::shared_ptr<const constraint::Grammar>> untagged_text_grammar() {
  return constraint::compile_gbnf("root ::= [^ \\t\\r\\n{\\[] [^\\x00]*\n");
}

}  // namespace atelier::agent
