// /metrics: counters, gauges and histograms of all loaded models, in Prometheus' text format 0.0.4.
#include "server/app.h"

namespace atelier::server {
namespace {

struct ModelMetrics {
  std::string label;  // model="…"
  SchedulerMetrics values;
};

std::string label_of(const std::string& model) {
  std::string out = "model=\"";
  for (const char c : model) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') out += "\\n";
    if (c != '\n') out += c;
  }
  return out + "\"";
}

class Page {
 public:
  explicit Page(std::vector<ModelMetrics> models) : models_(std::move(models)) {}

  template <class Value>
  void number(std::string_view name, std::string_view type, std::string_view help,
              Value SchedulerMetrics::* member) {
    head(name, type, help);
    for (const ModelMetrics& model : models_)
      text_ += fmt::format("atelier_{}{{{}}} {}\n", name, model.label, model.values.*member);
  }

  void histogram(std::string_view name, std::string_view help, Histogram SchedulerMetrics::* member) {
    head(name, "histogram", help);
    for (const ModelMetrics& model : models_) {
      const Histogram& values = model.values.*member;
      uint64_t below = 0;
      for (size_t i = 0; i < values.bounds().size(); ++i) {
        below += values.counts()[i];
        text_ += fmt::format("atelier_{}_bucket{{{},le=\"{}\"}} {}\n", name, model.label, values.bounds()[i],
                             below);
      }
      text_ += fmt::format(
          "atelier_{0}_bucket{{{1},le=\"+Inf\"}} {2}\natelier_{0}_sum{{{1}}} {3}\n"
          "atelier_{0}_count{{{1}}} {2}\n",
          name, model.label, values.count(), values.sum());
    }
  }

  void single(std::string_view name, std::string_view type, std::string_view help, double value) {
    head(name, type, help);
    text_ += fmt::format("atelier_{} {}\n", name, value);
  }

  std::string take() { return std::move(text_); }

 private:
  void head(std::string_view name, std::string_view type, std::string_view help) {
    text_ += fmt::format("# HELP atelier_{0} {1}\n# TYPE atelier_{0} {2}\n", name, help, type);
  }
  std::vector<ModelMetrics> models_;
  std::string text_;
};

std::string metrics_page(App& app) {
  std::vector<ModelMetrics> models;
  for (const ModelInUse& model : app.catalogue.loaded())
    models.push_back({label_of(model.id), model.lease->scheduler.metrics()});
  Page page(std::move(models));
  using M = SchedulerMetrics;
  const auto started = std::chrono::duration<double>(app.started.time_since_epoch()).count();
  page.single("start_time_seconds", "gauge", "When the server started, Unix time.", started);
  page.number("requests_total", "counter", "Requests accepted.", &M::requests);
  page.number("requests_refused_total", "counter", "Requests refused because the queue was full.",
              &M::refused);
  page.number("requests_finished_total", "counter", "Requests that ended by themselves.", &M::finished);
  page.number("requests_cancelled_total", "counter", "Requests whose client left.", &M::cancelled);
  page.number("requests_failed_total", "counter", "Requests that ended with an error.", &M::failed);
  page.number("prompt_tokens_total", "counter", "Tokens of prompts.", &M::prompt_tokens);
  page.number("cached_tokens_total", "counter", "Of these, found in the prefix cache.", &M::cached_tokens);
  page.number("prefill_tokens_total", "counter", "Tokens of prompts computed.", &M::prefill_tokens);
  page.number("completion_tokens_total", "counter", "Tokens sampled.", &M::completion_tokens);
  page.number("drafted_tokens_total", "counter", "Tokens guessed and evaluated along with sampled ones.",
              &M::drafted_tokens);
  page.number("accepted_tokens_total", "counter", "Of these, sampled afterwards.", &M::accepted_tokens);
  page.number("steps_total", "counter", "Passes of the model.", &M::steps);
  page.number("decode_steps_total", "counter", "Of these, passes that gave streams their tokens.",
              &M::decode_steps);
  page.number("preemptions_total", "counter", "Sequences that gave up their memory and were computed again.",
              &M::preemptions);
  page.number("cache_evictions_total", "counter", "Entries the prefix cache let go.", &M::cache_evictions);
  page.number("queued_requests", "gauge", "Requests waiting.", &M::queued);
  page.number("running_sequences", "gauge", "Sequences running.", &M::running);
  page.number("resting_sequences", "gauge", "Sequences whose client reads too slowly.", &M::resting);
  page.number("cache_entries", "gauge", "Entries of the prefix cache.", &M::cache_entries);
  page.number("cache_bytes", "gauge", "Memory the prefix cache refers to.", &M::cache_bytes);
  page.number("kv_bytes_in_use", "gauge", "Memory of keys and values in use.", &M::kv_bytes_in_use);
  page.number("kv_bytes_limit", "gauge", "Memory that keys and values may take.", &M::kv_bytes_limit);
  page.histogram("queue_seconds", "Time in the queue.", &M::queue_seconds);
  page.histogram("time_to_first_token_seconds", "From the request to its first token.",
                 &M::first_token_seconds);
  page.histogram("time_per_output_token_seconds", "Between two tokens of a choice.",
                 &M::between_token_seconds);
  page.histogram("request_seconds", "From the request to its end.", &M::request_seconds);
  return page.take();
}

}  // namespace

void add_metrics(Router& router, App& app) {
  router.add({.method = "GET", .pattern = "/metrics", .handler = [&app](HttpRequest, const PathParameters&) {
                return ready(HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                                          .body = metrics_page(app)});
              }});
}

}  // namespace atelier::server
