// What --verbose says about a generation.
#pragma once

#include "cli/command.h"
#include "engine/generate.h"

namespace atelier::cli {

// "prompt: 12 reused + 34 computed in 0.21 s (162.0 tok/s); answer: 56 tokens in 0.4 s (140.0 tok/s);
// 1.4 tokens a pass, 16 of 20 guesses right; stopped: stop token"
void report_generation(const Globals& globals, const Session& session, const Generated& generated);

}  // namespace atelier::cli
