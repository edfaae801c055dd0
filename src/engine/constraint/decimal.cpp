#include "engine/constraint/decimal.h"

#include <algorithm>

namespace atelier::constraint {
namespace {

constexpr int64_t kMaxExponent = 100'000;

}  // namespace

Decimal Decimal::parse(std::string_view text) {
  Decimal out;
  bool negative = false, point = false;
  size_t i = 0;
  if (!text.empty() && text[0] == '-') {
    negative = true;
    ++i;
  }
  for (; i < text.size() && text[i] != 'e' && text[i] != 'E'; ++i) {
    if (text[i] == '.') {
      point = true;
      continue;
    }
    out.digits_.push_back(text[i]);
    if (point) --out.exponent_;
  }
  if (i < text.size()) {
    bool down = false;
    int64_t exponent = 0;
    for (++i; i < text.size(); ++i) {
      if (text[i] == '-') down = true;
      if (text[i] >= '0' && text[i] <= '9')
        exponent = std::min(exponent * 10 + (text[i] - '0'), kMaxExponent);
    }
    out.exponent_ += down ? -exponent : exponent;
  }
  out.digits_.erase(0, std::min(out.digits_.find_first_not_of('0'), out.digits_.size()));
  while (!out.digits_.empty() && out.digits_.back() == '0') {
    out.digits_.pop_back();
    ++out.exponent_;
  }
  if (out.digits_.empty()) return {};
  out.negative_ = negative;
  return out;
}

Decimal Decimal::from_int(int64_t value) { return parse(std::to_string(value)); }

Decimal Decimal::negated() const {
  Decimal out = *this;
  if (!is_zero()) out.negative_ = !negative_;
  return out;
}

std::optional<Decimal::Parts> Decimal::parts(size_t limit) const {
  if (is_zero()) return Parts{"0", ""};
  const auto n = static_cast<int64_t>(digits_.size());
  if (exponent_ > static_cast<int64_t>(limit) || -exponent_ > static_cast<int64_t>(limit) ||
      n > static_cast<int64_t>(limit))
    return std::nullopt;
  if (exponent_ >= 0) return Parts{digits_ + std::string(static_cast<size_t>(exponent_), '0'), ""};
  if (n <= -exponent_) return Parts{"0", std::string(static_cast<size_t>(-exponent_ - n), '0') + digits_};
  const auto whole = static_cast<size_t>(n + exponent_);
  return Parts{digits_.substr(0, whole), digits_.substr(whole)};
}

std::strong_ordering Decimal::operator<=>(const Decimal& other) const {
  if (negative_ != other.negative_)
    return negative_ ? std::strong_ordering::less : std::strong_ordering::greater;
  const auto magnitude = [&]() -> std::strong_ordering {
    if (is_zero() || other.is_zero()) return !is_zero() <=> !other.is_zero();
    const int64_t top = exponent_ + static_cast<int64_t>(digits_.size());
    const int64_t other_top = other.exponent_ + static_cast<int64_t>(other.digits_.size());
    if (top != other_top) return top <=> other_top;
    return digits_.compare(other.digits_) <=> 0;  // the same first place, and no zeros at the end
  }();
  return negative_ ? 0 <=> magnitude : magnitude;
}

std::string plus_one(std::string digits) {
  size_t i = digits.size();
  while (i > 0 && digits[i - 1] == '9') digits[--i] = '0';
  if (i == 0) return "1" + digits;
  ++digits[i - 1];
  return digits;
}

std::string minus_one(std::string digits) {
  size_t i = digits.size();
  while (digits[i - 1] == '0') digits[--i] = '9';
  --digits[i - 1];
  if (digits.size() > 1 && digits[0] == '0') digits.erase(0, 1);
  return digits;
}

std::strong_ordering compare_digits(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return a.size() <=> b.size();
  return a.compare(b) <=> 0;
}

}  // namespace atelier::constraint
