// JSON Schemas: which texts their grammars match, what is refused and by which name, and how much a schema
// may ask for.
#include "engine/constraint/json_schema.h"

#include <gtest/gtest.h>

#include "tests/engine/constraint_vocabulary.h"

namespace atelier::constraint {
namespace {

struct SchemaCase {
  std::string schema;
  std::vector<std::string> yes, no;
};

void check(const std::vector<SchemaCase>& cases, const JsonSchemaOptions& options = {}) {
  for (const SchemaCase& c : cases) {
    const auto grammar = compile_json_schema(c.schema, options);
    ASSERT_TRUE(grammar) << c.schema << ": " << grammar.error().message;
    for (const std::string& text : c.yes) EXPECT_TRUE(matches(*grammar, text)) << c.schema << " : " << text;
    for (const std::string& text : c.no) EXPECT_FALSE(matches(*grammar, text)) << c.schema << " : " << text;
  }
}

std::string repeated(std::string_view text, size_t n) {
  std::string out;
  for (size_t i = 0; i < n; ++i) out += text;
  return out;
}

TEST(JsonSchema, TypesAndValues) {
  check({
      {R"({})", {"1", "null", "\"a\"", "[1, {\"a\": []}]", "{}"}, {"", "nul", "1 ", "[1,]", "{a:1}"}},
      {R"(true)", {"false"}, {"x"}},
      {R"({"type":"string"})",
       {R"("a\n\"é\u00e9\ud83d\ude00")"},
       {"a", "\"a", "\"\n\"", R"("\ud83d")", R"("\x")"}},
      {R"({"type":["integer","null"]})", {"0", "-12", "null"}, {"1.5", "01", "\"1\"", "-0.5"}},
      {R"({"type":"boolean"})", {"true", "false"}, {"null", "True"}},
      {R"({"enum":["a","b\"c",3,null,[1,{"x":2}]]})",
       {"\"a\"", R"("b\"c")", "3", "null", R"([1,{"x":2}])", R"([1, {"x": 2}])"},
       {"\"b\"", "4", "[1]", R"([1,{"x":3}])"}},
      {R"({"const":{"k":[true]}})", {R"({"k":[true]})"}, {"{}", R"({"k":[false]})"}},
      {R"({"type":"string","nullable":true})", {"null", "\"\""}, {"1"}},
  });
}

TEST(JsonSchema, Numbers) {
  check({
      {R"({"type":"integer","minimum":-3,"maximum":120})", {"-3", "0", "99", "120"}, {"-4", "121", "1000"}},
      {R"({"type":"integer","exclusiveMinimum":0,"exclusiveMaximum":10})", {"1", "9"}, {"0", "10", "-1"}},
      {R"({"type":"number","minimum":0.5,"maximum":1.25})",
       {"0.5", "1", "1.25", "0.75"},
       {"0.4", "1.26", "0.49"}},
      {R"({"type":"number","minimum":0,"exclusiveMinimum":true})", {"0.1", "5"}, {"0", "-1", "0.0"}},
      {R"({"type":"integer","multipleOf":5})", {"0", "5", "-15", "100"}, {"4", "7"}},
      {R"({"type":"number","multipleOf":0.01})", {"1.25", "0.1", "3"}, {"1.255"}},
      {R"({"type":"integer","not":{"enum":[1,2]}})", {"0", "3", "12"}, {"1", "2"}},
  });
}

