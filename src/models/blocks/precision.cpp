#include "models/blocks/precision.h"

#include "ops/gather.h"

namespace atelier {

void keep_logit_rows(Context& ctx, std::span<const uint32_t> rows,
                     std::initializer_list<MatView<float>*> live,
                     std::initializer_list<MatView<float>*> scratch) {
  for (MatView<float>* matrix : live) *matrix = ops::gather_rows(ctx, *matrix, rows);
  for (MatView<float>* matrix : scratch) *matrix = matrix->row_range(0, rows.size());
}

}  // namespace atelier
