#include "engine/constraint/number_range.h"

#include <algorithm>

namespace atelier::constraint {
namespace {

using Kind = Regex::Kind;
using Node = uint32_t;

// One end of a range of absolute values.
struct Bound {
  Decimal::Parts at;  // no zeros at the end of the fraction
  bool open = false;
};

class RangeWriter {
 public:
  explicit RangeWriter(size_t fraction_digits) : fraction_digits_(fraction_digits) {}

  Regex finish(Node root) {
    out_.root = root;
    return std::move(out_);
  }

  Node never() { return chars(1, 0); }
  Node text(char c) { return chars(static_cast<char32_t>(c), static_cast<char32_t>(c)); }
  Node digits(char first, char last) {
    return chars(static_cast<char32_t>(first), static_cast<char32_t>(last));
  }
  Node any_digits(size_t min, size_t max) {
    if (max == 0) return sequence({});
    return repeat(digits('0', '9'), min, max);
  }
  Node sequence(std::vector<Node> parts) {
    if (parts.size() == 1) return parts[0];
    return add({.kind = Kind::kSequence, .children = std::move(parts)});
  }
  Node choice(std::vector<Node> alternatives) {
    if (alternatives.empty()) return never();
    if (alternatives.size() == 1) return alternatives[0];
    return add({.kind = Kind::kChoice, .children = std::move(alternatives)});
  }
  Node repeat(Node body, size_t min, size_t max) {
    return add({.kind = Kind::kRepeat,
                .min = static_cast<uint32_t>(min),
                .max = static_cast<uint32_t>(max),
                .children = {body}});
  }
  Node optional(Node body) { return repeat(body, 0, 1); }

  // Whole numbers from `low` to `high`; no high end: of any length.
  Node whole(const std::string& low, const std::string* high) {
    const size_t longest = high ? high->size() : std::max(kMaxDigits, low.size() + 1);
    if (high && compare_digits(low, *high) > 0) return never();
    std::vector<Node> ways;
    const auto nines = [](size_t n) { return std::string(n, '9'); };
    const auto lowest = [](size_t n) { return n == 1 ? std::string("0") : "1" + std::string(n - 1, '0'); };
    if (high && high->size() == low.size()) return same_length(low, *high);
    ways.push_back(same_length(low, nines(low.size())));
    const size_t full_end = high ? high->size() : longest + 1;  // lengths in between are free
    if (low.size() + 1 < full_end)
      ways.push_back(sequence({digits('1', '9'), any_digits(low.size(), full_end - 2)}));
    if (high) ways.push_back(same_length(lowest(high->size()), *high));
    return choice(std::move(ways));
  }

  // Absolute values from `low` to `high`, with fractions unless `integer`.
  Node magnitudes(const Bound& low, const Bound* high, bool integer) {
    if (integer) return integers(low, high);
    const bool same = high && high->at.whole == low.at.whole;
    if (high && compare_digits(low.at.whole, high->at.whole) > 0) return never();
    if (same)
      return with_fraction(fixed(low.at.whole),
                           between(low.at.fraction, low.open, high->at.fraction, high->open));
    std::vector<Node> ways = {with_fraction(fixed(low.at.whole), above(low.at.fraction, low.open))};
    const std::string first = plus_one(low.at.whole);
    if (!high) {
      ways.push_back(with_fraction(whole(first, nullptr), any_fraction()));
      return choice(std::move(ways));
    }
    const std::string last = minus_one(high->at.whole);
    if (compare_digits(first, last) <= 0) ways.push_back(with_fraction(whole(first, &last), any_fraction()));
    ways.push_back(with_fraction(fixed(high->at.whole), below(high->at.fraction, high->open)));
    return choice(std::move(ways));
  }

 private:
  // What may follow the whole part: nothing, and/or these digits behind a point.
  struct Fraction {
    bool none;
    std::optional<Node> some;
  };

