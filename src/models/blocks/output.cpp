#include "models/blocks/output.h"

#include <algorithm>

#include "models/blocks/precision.h"
#include "ops/linear.h"

namespace atelier {

void output(Context& ctx, const Batch& batch, MatView<const float> last, const Weight& head,
            MatView<float> logits) {
  if (batch.states.data == nullptr) return ops::linear(ctx, last, head, {}, logits, kHeadActivations);
  ATELIER_CHECK(batch.states.rows == last.rows && batch.states.cols == last.cols);
  for (size_t i = 0; i < last.rows; ++i) std::ranges::copy(last.row(i), batch.states.row(i).begin());
}

}  // namespace atelier
