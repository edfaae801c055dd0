// Gated and plain activations on one thread; ops/elementwise.h states the formulas. All [M, D]; out may be
// the first input.
#pragma once

#include "base/mat_view.h"

namespace atelier::kernels {

void swiglu(MatView<const float> gate, MatView<const float> up, MatView<float> out);
void swiglu_ref(MatView<const float> gate, MatView<const float> up, MatView<float> out);

void swiglu_clamped(MatView<const float> gate, MatView<const float> up, float alpha, float limit,
                    MatView<float> out);
void swiglu_clamped_ref(MatView<const float> gate, MatView<const float> up, float alpha, float limit,
                        MatView<float> out);

void gelu_tanh(MatView<const float> x, MatView<float> out);
void gelu_tanh_ref(MatView<const float> x, MatView<float> out);

void geglu_tanh(MatView<const float> gate, MatView<const float> up, MatView<float> out);
void geglu_tanh_ref(MatView<const float> gate, MatView<const float> up, MatView<float> out);

}  // namespace atelier::kernels
