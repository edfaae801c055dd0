#include "models/synth_plan.h"

#include <algorithm>

#include "models/config_reader.h"

namespace atelier {

Status apply_override(std::optional<uint64_t> override_value, std::string_view name, uint64_t max,
                      size_t& value) {
  if (!override_value) return {};
  if (*override_value < 1 || *override_value > max)
    return fail(ErrorCode::kInvalidArgument, "synth: {}: expected 1 to {}, found {}", name, max,
                *override_value);
  value = *override_value;
  return {};
}

Result<uint64_t> synth_vocab_size(const SynthOptions& options, uint64_t preset_size,
                                  uint64_t tokenizer_size) {
  if (!options.overrides.vocab_size) return std::max(preset_size, tokenizer_size);
  const uint64_t wanted = *options.overrides.vocab_size;
  if (wanted < tokenizer_size || wanted > kMaxVocab)
    return fail(ErrorCode::kInvalidArgument,
                "synth: vocabulary: expected {} (what the tokenizer needs) to {}, found {}", tokenizer_size,
                kMaxVocab, wanted);
  return wanted;
}

}  // namespace atelier
