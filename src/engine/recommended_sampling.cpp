#include "engine/recommended_sampling.h"

#include <array>
#include <nlohmann/json.hpp>
#include <string>

namespace atelier {
namespace {

// Recommendations of model cards for models whose files do not carry them, by GGUF general.basename or
// architecture.
struct CardSampling {
  std::string_view name;
  float temperature;
  float top_p;
};
constexpr std::array kCards = {
    CardSampling{"smollm2", 0.2f, 0.9f},  // huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct
    CardSampling{"gpt-oss", 1.0f, 1.0f},  // github.com/openai/gpt-oss, "Recommended Sampling Parameters"
};

std::string text_of(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

template <class T>
void take_number(const nlohmann::json& object, const char* key, T& value) {
  const auto found = object.find(key);
  if (found != object.end() && found->is_number() && found->template get<double>() >= 0)
    value = found->template get<T>();
}

}  // namespace

SamplerOptions recommended_sampling(const Checkpoint& checkpoint) {
  SamplerOptions options{.temperature = 0.7f, .top_p = 0.95f};
  const std::string basename = text_of(checkpoint.metadata(), "general.basename");
  for (const CardSampling& card : kCards)
    if (card.name == basename || card.name == checkpoint.architecture()) {
      options.temperature = card.temperature;
      options.top_p = card.top_p;
    }
  const nlohmann::json* published = checkpoint.generation_config();
  if (published == nullptr || !published->is_object() || !published->value("do_sample", false))
    return options;
  options = SamplerOptions{};
  take_number(*published, "temperature", options.temperature);
  take_number(*published, "top_p", options.top_p);
  take_number(*published, "top_k", options.top_k);
  take_number(*published, "repetition_penalty", options.repetition_penalty);
  return options;
}

}  // namespace atelier