TEST(JsonSchema, Strings) {
  check({
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {"\"ab\"", "\"日本語\"", R"("a\n")"},
       {"\"a\"", "\"abcd\""}},
      {R"({"type":"string","pattern":"^[a-z]+$"})", {"\"abc\""}, {"\"\"", "\"aB\"", "\"abc1\""}},
      {R"({"type":"string","pattern":"b"})", {"\"abc\"", "\"b\""}, {"\"ac\""}},
      {R"({"type":"string","pattern":"^\\d{3}-\\d{4}$","maxLength":8})", {"\"123-4567\""}, {"\"1234567\""}},
      {R"({"type":"string","pattern":"^a","minLength":3,"maxLength":4})",
       {"\"abc\"", "\"abcd\""},
       {"\"ab\"", "\"bcd\""}},
      {R"({"type":"string","format":"date"})",
       {"\"2024-02-29\"", "\"2023-12-31\""},
       {"\"2023-02-29\"", "\"2023-13-01\""}},
      {R"({"type":"string","format":"date-time"})", {"\"2024-02-29T23:59:59Z\""}, {"\"2024-02-29\""}},
      {R"({"type":"string","format":"uuid"})",
       {"\"123e4567-e89b-12d3-a456-426614174000\""},
       {"\"123e4567\""}},
      {R"({"type":"string","format":"email"})", {"\"a.b@example.org\""}, {"\"a@@b\"", "\"a\""}},
      {R"({"type":"string","format":"ipv4"})", {"\"127.0.0.1\""}, {"\"256.0.0.1\"", "\"1.2.3\""}},
  });
}

TEST(JsonSchema, Objects) {
  check({
      // In the order of the schema, those not required may be left out, no others.
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},"c":{}},"required":["b"]})",
       {R"({"b":"x"})", R"({"a":1,"b":"x"})", R"({"a": 1, "b": "x", "c": [2]})", "{\n  \"b\": \"x\"\n}"},
       {"{}", R"({"b":"x","a":1})", R"({"a":1})", R"({"b":"x","d":1})", R"({"b":1})", R"({"b":"x",})"}},
      {R"({"type":"object"})", {"{}", R"({"any":1,"thing":{}})"}, {"[]"}},
      {R"({"type":"object","additionalProperties":{"type":"integer"}})",
       {"{}", R"({"x":1,"y":2})"},
       {R"({"x":"1"})"}},
      {R"({"type":"object","properties":{"a":{}},"additionalProperties":{"type":"null"}})",
       {R"({"a":1,"z":null})", R"({"z":null})"},
       {R"({"z":1})", R"({"a":1,"a":2})"}},
      {R"({"type":"object","patternProperties":{"^n_":{"type":"integer"}},"additionalProperties":false})",
       {"{}", R"({"n_a":1})"},
       {R"({"n_a":"x"})", R"({"m":1})"}},
      {R"({"type":"object","properties":{"a":{},"b":{},"c":{}},"minProperties":2,"maxProperties":2})",
       {R"({"a":1,"b":2})", R"({"a":1,"c":2})"},
       {"{}", R"({"a":1})", R"({"a":1,"b":2,"c":3})"}},
      {R"({"type":"object","propertyNames":{"pattern":"^[a-z]{2}$"},"additionalProperties":{"type":"boolean"}})",
       {R"({"ab":true})"},
       {R"({"abc":true})", R"({"AB":true})"}},
      {R"({"type":"object","properties":{"card":{},"billing":{}},"dependentRequired":{"card":["billing"]}})",
       {"{}", R"({"billing":1})", R"({"card":1,"billing":2})"},
       {R"({"card":1})"}},
  });
  check({{R"({"type":"object","properties":{"a":{"type":"integer"}}})",
          {R"({"a":1,"other":[]})"},
          {R"({"a":"x"})"}}},
        {.unlisted_properties = true});
  check({{R"({"additionalProperties":false,"properties":{"a":{}}})", {"{}", R"({"a":1})"}, {"1", "[]"}}},
        {.object_only = true});
}

