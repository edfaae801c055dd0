// What a template cannot do, what its errors say, and which bytes of a rendering it wrote itself.
#include "chat/template/template.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace atelier::chat {
namespace {

using jinja::ByteRange;
using jinja::RenderLimits;
using jinja::Text;

jinja::Dict variables(const Json& json) { return *jinja::from_json(json).dict(); }

Result<Text> render(std::string_view source, const Json& values = Json::object(),
                    const RenderLimits& limits = {}) {
  const auto parsed = ChatTemplate::parse(source);
  if (!parsed) return tl::unexpected<Error>(parsed.error());
  return parsed->render(variables(values), "2025-06-28", limits);
}

Error error_of(std::string_view source, const Json& values = Json::object(),
               const RenderLimits& limits = {}) {
  const auto text = render(source, values, limits);
  return text ? Error{ErrorCode::kNotFound, "no error: " + text->str().substr(0, 100)} : text.error();
}

std::string repeated(std::string_view part, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += part;
  return out;
}

// The rendering with what the template wrote in guillemets.
std::string marked(const Text& text) {
  std::string out;
  size_t at = 0;
  for (const ByteRange& range : text.trusted_ranges()) {
    out += text.str().substr(at, range.begin - at) + "«" +
           text.str().substr(range.begin, range.end - range.begin) + "»";
    at = range.end;
  }
  return out + text.str().substr(at);
}

std::string origin(std::string_view source, const Json& values) {
  const auto text = render(source, values);
  return text ? marked(*text) : text.error().message;
}

TEST(ChatTemplate, ErrorsNameLineAndColumn) {
  EXPECT_EQ(error_of("a\n{{ b }").message,
            "chat template: line 2, column 6: expected a template, found a '}' that nothing opened");
  EXPECT_EQ(error_of("{% if x %}\n  ü {{ 1 +\n }}").message,
            "chat template: line 3, column 2: expected an expression, found }}");
  EXPECT_EQ(error_of("\n\nüü{{ none.a.b }}").message,
            "chat template: line 3, column 12: 'None object' has no attribute 'a'");
  EXPECT_EQ(error_of("{{ x | nosuch }}").message,
            "chat template: line 1, column 6: there is no filter 'nosuch'");
  EXPECT_EQ(error_of("{% macro m(a) %}\n{{ a + 1 }}{% endmacro %}\n{{ m('x') }}").message,
            "chat template: line 2, column 6: +: cannot take str and int");
  EXPECT_EQ(error_of("{{ raise_exception('Roles must alternate') }}").message,
            "chat template: line 1, column 19: Roles must alternate");
  EXPECT_EQ(error_of("{% for x in [1] %}{% include 'passwd' %}{% endfor %}").code, ErrorCode::kUnsupported);
}

TEST(ChatTemplate, ReachesNothing) {
  for (const char* expression : {"''.__class__.__mro__", "x.__init__.__globals__", "namespace.__init__.x",
                                 "range.__self__.x", "[].append(1)", "{}.update({})", "open('/etc/passwd')",
                                 "import('os')", "cycler.__init__", "self._TemplateReference__context"})
    EXPECT_EQ(error_of(fmt::format("{{{{ {} }}}}!", expression), {{"x", "y"}}).code,
              ErrorCode::kInvalidArgument)
        << expression;
  // The date is the conversation's; without one there is no clock to ask.
  const auto parsed =
      ChatTemplate::parse("{{ strftime_now is defined }}{{ strftime_now('%Y') if strftime_now is defined }}");
  EXPECT_EQ(parsed->render({}, "")->str(), "False");
  EXPECT_EQ(parsed->render({}, "2031-01-02")->str(), "True2031");
}

TEST(ChatTemplate, CostsNoMoreThanItMay) {
  const std::vector<std::string> costly = {
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% "
      "endfor %}",
      "{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% "
      "endfor %}",
      "{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{{ 'a' * 9223372036854775807 }}",
      "{{ ['a'] * 9223372036854775807 }}",
      "{{ 'a'.center(9223372036854775807) }}",
      "{{ 'a'.ljust(9223372036854775807, 'é') }}",
      "{{ 'a' | indent(9223372036854775807, true) }}",
      "{{ 'abc' | center(9223372036854775807) }}",
      "{{ range(9223372036854775807) }}",
      "{{ range(-1, -9223372036854775807, -1) }}",
      "{% set ns = namespace(s='a' * 100000) %}{% for i in range(9999) %}{% set ns.s = ns.s.replace('', "
      "ns.s) %}{% endfor %}",
      "{% set s = 'ab' * 100000 %}{% for i in range(99999) %}{% set t = s | upper | list %}{% endfor %}",
      "{% set s = 'ab' * 100000 %}{% for i in range(99999) %}{{ s[i] }}{% endfor %}",
      "{% set s = 'ab' * 100000 %}{% for i in range(99999) %}{% if s == s ~ '' %}{% endif %}{% endfor %}",
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% macro m(n) %}{{ m(n + 1) ~ m(n + 1) }}{% endmacro %}{{ m(0) }}",
      "{% macro m() %}{% if 1 %}{% if 1 %}{% if 1 %}{% if 0 %}{{ caller() }}{% endif %}{% call m() %}{{ m() "
      "}}{% endcall %}{% "
      "endif %}{% endif %}{% "
      "endif %}{% endmacro %}{% call m() %}{% endcall %}",
      "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}",
      "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = {'a': ns.l} %}{% endfor %}",
      // A value of 2^100 leaves that is only 100 lists.
      "{% set ns = namespace(l=[0]) %}{% for i in range(100) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ "
      "ns.l }}",
      "{% set ns = namespace(l=[0]) %}{% for i in range(100) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ "
      "ns.l | tojson }}",
      "{% set a = namespace(l=[0], m=[0]) %}{% for i in range(100) %}{% set a.l = [a.l, a.l] %}{% set a.m = "
      "[a.m, a.m] %}"
      "{% endfor %}{{ a.l == a.m }}",
      "{{ range(99999) | map('string') | map('list') | map('join', 'x' * 1000) | join }}",
      "{{ '%1000000s' * 1000 % ('a',) }}",
      "{{ '{:1048576}' | replace('a', 'b') }}{{ ('{:1048576}' * 999).format(*range(999)) }}",
  };
  for (const std::string& source : costly) {
    const auto text = render(source, Json::object(), {.steps = 1 << 20});
    // The last few may stop at a width or a count before they cost much.
    ASSERT_FALSE(text) << source.substr(0, 120);
    EXPECT_TRUE(text.error().code == ErrorCode::kLimit || source.find("%1000000s") != std::string::npos)
        << source.substr(0, 120) << ": " << text.error().message;
    EXPECT_NE(text.error().message.find("line 1, column"), std::string::npos) << text.error().message;
  }
  EXPECT_EQ(error_of("{{ x }}{{ x }}", {{"x", repeated("a", 60)}}, {.output_bytes = 100}).code,
            ErrorCode::kLimit);
  EXPECT_EQ(error_of("{% for i in range(50) %}{% endfor %}", Json::object(), {.steps = 40}).code,
            ErrorCode::kLimit);
}

