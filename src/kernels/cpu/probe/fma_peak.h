// The float32 limit of the machine, measured: what attention and norms are a fraction of.
#pragma once

#include "base/threads.h"

namespace atelier::kernels {

// Float operations (a fused multiply-add is two) per second of all threads of the pool together, from
// registers, at the active level's vector width. Best of a few passes.
double measure_fma_peak(ThreadPool& pool);

}  // namespace atelier::kernels
