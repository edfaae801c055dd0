// Ollama: which models there are (/api/tags, /api/show, /api/ps, /api/version), and what becomes of them
// (/api/copy, /api/delete).
#include "io/store.h"
#include "server/app.h"
#include "server/model_answer.h"
#include "server/ollama.h"

namespace atelier::server {
namespace {

OrderedJson details_json(std::string_view family, uint64_t n_params) {
  const std::string size = n_params == 0 ? "" : fmt::format("{:.1f}M", static_cast<double>(n_params) / 1e6);
  OrderedJson families = OrderedJson::array();
  if (!family.empty()) families.push_back(family);
  return {{"parent_model", ""},   {"format", "gguf"},       {"family", family},
          {"families", families}, {"parameter_size", size}, {"quantization_level", ""}};
}

OrderedJson tag_json(const CatalogueEntry& entry) {
  const auto created = std::chrono::system_clock::time_point(std::chrono::seconds(entry.created));
  return {{"name", entry.id},    {"model", entry.id}, {"modified_at", ollama_time(created)},
          {"size", entry.bytes}, {"digest", ""},      {"details", details_json("", 0)}};
}

HttpResponse ollama_tags(App& app) {
  OrderedJson models = OrderedJson::array();
  for (const CatalogueEntry& entry : app.catalogue.entries()) models.push_back(tag_json(entry));
  return {.body = to_text({{"models", std::move(models)}})};
}

HttpResponse ollama_running(App& app) {
  OrderedJson models = OrderedJson::array();
  for (const ModelInUse& model : app.catalogue.loaded()) {
    const Engine& engine = model.lease->engine();
    models.push_back({{"name", model.id},
                      {"model", model.id},
                      {"size", engine.info().packed_bytes + engine.info().in_place_bytes},
                      {"digest", ""},
                      {"details", details_json(engine.info().architecture, engine.info().n_params)},
                      {"expires_at", ollama_time(std::chrono::system_clock::now() + std::chrono::hours(24))},
                      {"size_vram", 0},
                      {"context_length", engine.context_length()}});
  }
  return {.body = to_text({{"models", std::move(models)}})};
}

Result<HttpResponse> ollama_show(const ModelInUse& model) {
  const Engine& engine = model.lease->engine();
  const ModelInfo& info = engine.info();
  const std::string prefix = info.architecture + ".";
  OrderedJson capabilities = OrderedJson::array({"completion"});
  if (model.dialect) capabilities.push_back("tools");
  if (model.dialect && model.dialect->name() == "harmony") capabilities.push_back("thinking");
  const OrderedJson model_info = {
      {"general.architecture", info.architecture}, {"general.parameter_count", info.n_params},
      {prefix + "block_count", info.n_layers},     {prefix + "context_length", engine.context_length()},
      {prefix + "embedding_length", info.d_model}, {prefix + "vocab_size", info.vocab_size}};
  return HttpResponse{.body = to_text({{"modelfile", ""},
                                       {"parameters", ""},
                                       {"template", engine.card().chat_template},
                                       {"details", details_json(info.architecture, info.n_params)},
                                       {"model_info", model_info},
                                       {"capabilities", std::move(capabilities)}})};
}

// DELETE /api/delete: out of the store, once nobody uses it any more.
Result<HttpResponse> delete_model(App& app, const HttpRequest& http) {
  ATELIER_TRY(const std::string name, ollama_model_name(http));
  ATELIER_TRY(const Store store, Store::open());
  ATELIER_TRY(const StoredModel model, store.find(without_latest(name)));
  for (const CatalogueEntry& entry : app.catalogue.entries())
    if (entry.spec == model.name) app.catalogue.unload(entry);
  ATELIER_CHECK_OK(store.remove(model.name));
  return HttpResponse{.content_type = {}};
}

// POST /api/copy: a second name for the same files.
Result<HttpResponse> copy_model(const HttpRequest& http) {
  ATELIER_TRY(const Json json, parse_body(http.body));
  const Fields body(json);
  ATELIER_TRY(const std::string from, body.required_text("source"));
  ATELIER_TRY(const std::string to, body.required_text("destination"));
  ATELIER_TRY(const Store store, Store::open());
  ATELIER_TRY(const StoredModel model, store.find(without_latest(from)));
  ATELIER_TRY(const std::filesystem::path files, store.resolve(model.name));
  ATELIER_CHECK_OK(
      store.import(files, {.name = std::string(without_latest(to)), .source = model.source, .hooks = {}}));
  return HttpResponse{.content_type = {}};
}

HttpResponse or_ollama_failure(Result<HttpResponse> made) {
  return made ? std::move(*made) : failure_response(ErrorStyle::kOllama, to_failure(made.error()));
}

}  // namespace

Result<std::string> ollama_model_name(const HttpRequest& http) {
  ATELIER_TRY(const Json json, parse_body(http.body));
  const Fields body(json);
  ATELIER_TRY(auto model, body.text("model"));
  if (model) return *model;
  return body.required_text("name");  // what it was called in older versions
}

std::string_view without_latest(std::string_view name) {
  constexpr std::string_view kLatest = ":latest";
  if (name.ends_with(kLatest)) name.remove_suffix(kLatest.size());
  return name;
}

void add_ollama_models(Router& router, App& app) {
  const auto add = [&](const char* method, const char* pattern, Handler handler) {
    router.add(
        {.method = method, .pattern = pattern, .handler = std::move(handler), .style = ErrorStyle::kOllama});
  };
  add("GET", "/api/tags", [&app](HttpRequest, const PathParameters&) { return ready(ollama_tags(app)); });
  add("GET", "/api/ps", [&app](HttpRequest, const PathParameters&) { return ready(ollama_running(app)); });
  add("GET", "/api/version",
      [](HttpRequest, const PathParameters&) { return ready(OrderedJson{{"version", kOllamaVersion}}); });
  add("POST", "/api/show", [&app](HttpRequest http, const PathParameters&) -> std::unique_ptr<Answer> {
    const Result<std::string> model = ollama_model_name(http);
    if (!model) return ready(failure_response(ErrorStyle::kOllama, to_failure(model.error())));
    return std::make_unique<ModelAnswer>(app.catalogue, *model, ErrorStyle::kOllama, ollama_show);
  });
  add("DELETE", "/api/delete", [&app](HttpRequest http, const PathParameters&) {
    return ready(or_ollama_failure(delete_model(app, http)));
  });
  add("POST", "/api/copy",
      [](HttpRequest http, const PathParameters&) { return ready(or_ollama_failure(copy_model(http))); });
}

}  // namespace atelier::server