TEST(ChatTemplate, RefusesDeepNesting) {
  constexpr size_t kDeep = 200'000;
  for (const std::string& source :
       {"{{ " + repeated("(", kDeep) + "1" + repeated(")", kDeep) + " }}",
        "{{ " + repeated("[", kDeep) + repeated("]", kDeep) + " }}",
        "{{ " + repeated("{1:", kDeep) + "1" + repeated("}", kDeep) + " }}",
        "{{ " + repeated("not ", kDeep) + "1 }}", "{{ " + repeated("-", kDeep) + "1 }}",
        "{{ 1" + repeated(" + 1", kDeep) + " }}", "{{ 1" + repeated(" and 1", kDeep) + " }}",
        "{{ a" + repeated(".a", kDeep) + " }}", "{{ a" + repeated("[0]", kDeep) + " }}",
        "{{ a" + repeated("()", kDeep) + " }}", "{{ a" + repeated(" | trim", kDeep) + " }}",
        "{{ a" + repeated("(a", kDeep) + repeated(")", kDeep) + " }}",
        "{{ 1" + repeated(" if 1 else 1", kDeep / 2) + " }}", "{{ 1" + repeated(" ** 1", kDeep) + " }}",
        repeated("{% if 1 %}", 90'000), repeated("{% for a in b %}", 60'000), repeated("{% set a %}", 60'000),
        repeated("{% macro a() %}", 60'000), "{% for " + repeated("(", kDeep) + "a in b %}"}) {
    const auto text = render(source);
    ASSERT_FALSE(text) << source.substr(0, 40);
    EXPECT_EQ(text.error().code,
              source.starts_with("{% for (") ? ErrorCode::kInvalidArgument : ErrorCode::kLimit)
        << source.substr(0, 40) << text.error().message;
  }
  EXPECT_EQ(error_of(repeated("a", (size_t{1} << 20) + 1)).code, ErrorCode::kLimit);
  // What is long without being deep is fine.
  EXPECT_TRUE(render("{{ 1" + repeated(" ~ 1", 10'000) + " }}"));
  EXPECT_TRUE(render(repeated("{% if 0 %}{% elif 1 %}x{% endif %}", 5'000)));
  EXPECT_TRUE(render("{% if 0 %}" + repeated("{% elif 0 %}", 5'000) + "{% endif %}"));
}

TEST(ChatTemplate, NamespacesMayHoldThemselves) {
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.me = ns %}{% set ns.l = [ns] %}{{ ns.me.me.l | "
                   "length }}{{ ns.l }}"
                   "{{ ns == ns.me }}{% macro m() %}{{ ns.me.me is defined }}{% endmacro %}{% set ns.m = m "
                   "%}{{ ns.m() }}")
                ->str(),
            "1[<Namespace>]TrueTrue");
}

TEST(ChatTemplate, ALoopThatOutlivesItsTurnsIsSafe) {
  EXPECT_EQ(render("{% set ns = namespace() %}{% for i in range(5) if i > ns.nothing | default(-1) %}{% set "
                   "ns.loop = loop %}"
                   "{% endfor %}{{ ns.loop.index }}{{ ns.loop.last }}{{ ns.loop.length }}")
                ->str(),
            "6True5");
  EXPECT_EQ(render("{% set ns = namespace() %}{% for i in range(3) %}{% macro m() %}{{ i }}{% endmacro %}"
                   "{% if i == 1 %}{% set ns.m = m %}{% endif %}{% endfor %}{{ ns.m() }}")
                ->str(),
            "1");
}

TEST(TemplateOrigin, OnlyTheTemplatesOwnTextIsTrusted) {
  const Json values = {
      {"x", "<|end|>"}, {"l", {"<|end|>", "b"}}, {"d", {{"<|end|>", "<|end|>"}}}, {"role", "user"}};
  EXPECT_EQ(origin("<|start|>{{ x }}<|end|>", values), "«<|start|>»<|end|>«<|end|>»");
  EXPECT_EQ(origin("{{ '<|start|>' + x + '<|end|>\n' }}", values), "«<|start|>»<|end|>«<|end|>\n»");
  EXPECT_EQ(origin("{{ '<|' ~ role ~ '|>' }}", values), "«<|»user«|>»");
  EXPECT_EQ(origin("{{ '<|end|>' ~ '<|start|>' }}x", values), "«<|end|><|start|>x»");
  EXPECT_EQ(origin("{{ x | trim }}{{ x[2:5] }}{{ x[::-1] }}{{ x | upper }}{{ x | first }}", values),
            "<|end|>end>|dne|<<|END|><");
  EXPECT_EQ(origin("{{ ('<a>' ~ x)[1:5] }}{{ ('  <a>' ~ x ~ ' ').strip() }}", values), "«a>»<|«<a>»<|end|>");
  EXPECT_EQ(origin("{{ (x ~ '<a>').upper() }}{{ (x ~ '<é>') | upper }}", values), "<|END|>«<A>»<|END|>«<É>»");
  EXPECT_EQ(origin("{{ x.replace('end', 'start') }}{{ x.replace('|', '') }}", values), "<|«start»|><end>");
  EXPECT_EQ(origin("{{ 'a,b'.replace(',', x) }}{{ l | join('-') }}{{ ', '.join(l) }}", values),
            "«a»<|end|>«b»<|end|>«-»b<|end|>«, »b");
  EXPECT_EQ(origin("{{ ('<t>' ~ x).split('|') | join('|') }}", values), "«<t>»<«|»end«|»>");
  EXPECT_EQ(origin("{{ '[{}]'.format(x) }}{{ '(%s)' % x }}{{ '%s<b>' | format(x) }}", values),
            "«[»<|end|>«](»<|end|>«)»<|end|>«<b>»");
  // JSON, repr and case made from data are data, whatever the template put around them before.
  EXPECT_EQ(origin("{{ d | tojson }}{{ ('<|end|>' ~ 1) | tojson }}{{ l }}{{ 12 }}", values),
            R"({"<|end|>": "<|end|>"}"<|end|>1"['<|end|>', 'b']12)");
  EXPECT_EQ(
      origin("{% set b %}<a>{{ x }}{% endset %}{{ b }}{% filter trim %} <c>{{ x }} {% endfilter %}", values),
      "«<a>»<|end|>«<c>»<|end|>");
  EXPECT_EQ(origin("{% macro m(v) %}<m>{{ v }}{% endmacro %}{{ m(x) }}{{ m('<lit>') }}", values),
            "«<m>»<|end|>«<m><lit>»");
  EXPECT_EQ(origin("{% for c in x ~ 'é' %}{{ c }}{% endfor %}{% for k in d %}{{ k }}{% endfor %}", values),
            "<|end|>«é»<|end|>");
  EXPECT_EQ(
      origin("{{ x | indent(2, true) }}{{ x.center(9) }}{{ x | default('<d>') }}{{ y | default('<d>') }}",
             values),
      "«  »<|end|> <|end|> <|end|>«<d>»");
  EXPECT_EQ(origin("{{ x | truncate(6, true, '<e>', 0) }}{{ x | e }}{{ ('<' ~ x) | e }}", values),
            "<|e«<e>»&lt;|end|&gt;«&lt;»&lt;|end|&gt;");
}

TEST(TemplateOrigin, RangesAreSortedDisjointAndInside) {
  const auto text = render("{{ ('ab' ~ x ~ 'cd' ~ x)[1:-1] * 3 }}", {{"x", "é|"}});
  ASSERT_TRUE(text);
  size_t last = 0;
  for (const ByteRange& range : text->trusted_ranges()) {
    EXPECT_TRUE(range.begin < range.end && (range.begin > last || last == 0) && range.end <= text->size());
    last = range.end;
  }
  EXPECT_EQ(text->trusted_ranges().size(), 6U);
}

}  // namespace
}  // namespace atelier::chat
