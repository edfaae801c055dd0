// The machine's own limits, measured: what every speed is a fraction of.
#pragma once

#include <cstddef>

#include "base/threads.h"

namespace atelier::kernels {

// Bytes per second that all threads of the pool together stream from memory, reading `buffer_bytes` in all.
// Larger than the last-level cache, or it is the cache that is measured. Best of a few passes.
double measure_read_bandwidth(ThreadPool& pool, size_t buffer_bytes);

// 8-bit integer operations (a multiply and an add are two) per second of all threads, from registers, with
// the widest dot product of the active instruction set: AMX tiles, VNNI, else multiply-add pairs. 0 where
// none is known.
double measure_int8_peak(ThreadPool& pool);

}  // namespace atelier::kernels