TEST(JsonSchema, Arrays) {
  check({
      {R"({"type":"array","items":{"type":"integer"}})", {"[]", "[1]", "[1, 2,3]"}, {"[\"a\"]", "[1,]"}},
      {R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":3})",
       {"[1,2]", "[1,2,3]"},
       {"[1]", "[1,2,3,4]"}},
      {R"({"type":"array","prefixItems":[{"type":"string"},{"type":"integer"}],"items":false})",
       {"[]", "[\"a\"]", "[\"a\",1]"},
       {"[1]", "[\"a\",1,2]"}},
      {R"({"type":"array","items":{"enum":["a","b","c"]},"uniqueItems":true,"minItems":2})",
       {R"(["a","b"])", R"(["c","a","b"])"},
       {R"(["a"])", R"(["a","a"])"}},
      {R"({"type":"array","contains":{"const":7},"items":{"type":"integer"}})",
       {"[7]", "[1,7,2]"},
       {"[]", "[1,2]"}},
      {R"({"type":"array","contains":{"const":7},"minContains":2,"maxContains":3,"items":{"type":"integer"}})",
       {"[7,7]", "[1,7,2,7,7]"},
       {"[7]", "[7,7,7,7]", "[1,2]", "[]"}},
      {R"({"type":"array","allOf":[{"contains":{"const":1}},{"contains":{"const":2}}],"items":{"type":"integer"},"maxItems":4})",
       {"[1,2]", "[2,9,1]", "[3,2,1,3]"},
       {"[1]", "[2,2]", "[3,3,3,1,2]"}},
      {R"({"type":"array","prefixItems":[{"type":"string"}],"contains":{"type":"null"},"maxContains":1})",
       {R"(["a",null])", R"(["a",1,null,2])"},
       {R"(["a"])", R"([null])", R"(["a",null,null])"}},
      {R"({"type":"array","contains":{"type":"null"},"minContains":0,"maxContains":1})",
       {"[]", "[null]", "[1]"},
       {"[null,null]"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"type":"array","items":{"type":"integer"},"maxItems":100000})",
       {"[" + repeated("1,", 500) + "1]"},
       {"[1,a]"}},
  });
}

TEST(JsonSchema, Logic) {
  check({
      {R"({"anyOf":[{"type":"string"},{"type":"integer","minimum":5}]})", {"\"x\"", "5"}, {"4", "null"}},
      {R"({"allOf":[{"type":"integer"},{"minimum":3},{"maximum":5}]})", {"3", "5"}, {"2", "6", "\"4\""}},
      {R"({"oneOf":[{"type":"integer","multipleOf":2},{"type":"integer","minimum":10}]})",
       {"2", "11"},
       {"12", "3"}},
      {R"({"type":"number","not":{"multipleOf":0.5}})", {"0.25", "3.1"}, {"1", "2.5", "4.0", "0"}},
      {R"({"not":{"type":"string"}})", {"1", "null", "[]"}, {"\"a\""}},
      {R"({"type":"object","properties":{"kind":{"enum":["a","b"]},"x":{}},"required":["kind"],
           "if":{"properties":{"kind":{"const":"a"}}},"then":{"required":["x"]}})",
       {R"({"kind":"b"})", R"({"kind":"a","x":1})"},
       {R"({"kind":"a"})"}},
      {R"({"$ref":"#/$defs/p","$defs":{"p":{"type":"integer"}}})", {"1"}, {"\"1\""}},
      // Recursion.
      {R"({"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{"value":{"type":"integer"},
           "children":{"type":"array","items":{"$ref":"#/$defs/tree"}}},"required":["value"]}}})",
       {R"({"value":1})", R"({"value":1,"children":[{"value":2,"children":[]},{"value":3}]})"},
       {R"({"value":1,"children":[{"children":[]}]})"}},
      {R"({"oneOf":[{"type":"object","properties":{"t":{"const":"a"},"n":{"type":"integer"}},"required":["t","n"]},
                    {"type":"object","properties":{"t":{"const":"b"}},"required":["t"]}]})",
       {R"({"t":"a","n":1})", R"({"t":"b"})"},
       {R"({"t":"a"})", R"({"t":"b","n":1})"}},
  });
}

