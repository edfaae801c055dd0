// Arithmetic on sizes that come from files: wraps are reported, never carried on with.
#pragma once

#include <concepts>
#include <optional>

namespace atelier {

template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_add(T a, T b) {
  T sum{};
  return __builtin_add_overflow(a, b, &sum) ? std::nullopt : std::optional<T>(sum);
}

template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_mul(T a, T b) {
  T product{};
  return __builtin_mul_overflow(a, b, &product) ? std::nullopt : std::optional<T>(product);
}

// `value` rounded up to a multiple of `step` (step > 0, any value), or nothing where that wraps.
template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> checked_round_up(T value, T step) {
  const T rest = static_cast<T>(value % step);
  return rest == 0 ? std::optional<T>(value) : checked_add(value, static_cast<T>(step - rest));
}

// For sizes already known to be small: no check.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T round_up(T value, T step) {
  return static_cast<T>((value + step - 1) / step * step);
}

template <std::unsigned_integral T>
[[nodiscard]] constexpr T ceil_div(T value, T step) {
  return static_cast<T>((value + step - 1) / step);
}

}  // namespace atelier
