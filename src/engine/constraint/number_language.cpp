#include "engine/constraint/number_language.h"

#include <algorithm>
#include <numeric>

#include "engine/constraint/number_range.h"

namespace atelier::constraint {
namespace {

constexpr size_t kMaxListed = 1000;      // multiples written out one by one
constexpr uint64_t kMaxResidues = 2000;  // states of the automaton that divides
constexpr uint64_t kPowers = 18;         // of ten that fit into 64 bits

uint64_t power_of_ten(uint64_t n) {
  uint64_t out = 1;
  while (n-- > 0) out *= 10;
  return out;
}

// All the multiples together: of step / 10^places.
struct Step {
  uint64_t step = 1;
  uint64_t places = 0;
};

std::optional<Step> common_step(const std::vector<Decimal>& multiples) {
  Step out;
  for (const Decimal& m : multiples)
    out.places = std::max(out.places, static_cast<uint64_t>(std::max<int64_t>(-m.exponent(), 0)));
  if (out.places > kPowers) return std::nullopt;
  for (const Decimal& m : multiples) {
    const int64_t shift = m.exponent() + static_cast<int64_t>(out.places);
    if (m.digits().size() + static_cast<uint64_t>(shift) > kPowers) return std::nullopt;
    const uint64_t value = std::stoull(m.digits()) * power_of_ten(static_cast<uint64_t>(shift));
    const unsigned __int128 product =
        static_cast<unsigned __int128>(out.step) / std::gcd(out.step, value) * value;
    if (product > power_of_ten(kPowers)) return std::nullopt;
    out.step = static_cast<uint64_t>(product);
  }
  // Over 1/10^places the step may still be a whole number of tens: 2.0 is 20 tenths.
  while (out.places > 0 && out.step % 10 == 0) {
    out.step /= 10;
    --out.places;
  }
  return out;
}

bool is_multiple(const Decimal& value, const Decimal& of) {
  const int64_t exponent = std::min(value.exponent(), of.exponent());
  const int64_t up = of.exponent() - exponent;
  if (of.digits().size() + static_cast<uint64_t>(up) > kPowers) return value.is_zero();
  const uint64_t divisor = std::stoull(of.digits()) * power_of_ten(static_cast<uint64_t>(up));
  if (value.exponent() - exponent > 1000) return false;
  const std::string digits =
      value.digits() + std::string(static_cast<size_t>(value.exponent() - exponent), '0');
  uint64_t rest = 0;
  for (const char c : digits)
    rest = static_cast<uint64_t>(
        (static_cast<unsigned __int128>(rest) * 10 + static_cast<unsigned>(c - '0')) % divisor);
  return rest == 0;
}

// value · 10^places, rounded up or down to a whole number; nothing if that does not fit.
std::optional<int64_t> scaled(const Decimal& value, uint64_t places, bool up) {
  const auto parts = value.parts();
  if (!parts) return std::nullopt;
  std::string fraction = parts->fraction;
  const bool exact = fraction.size() <= places;
  fraction.resize(places, '0');
  const std::string digits = parts->whole + fraction;
  if (digits.size() > kPowers) return std::nullopt;
  const auto magnitude = static_cast<int64_t>(std::stoull(digits));
  const int64_t truncated = value.negative() ? -magnitude : magnitude;
  if (exact) return truncated;
  if (up) return value.negative() ? truncated : truncated + 1;
  return value.negative() ? truncated - 1 : truncated;
}

std::string decimal_text(int64_t value, uint64_t places) {
  std::string digits = std::to_string(value < 0 ? -value : value);
  if (places > 0) {
    if (digits.size() <= places) digits.insert(0, places + 1 - digits.size(), '0');
    digits.insert(digits.size() - places, ".");
    while (digits.back() == '0') digits.pop_back();
    if (digits.back() == '.') digits.pop_back();
  }
  return value < 0 ? "-" + digits : digits;
}

// The multiples of the step between the bounds, if there are few.
std::optional<std::vector<std::string>> list_multiples(const NumberSpec& spec, const Step& step,
                                                       size_t at_most) {
  if (!spec.min || !spec.max) return std::nullopt;
  const auto low = scaled(*spec.min, step.places, true), high = scaled(*spec.max, step.places, false);
  if (!low || !high) return std::nullopt;
  const auto s = static_cast<int64_t>(step.step);
  const int64_t first = *low >= 0 ? (*low + s - 1) / s : -(-*low / s);
  const int64_t last = *high >= 0 ? *high / s : -((-*high + s - 1) / s);
  if (last - first >= static_cast<int64_t>(at_most) + 2) return std::nullopt;
  std::vector<std::string> out;
  for (int64_t i = first; i <= last; ++i) {
    std::string text = decimal_text(i * s, step.places);
    if (spec.allows(Decimal::parse(text))) out.push_back(std::move(text));
  }
  if (out.size() > at_most) return std::nullopt;
  return out;
}

// Decimal numbers that are multiples of the step, digit by digit with what is left over.
CharDfa multiples_dfa(const Step& step) {
  // States: 0 start, 1 after the sign, 2 a leading zero, then [places + 1][step]: digits behind the point so
  // far (none yet counted as before it) and the remainder, then [places]: at the point itself, by remainder.
  CharDfa out;
  const auto s = static_cast<uint32_t>(step.step);
  const auto places = static_cast<uint32_t>(step.places);
  const auto whole = [](uint32_t rest) { return 3 + rest; };
  const auto behind = [&](uint32_t digits, uint32_t rest) {
    return 3 + s + digits * s + rest;
  };  // digits ≥ 0
  out.states.resize(3 + s + (places + 1) * s);
  // What is left over once the digits that are not written count as zeros.
  const auto divides = [&](uint32_t rest, uint32_t digits) {
    uint64_t value = rest;
    for (uint32_t i = digits; i < places; ++i) value = value * 10 % s;
    return value == 0;
  };
  const auto digit_edges = [&](uint32_t from, uint32_t first,
                               const std::function<uint32_t(uint32_t)>& target) {
    for (uint32_t d = first; d <= 9; ++d)
      out.states[from].edges.push_back({CodePointSet{{U'0' + d, U'0' + d}}, target(d)});
  };
  const CodePointSet point = {{'.', '.'}};
  out.states[0].edges.push_back({CodePointSet{{'-', '-'}}, 1});
  for (const uint32_t from : {0u, 1u}) {
    digit_edges(from, 1, [&](uint32_t d) { return whole(d % s); });
    out.states[from].edges.push_back({CodePointSet{{'0', '0'}}, 2});
  }
  out.states[2].accepting = true;
  if (places > 0) out.states[2].edges.push_back({point, behind(0, 0)});
  for (uint32_t rest = 0; rest < s; ++rest) {
    digit_edges(whole(rest), 0, [&](uint32_t d) { return whole((rest * 10 + d) % s); });
    out.states[whole(rest)].accepting = divides(rest, 0);
    if (places > 0) out.states[whole(rest)].edges.push_back({point, behind(0, rest)});
    for (uint32_t digits = 0; places > 0 && digits <= places; ++digits) {
      if (digits < places)
        digit_edges(behind(digits, rest), 0,
                    [&](uint32_t d) { return behind(digits + 1, (rest * 10 + d) % s); });
      out.states[behind(digits, rest)].accepting = digits > 0 && divides(rest, digits);
    }
  }
  return out;
}

}  // namespace

void NumberSpec::at_least(const Decimal& bound, bool open) {
  if (min && (bound < *min || (bound == *min && !open))) return;
  min = bound;
  min_open = open;
}

void NumberSpec::at_most(const Decimal& bound, bool open) {
  if (max && (bound > *max || (bound == *max && !open))) return;
  max = bound;
  max_open = open;
}

void NumberSpec::merge(const NumberSpec& other) {
  if (other.min) at_least(*other.min, other.min_open);
  if (other.max) at_most(*other.max, other.max_open);
  integer = integer || other.integer;
  fractional = fractional || other.fractional;
  multiples.insert(multiples.end(), other.multiples.begin(), other.multiples.end());
  anti_multiples.insert(anti_multiples.end(), other.anti_multiples.begin(), other.anti_multiples.end());
  excluded.insert(excluded.end(), other.excluded.begin(), other.excluded.end());
  if (!other.values) return;
  if (!values) {
    values = other.values;
    return;
  }
  std::erase_if(*values, [&](const std::string& mine) {
    return std::ranges::none_of(*other.values, [&](const std::string& theirs) {
      return Decimal::parse(mine) == Decimal::parse(theirs);
    });
  });
}

bool NumberSpec::allows(const Decimal& value) const {
  if (min && (value < *min || (min_open && value == *min))) return false;
  if (max && (value > *max || (max_open && value == *max))) return false;
  if ((integer && !value.is_integer()) || (fractional && value.is_integer())) return false;
  if (std::ranges::find(excluded, value) != excluded.end()) return false;
  if (std::ranges::any_of(anti_multiples, [&](const Decimal& m) { return is_multiple(value, m); }))
    return false;
  return std::ranges::all_of(multiples, [&](const Decimal& m) { return is_multiple(value, m); });
}

bool NumberSpec::is_empty() const {
  if (values)
    return std::ranges::none_of(*values,
                                [&](const std::string& text) { return allows(Decimal::parse(text)); });
  if (integer && fractional) return true;
  if (!min || !max) return false;
  if (*min > *max || (*min == *max && !allows(*min))) return true;
  const auto few = finite(16);
  return few && few->empty();
}

std::optional<std::vector<std::string>> NumberSpec::finite(size_t at_most) const {
  if (values) {
    std::vector<std::string> out;
    for (const std::string& text : *values)
      if (allows(Decimal::parse(text))) out.push_back(text);
    return out.size() <= at_most ? std::optional(out) : std::nullopt;
  }
  if (min && max && *min == *max) {
    const auto parts = min->parts();
    if (!parts) return std::nullopt;
    std::string text = (min->negative() ? "-" : "") + parts->whole;
    if (!parts->fraction.empty()) text += "." + parts->fraction;
    return allows(*min) ? std::vector{text} : std::vector<std::string>();
  }
  if (!integer && multiples.empty()) return std::nullopt;
  std::vector<Decimal> steps = multiples;
  if (integer) steps.push_back(Decimal::from_int(1));
  const auto step = common_step(steps);
  return step ? list_multiples(*this, *step, at_most) : std::nullopt;
}

namespace {

// Without the multiples of any of `steps`.
Result<CharDfa> without_multiples(CharDfa numbers, const std::vector<Decimal>& steps) {
  // 4.0 is a multiple of 2 that multiples_dfa does not know: zeros at the end are left out.
  ATELIER_TRY(const Regex plain, parse_regex("-?[0-9]+(\\.[0-9]*[1-9])?"));
  ATELIER_TRY(const CharDfa plain_numbers, regex_dfa(plain, RegexMatch::kWhole));
  ATELIER_TRY(numbers, intersection(numbers, plain_numbers));
  for (const Decimal& each : steps) {
    const auto step = common_step({each});
    if (!step || step->step * (step->places + 2) > kMaxResidues)
      return fail(ErrorCode::kUnsupported, "multipleOf: expected a step of few digits");
    ATELIER_TRY(numbers, intersection(numbers, complement(multiples_dfa(*step))));
  }
  return numbers;
}

}  // namespace

Result<ExprId> number_expr(const NumberSpec& spec, GrammarBuilder& builder) {
  const CharWriter write = [&](const CodePointSet& set) { return builder.chars(set); };
  if (spec.is_empty()) return builder.never();
  // Of numbers that are listed all are written out, of others only where counting is what is left to do.
  if (const auto listed = spec.finite(spec.values ? SIZE_MAX : spec.multiples.empty() ? 1 : kMaxListed)) {
    std::vector<ExprId> texts;
    for (const std::string& text : *listed) texts.push_back(builder.bytes(text));
    return builder.choice(texts);
  }
  NumberSpec range = spec;
  Step step;
  if (!spec.multiples.empty()) {
    std::vector<Decimal> all = spec.multiples;
    if (spec.integer) all.push_back(Decimal::from_int(1));
    const auto common = common_step(all);
    if (!common || common->step * (common->places + 2) > kMaxResidues)
      return fail(ErrorCode::kUnsupported,
                  "multipleOf: expected a step of few digits, or bounds with at most {} multiples between",
                  kMaxListed);
    step = *common;
    range.integer = range.integer || step.places == 0;
  }
  const NumberForm form = {
      .fraction_digits = step.places > 0 ? step.places : kMaxDigits,
      .exponent = spec.multiples.empty() && spec.anti_multiples.empty() && !spec.fractional};
  ATELIER_TRY(const Regex regex, number_range_regex(range, form));
  const bool divided = step.step > 1 || step.places > 0;
  if (!divided && !spec.fractional && spec.anti_multiples.empty())
    return regex_expr(regex, RegexMatch::kWhole, builder, write);
  ATELIER_TRY(CharDfa numbers, regex_dfa(regex, RegexMatch::kWhole));
  if (divided) {
    ATELIER_TRY(numbers, intersection(numbers, multiples_dfa(step)));
  }
  if (!spec.anti_multiples.empty()) {
    ATELIER_TRY(numbers, without_multiples(std::move(numbers), spec.anti_multiples));
  }
  if (spec.fractional) {
    ATELIER_TRY(const Regex fraction, parse_regex("\\.[0-9]*[1-9]"));
    ATELIER_TRY(const CharDfa with_fraction, regex_dfa(fraction, RegexMatch::kSearch));
    ATELIER_TRY(numbers, intersection(numbers, with_fraction));
  }
  return dfa_expr(numbers, builder, write);
}

}  // namespace atelier::constraint