// What a grammar cannot guarantee, or what is unknown, is refused by its name and place.
TEST(JsonSchema, RefusesByKeyword) {
  const std::vector<std::array<std::string, 2>> cases = {
      {R"({"properties":{"a":{"type":"array","uniqueItems":true,"items":{"type":"string"}}}})",
       "uniqueItems"},
      {R"({"type":"array","contains":{"type":"integer"},"minContains":2000})", "#/contains"},
      {R"({"type":"string","format":"nonsense"})", "#/format: format \"nonsense\""},
      {R"({"properties":{"a":{"type":"string","pattern":"(?=x)y"}}})", "#/properties/a/pattern"},
      {R"({"type":"integer","minimun":3})", "#/minimun: keyword not supported"},
      {R"({"$ref":"https://example.org/other.json"})", "#/$ref"},
      {R"({"$ref":"#/$defs/none"})", "#/$ref"},
      {R"({"allOf":[{"$ref":"#"}]})", "refers back to itself"},
      {R"({"type":"text"})", "#/type"},
      {R"({"type":"string","minLength":-1})", "#/minLength"},
      {R"({"$schema":"http://example.org/own"})", "#/$schema"},
      {R"({"allOf":[{"type":"string"},{"type":"integer"}]})", "none can"},
      {R"({"type":"object","required":["a"],"properties":{"a":false}})", "none can"},
      {R"({"type":"string")", "byte"},
      {R"([])", "expected a schema"},
      {R"({"type":"string","type":"integer"})", "expected each member once"},
  };
  for (const auto& [schema, part] : cases) {
    const auto grammar = compile_json_schema(schema);
    ASSERT_FALSE(grammar) << schema;
    EXPECT_NE(grammar.error().message.find(part), std::string::npos)
        << schema << ": " << grammar.error().message;
  }
}

// However much a schema asks for, compiling ends soon, with a grammar or with kLimit.
TEST(JsonSchema, BoundsWhatASchemaMayAskFor) {
  const auto code = [](const std::string& schema) {
    const auto grammar = compile_json_schema(schema);
    return grammar ? std::optional<ErrorCode>() : std::optional(grammar.error().code);
  };
  EXPECT_EQ(code(repeated("[", 10'000'000)), ErrorCode::kLimit);
  EXPECT_EQ(code(repeated("{\"not\":", 30'000) + "{}" + repeated("}", 30'000)), ErrorCode::kLimit);
  EXPECT_EQ(code(repeated("{\"items\":", 70) + "{}" + repeated("}", 70)), ErrorCode::kLimit);
  EXPECT_EQ(code(R"({"pattern":")" + repeated("(", 10'000'000) + "\"}"), ErrorCode::kLimit);
  // Alternatives that multiply: 2^30 of them.
  std::string all = R"({"allOf":[)";
  for (int i = 0; i < 30; ++i)
    all +=
        (i ? "," : "") + fmt::format(R"({{"anyOf":[{{"required":["a{0}"]}},{{"required":["b{0}"]}}]}})", i);
  EXPECT_EQ(code(all + "]}"), ErrorCode::kLimit);
  std::string branches = R"({"oneOf":[)";
  for (int i = 0; i < 2000; ++i) branches += (i ? "," : "") + fmt::format(R"({{"minimum":{}}})", i);
  EXPECT_TRUE(code(branches + "]}").has_value());
  // Counts are counters: large ones cost nothing.
  EXPECT_EQ(code(R"({"type":"string","minLength":500000,"maxLength":900000000})"), std::nullopt);
  EXPECT_EQ(code(R"({"type":"array","minItems":1000000})"), std::nullopt);
  EXPECT_EQ(code(R"({"type":"string","pattern":"^(a|ab){1000}(b|c){1,90000}$"})"), std::nullopt);
  EXPECT_NE(code(R"({"type":"integer","minimum":1e400})"), ErrorCode::kIo);  // whatever, but an answer
}

TEST(JsonSchema, PartsOfOneGrammar) {
  GrammarBuilder builder;
  JsonLanguage json(builder, JsonSpace::kCompact);
  const RuleId root = builder.declare("root");
  const auto a = json_schema_expr(R"({"type":"integer"})", json),
             b = json_schema_expr(R"({"enum":["x"]})", json);
  builder.define(root,
                 builder.sequence({builder.bytes("<"), *a, builder.bytes("|"), *b, builder.bytes(">")}));
  const auto grammar = builder.build(root).value();
  EXPECT_TRUE(matches(grammar, "<12|\"x\">"));
  EXPECT_FALSE(matches(grammar, "<12|\"y\">"));
}

}  // namespace
}  // namespace atelier::constraint
