// The end of every forward pass.
#pragma once

#include "models/model.h"
#include "ops/weight.h"

namespace atelier {

// `last`: the final states of batch.logit_rows, normed: [R, d_model]. Gives them to batch.states if that is
// wanted, else their product with the head to `logits`, [R, vocab_size].
void output(Context& ctx, const Batch& batch, MatView<const float> last, const Weight& head,
            MatView<float> logits);

}  // namespace atelier
