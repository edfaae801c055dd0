// Which numbers a schema allows, and their decimal forms as a grammar expression.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/constraint/decimal.h"
#include "engine/constraint/grammar_builder.h"

namespace atelier::constraint {

struct NumberSpec {
  std::optional<Decimal> min, max;
  bool min_open = false, max_open = false;  // the bound itself is out
  bool integer = false;
  bool fractional = false;  // no integer
  std::vector<Decimal> multiples,
      anti_multiples;  // above 0: a multiple of each of the first, of none of the others
  // The only values there are, as written, where the schema lists them.
  std::optional<std::vector<std::string>> values;
  std::vector<Decimal> excluded;

  void at_least(const Decimal& bound, bool open);
  void at_most(const Decimal& bound, bool open);
  void merge(const NumberSpec& other);
  bool allows(const Decimal& value) const;  // does not look at `values`
  // No number at all, as far as that is easily seen.
  bool is_empty() const;
  // All the numbers, where they are listed or few.
  std::optional<std::vector<std::string>> finite(size_t at_most) const;
};

// Written without exponent where there are bounds other than 0; at most 20 digits before the point, or as
// many as the bounds have, and as many after it. Errors: kUnsupported, beginning with "multipleOf", kLimit
// (bounds of more than 60 digits).
Result<ExprId> number_expr(const NumberSpec& spec, GrammarBuilder& builder);

}  // namespace atelier::constraint
