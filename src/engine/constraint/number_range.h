// The decimal numbers between two bounds as a regular expression.
#pragma once

#include "engine/constraint/number_language.h"
#include "engine/constraint/regex_language.h"

namespace atelier::constraint {

inline constexpr size_t kMaxDigits = 20;  // before and after the point, where the bounds do not have more

struct NumberForm {
  size_t fraction_digits = kMaxDigits;
  bool exponent = true;  // may be written, where no bound but 0 has to be kept
};

// Bounds, `integer` and `excluded` of the spec; the rest is not looked at. kLimit where bounds have more than
// 60 digits.
Result<Regex> number_range_regex(const NumberSpec& spec, const NumberForm& form);

}  // namespace atelier::constraint
