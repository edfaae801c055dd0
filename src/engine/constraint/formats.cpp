#include "engine/constraint/formats.h"

#include <array>
#include <string>
#include <utility>

namespace atelier::constraint {
namespace {

// RFC 3339. February has 29 days in years divisible by 4, of those divisible by 100 only if by 400.
#define DATE                                                            \
  "(?:[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|"  \
  "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|" \
  "(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)-02-29)"
#define TIME \
  "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
// RFC 1123, without the double dash in third place that marks encoded labels, by never doubling dashes.
#define SIMPLE_LABEL "[A-Za-z0-9]{1,20}(?:-[A-Za-z0-9]{1,20}){0,2}"
#define HOST SIMPLE_LABEL "(?:\\." SIMPLE_LABEL "){0,3}"
#define OCTET "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4 OCTET "(?:\\." OCTET "){3}"
#define H16 "[0-9a-fA-F]{1,4}"
#define IPV6                                                                                        \
  "(?:(?:" H16 ":){7}" H16 "|(?:" H16 ":){1,6}:" H16 "|(?:" H16 ":){1,5}(?::" H16                   \
  "){1,2}|"                                                                                         \
  "(?:" H16 ":){1,4}(?::" H16 "){1,3}|(?:" H16 ":){1,3}(?::" H16 "){1,4}|(?:" H16 ":){1,2}(?::" H16 \
  "){1,5}|" H16 ":(?::" H16 "){1,6}|:(?::" H16 "){1,7}|::|(?:" H16 ":){1,7}:|::(?:[fF]{4}:)?" IPV4  \
  "|"                                                                                               \
  "(?:" H16 ":){6}" IPV4 ")"
// RFC 3986, without user information and literal addresses.
#define PCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define PATH "(?:/" PCHAR "*)*"
#define QUERY "(?:\\?(?:" PCHAR "|[/?])*)?(?:#(?:" PCHAR "|[/?])*)?"
#define URI "[A-Za-z][A-Za-z0-9+.-]*:(?://" HOST "(?::[0-9]{1,5})?" PATH "|" PCHAR "+" PATH ")" QUERY
#define URI_REFERENCE "(?:" URI "|" PATH QUERY ")"
#define POINTER "(?:/(?:[^~/]|~[01])*)*"
#define NAME "(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})+"

constexpr std::array<std::pair<std::string_view, std::string_view>, 23> kFormats = {{
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"date-time", "^" DATE "T" TIME "$"},
    {"duration",
     "^P(?:[0-9]{1,9}W|(?:[0-9]{1,9}Y(?:[0-9]{1,9}M(?:[0-9]{1,9}D)?)?|[0-9]{1,9}M(?:[0-9]{1,9}D)?|[0-9]{1,9}"
     "D)"
     "(?:T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|[0-9]{1,9}S))?|"
     "T(?:[0-9]{1,9}H(?:[0-9]{1,9}M(?:[0-9]{1,9}S)?)?|[0-9]{1,9}M(?:[0-9]{1,9}S)?|[0-9]{1,9}S))$"},
    {"email", "^[A-Za-z0-9_+-]{1,30}(?:\\.[A-Za-z0-9_+-]{1,15}){0,2}@" HOST "$"},
    {"idn-email", "^[A-Za-z0-9_+-]{1,30}(?:\\.[A-Za-z0-9_+-]{1,15}){0,2}@" HOST "$"},
    {"hostname", "^" HOST "$"},
    {"idn-hostname", "^" HOST "$"},
    {"ipv4", "^" IPV4 "$"},
    {"ipv6", "^" IPV6 "$"},
    {"uuid", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"},
    {"uri", "^" URI "$"},
    {"iri", "^" URI "$"},
    {"uri-reference", "^" URI_REFERENCE "$"},
    {"iri-reference", "^" URI_REFERENCE "$"},
    {"uri-template", "^(?:[A-Za-z0-9._~:/?#@!$&()*+,;=-]|\\{[+#./;?&]?" NAME "(?:," NAME ")*\\})*$"},
    {"json-pointer", "^" POINTER "$"},
    {"relative-json-pointer", "^(?:0|[1-9]{1,9})(?:#|" POINTER ")$"},
    {"regex", "^(?:[A-Za-z0-9 _-]|\\\\[dws][+*]?)*$"},
    // OpenAPI's.
    {"byte", "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"},
    {"binary", "^[^]*$"},
    {"password", "^[^]*$"},
    {"color", "^#[0-9a-fA-F]{6}$"},
}};

}  // namespace

std::string_view format_pattern(std::string_view format) {
  for (const auto& [name, pattern] : kFormats)
    if (name == format) return pattern;
  return {};
}

}  // namespace atelier::constraint