  Node add(Regex::Node node) {
    out_.nodes.push_back(std::move(node));
    return static_cast<Node>(out_.nodes.size() - 1);
  }
  Node chars(char32_t first, char32_t last) {
    CodePointSet set;
    set.add(first, last);
    const auto found = std::ranges::find(out_.sets, set);
    const auto index = static_cast<uint32_t>(found - out_.sets.begin());
    if (found == out_.sets.end()) out_.sets.push_back(std::move(set));
    return add({.kind = Kind::kChars, .set = index});
  }
  Node fixed(std::string_view digits_text) {
    std::vector<Node> parts;
    for (const char c : digits_text) parts.push_back(text(c));
    return sequence(std::move(parts));
  }

  Node integers(const Bound& low, const Bound* high) {
    const bool up = low.open || !low.at.fraction.empty();
    const std::string first = up ? plus_one(low.at.whole) : low.at.whole;
    if (!high) return whole(first, nullptr);
    const bool down = high->open && high->at.fraction.empty();
    if (down && high->at.whole == "0") return never();
    const std::string last = down ? minus_one(high->at.whole) : high->at.whole;
    return whole(first, &last);
  }

  // Of as many digits each; the first digits they share, then apart.
  Node same_length(std::string_view low, std::string_view high) {
    if (low.empty()) return sequence({});
    const std::string_view low_rest = low.substr(1), high_rest = high.substr(1);
    if (low[0] == high[0]) return sequence({text(low[0]), same_length(low_rest, high_rest)});
    std::vector<Node> ways;
    char first = low[0], last = high[0];
    if (low_rest.find_first_not_of('0') != low_rest.npos) {
      ways.push_back(sequence({text(first), same_length(low_rest, std::string(low_rest.size(), '9'))}));
      ++first;
    }
    if (high_rest.find_first_not_of('9') != high_rest.npos) {
      ways.push_back(sequence({text(last), same_length(std::string(high_rest.size(), '0'), high_rest)}));
      --last;
    }
    if (first <= last)
      ways.push_back(sequence({digits(first, last), any_digits(low_rest.size(), low_rest.size())}));
    return choice(std::move(ways));
  }

  Node with_fraction(Node whole_part, const Fraction& fraction) {
    if (!fraction.some) return fraction.none ? whole_part : never();
    const Node behind = sequence({text('.'), *fraction.some});
    return sequence({whole_part, fraction.none ? optional(behind) : behind});
  }
  Fraction any_fraction() { return {true, any_digits(1, fraction_digits_)}; }
  // A digit and what may follow it.
  Node then(Node digit, const Fraction& rest) {
    if (!rest.some) return rest.none ? digit : never();
    return sequence({digit, rest.none ? optional(*rest.some) : *rest.some});
  }
  Node then_any(char first, char last) {
    return sequence({digits(first, last), any_digits(0, fraction_digits_)});
  }

  // Fractions of at least 0.low.
  Fraction above(std::string_view low, bool open) {
    if (low.empty()) {
      if (!open) return any_fraction();
      return {false, sequence({repeat(text('0'), 0, fraction_digits_), then_any('1', '9')})};
    }
    std::vector<Node> ways = {then(text(low[0]), above(low.substr(1), open))};
    if (low[0] < '9') ways.push_back(then_any(static_cast<char>(low[0] + 1), '9'));
    return {false, choice(std::move(ways))};
  }

  // Fractions of at most 0.high.
  Fraction below(std::string_view high, bool open) {
    if (high.empty()) {
      if (open) return {false, std::nullopt};
      return {true, repeat(text('0'), 1, fraction_digits_)};
    }
    std::vector<Node> ways;
    if (high[0] > '0') ways.push_back(then_any('0', static_cast<char>(high[0] - 1)));
    ways.push_back(then(text(high[0]), below(high.substr(1), open)));
    return {true, choice(std::move(ways))};
  }

