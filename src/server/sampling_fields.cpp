#include "server/sampling_fields.h"

#include <charconv>

#include "server/limits.h"

namespace atelier::server {
namespace {

// One text or an array of them, none empty.
Status read_texts(const Fields& body, const char* key, size_t most, size_t most_bytes,
                  std::vector<std::string>& texts) {
  const Json* value = body.find(key);
  if (value == nullptr) return {};
  const Json single = value->is_string() ? Json::array({*value}) : Json();
  const Json& list = value->is_string() ? single : *value;
  if (!list.is_array()) return body.wrong(key, "a string or an array of strings", value);
  if (list.size() > most)
    return fail(ErrorCode::kLimit, "{}: expected at most {} strings, found {}", body.at(key), most,
                list.size());
  for (const Json& item : list) {
    if (!item.is_string()) return body.wrong(key, "an array of strings", &item);
    const std::string& text = item.get_ref<const std::string&>();
    if (text.size() > most_bytes)
      return fail(ErrorCode::kLimit, "{}: expected strings of at most {} bytes, found one of {}",
                  body.at(key), most_bytes, text.size());
    if (!text.empty()) texts.push_back(text);
  }
  return {};
}

Status read_float(const Fields& body, const char* key, double low, double high, std::optional<float>& out) {
  ATELIER_TRY(const auto value, body.number(key, low, high));
  if (value) out = static_cast<float>(*value);
  return {};
}

// How many of the last tokens; -1: all.
Status read_window(const Fields& body, const char* key, std::optional<size_t>& out) {
  ATELIER_TRY(const auto value, body.integer(key, -1, INT32_MAX));
  if (value) out = *value < 0 ? SamplerOptions::kAllTokens : static_cast<size_t>(*value);
  return {};
}

// Under the names that llama.cpp's server gave them.
Status read_dry(const Fields& body, SamplerChoice& sampling) {
  ATELIER_CHECK_OK(read_float(body, "dry_multiplier", 0, 100, sampling.dry_multiplier));
  ATELIER_CHECK_OK(read_float(body, "dry_base", 1, 100, sampling.dry_base));
  ATELIER_TRY(const auto allowed, body.integer("dry_allowed_length", 0, INT32_MAX));
  if (allowed) sampling.dry_allowed_length = static_cast<size_t>(*allowed);
  ATELIER_CHECK_OK(read_window(body, "dry_penalty_last_n", sampling.dry_window));
  if (body.find("dry_sequence_breakers") == nullptr) return {};
  return read_texts(body, "dry_sequence_breakers", kMaxDryBreakers, kMaxDryBreakerBytes,
                    sampling.dry_breakers.emplace());
}

Status read_mirostat(const Fields& body, SamplerChoice& sampling) {
  ATELIER_TRY(const auto version, body.integer("mirostat", 0, 2));
  if (version == 1) return body.wrong("mirostat", "0 or 2, for Mirostat 2", body.find("mirostat"));
  if (version) sampling.mirostat = *version == 2;
  ATELIER_CHECK_OK(read_float(body, "mirostat_tau", 0, 100, sampling.mirostat_tau));
  return read_float(body, "mirostat_eta", 0, 1, sampling.mirostat_eta);
}

Status read_seed(const Fields& body, SamplerChoice& sampling) {
  const Json* seed = body.find("seed");
  if (seed == nullptr) return {};
  if (seed->is_number_unsigned()) {
    sampling.seed = seed->get<uint64_t>();
    return {};
  }
  ATELIER_TRY(const auto value, body.integer("seed", INT64_MIN, INT64_MAX));
  sampling.seed = static_cast<uint64_t>(*value);
  return {};
}

Status read_logit_bias(const Fields& body, SamplerChoice& sampling) {
  ATELIER_TRY(const Json* bias, body.object("logit_bias"));
  if (bias == nullptr) return {};
  if (bias->size() > kMaxLogitBias)
    return fail(ErrorCode::kLimit, "{}: expected at most {} entries, found {}", body.at("logit_bias"),
                kMaxLogitBias, bias->size());
  for (const auto& [key, value] : bias->items()) {
    TokenId id = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || end != key.data() + key.size() || id < 0)
      return fail(ErrorCode::kInvalidArgument, "{}: expected token ids as names, found {}",
                  body.at("logit_bias"), chat::compact_json(key.substr(0, 40)));
    const double number = value.is_number() ? value.get<double>() : NAN;
    if (!(number >= -100 && number <= 100))
      return body.wrong("logit_bias", "numbers from -100 to 100", &value);
    sampling.logit_bias[id] = static_cast<float>(number);
  }
  return {};
}

}  // namespace

Status read_sampling(const Fields& body, SamplerChoice& sampling) {
  ATELIER_CHECK_OK(read_float(body, "temperature", 0, 2, sampling.temperature));
  ATELIER_CHECK_OK(read_float(body, "top_p", 0, 1, sampling.top_p));
  ATELIER_CHECK_OK(read_float(body, "min_p", 0, 1, sampling.min_p));
  ATELIER_CHECK_OK(read_float(body, "typical_p", 0, 1, sampling.typical_p));
  ATELIER_CHECK_OK(read_float(body, "repetition_penalty", 0.01, 100, sampling.repetition_penalty));
  ATELIER_CHECK_OK(read_float(body, "presence_penalty", -2, 2, sampling.presence_penalty));
  ATELIER_CHECK_OK(read_float(body, "frequency_penalty", -2, 2, sampling.frequency_penalty));
  ATELIER_TRY(const auto top_k, body.integer("top_k", -1, INT32_MAX));
  if (top_k) sampling.top_k = static_cast<size_t>(std::max<int64_t>(*top_k, 0));  // -1 turns it off, too
  ATELIER_CHECK_OK(read_window(body, "repeat_last_n", sampling.penalty_window));
  ATELIER_CHECK_OK(read_dry(body, sampling));
  ATELIER_CHECK_OK(read_float(body, "xtc_probability", 0, 1, sampling.xtc_probability));
  ATELIER_CHECK_OK(read_float(body, "xtc_threshold", 0, 1, sampling.xtc_threshold));
  ATELIER_CHECK_OK(read_mirostat(body, sampling));
  ATELIER_CHECK_OK(read_seed(body, sampling));
  return read_logit_bias(body, sampling);
}

Status read_stops(const Fields& body, const char* key, std::vector<std::string>& stops) {
  return read_texts(body, key, kMaxStops, kMaxStopBytes, stops);
}

}  // namespace atelier::server
