#include "engine/scheduler_metrics.h"

#include <algorithm>
#include <array>

namespace atelier {
namespace {

// Three bounds a decade: fine enough to read quantiles to a quarter, few enough to send often.
constexpr std::array kSecondsBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,  0.1,   0.25,  0.5,   1.0,
                                       2.5,   5.0,    10.0,  25.0, 50.0,  100.0, 250.0, 500.0, 1000.0};

}  // namespace

void Histogram::add(double value) {
  const auto bucket = std::ranges::lower_bound(bounds_, value);
  ++counts_[static_cast<size_t>(bucket - bounds_.begin())];
  ++count_;
  sum_ += value;
}

SchedulerMetrics::SchedulerMetrics()
    : queue_seconds(kSecondsBounds),
      first_token_seconds(kSecondsBounds),
      between_token_seconds(kSecondsBounds),
      request_seconds(kSecondsBounds) {}

}  // namespace atelier