  Fraction between(std::string_view low, bool low_open, std::string_view high, bool high_open) {
    if (low.empty() && high.empty()) {
      if (low_open || high_open) return {false, std::nullopt};
      return {true, repeat(text('0'), 1, fraction_digits_)};
    }
    const char a = low.empty() ? '0' : low[0], b = high.empty() ? '0' : high[0];
    const std::string_view low_rest = low.substr(low.empty() ? 0 : 1),
                           high_rest = high.substr(high.empty() ? 0 : 1);
    const bool none = low.empty() && !low_open;
    if (a > b) return {false, std::nullopt};
    if (a == b) return {none, then(text(a), between(low_rest, low_open, high_rest, high_open))};
    std::vector<Node> ways = {then(text(a), above(low_rest, low_open))};
    if (a + 1 < b) ways.push_back(then_any(static_cast<char>(a + 1), static_cast<char>(b - 1)));
    ways.push_back(then(text(b), below(high_rest, high_open)));
    return {none, choice(std::move(ways))};
  }

  size_t fraction_digits_;
  Regex out_;
};

struct Interval {
  std::optional<Decimal> min, max;
  bool min_open = false, max_open = false;
};

// The range, cut at the numbers that are excluded.
std::vector<Interval> intervals_of(const NumberSpec& spec) {
  std::vector<Decimal> holes;
  for (const Decimal& hole : spec.excluded) {
    NumberSpec bounds = spec;
    bounds.excluded.clear();
    bounds.multiples.clear();
    if (bounds.allows(hole)) holes.push_back(hole);
  }
  std::ranges::sort(holes);
  std::vector<Interval> out = {{spec.min, spec.max, spec.min_open, spec.max_open}};
  for (const Decimal& hole : holes) {
    Interval rest = out.back();
    out.back().max = hole;
    out.back().max_open = true;
    rest.min = hole;
    rest.min_open = true;
    out.push_back(rest);
  }
  return out;
}

Result<Bound> bound_of(const Decimal& value, bool open) {
  const auto parts = value.parts();
  if (!parts)
    return fail(ErrorCode::kLimit, "numbers: expected bounds of at most 60 digits, found one with more");
  return Bound{*parts, open};
}

}  // namespace

Result<Regex> number_range_regex(const NumberSpec& spec, const NumberForm& form) {
  RangeWriter w(form.fraction_digits);
  const Decimal zero;
  const Bound at_zero = {{"0", ""}, false};
  std::vector<Node> ways;
  for (const Interval& in : intervals_of(spec)) {
    const bool below_zero = !in.min || *in.min < zero;
    const bool above_zero = !in.max || *in.max > zero || (*in.max == zero && !in.max_open);
    const auto exponent = [&](Node mantissa) {
      const Node sign = w.optional(w.choice({w.text('+'), w.text('-')}));
      const Node digits = w.sequence({w.choice({w.text('e'), w.text('E')}), sign, w.any_digits(1, 2)});
      return w.sequence({mantissa, w.optional(digits)});
    };
    // Scaling by a power of ten keeps a number on its side of zero.
    const auto free = [&](const std::optional<Decimal>& bound) { return !bound || bound->is_zero(); };
    const bool scalable = form.exponent && !spec.integer && free(in.min) && free(in.max);
    if (above_zero) {
      Bound low = at_zero, high;
      if (in.min && *in.min >= zero) {
        ATELIER_TRY(low, bound_of(*in.min, in.min_open));
      }
      if (in.max) {
        ATELIER_TRY(high, bound_of(*in.max, in.max_open));
      }
      const Node numbers = w.magnitudes(low, in.max ? &high : nullptr, spec.integer);
      ways.push_back(scalable ? exponent(numbers) : numbers);
    }
    if (below_zero) {
      Bound low = {{"0", ""}, true}, high;  // zero itself has no sign
      if (in.max && *in.max < zero) {
        ATELIER_TRY(low, bound_of(*in.max, in.max_open));
      }
      if (in.min) {
        ATELIER_TRY(high, bound_of(*in.min, in.min_open));
      }
      const Node numbers =
          w.sequence({w.text('-'), w.magnitudes(low, in.min ? &high : nullptr, spec.integer)});
      ways.push_back(scalable ? exponent(numbers) : numbers);
    }
  }
  const Node root = w.choice(std::move(ways));
  return w.finish(root);
}

}  // namespace atelier::constraint
