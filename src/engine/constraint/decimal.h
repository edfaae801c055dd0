// Exact decimal numbers, as JSON writes them: bounds such as 0.1 have no other exact form.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace atelier::constraint {

class Decimal {
 public:
  Decimal() = default;
  // `text`: a JSON number. Exponents past ±100,000 count as that.
  static Decimal parse(std::string_view text);
  static Decimal from_int(int64_t value);

  bool is_zero() const { return digits_.empty(); }
  bool negative() const { return negative_; }
  bool is_integer() const { return exponent_ >= 0; }
  Decimal negated() const;

  // The digits before and after the point, without sign: "12" and "05" for -12.05, "0" and "" for 0. Nothing
  // if they would be more than `limit` together.
  struct Parts {
    std::string whole, fraction;
  };
  std::optional<Parts> parts(size_t limit = 60) const;

  // The absolute value as digits · 10^exponent, the last digit not zero ("" for 0).
  const std::string& digits() const { return digits_; }
  int64_t exponent() const { return exponent_; }

  std::strong_ordering operator<=>(const Decimal& other) const;
  bool operator==(const Decimal& other) const = default;

 private:
  bool negative_ = false;
  std::string digits_;
  int64_t exponent_ = 0;
};

// Arithmetic on whole numbers written in digits, without leading zeros.
std::string plus_one(std::string digits);
std::string minus_one(std::string digits);  // of a number above zero
std::strong_ordering compare_digits(std::string_view a, std::string_view b);

}  // namespace atelier::constraint
