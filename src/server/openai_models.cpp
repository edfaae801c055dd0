// OpenAI: /v1/models.
#include "server/app.h"

namespace atelier::server {
namespace {

OrderedJson model_json(const CatalogueEntry& entry) {
  return {{"id", entry.id}, {"object", "model"}, {"created", entry.created}, {"owned_by", "local"}};
}

}  // namespace

void add_openai_models(Router& router, App& app) {
  router.add(
      {.method = "GET", .pattern = "/v1/models", .handler = [&app](HttpRequest, const PathParameters&) {
         OrderedJson data = OrderedJson::array();
         for (const CatalogueEntry& entry : app.catalogue.entries()) data.push_back(model_json(entry));
         return ready(OrderedJson{{"object", "list"}, {"data", std::move(data)}});
       }});
  router.add({.method = "GET",
              .pattern = "/v1/models/{model...}",
              .handler = [&app](HttpRequest, const PathParameters& path) {
                const Result<CatalogueEntry> entry = app.catalogue.find(path.at("model"));
                if (entry) return ready(model_json(*entry));
                Failure failure = to_failure(entry.error());
                failure.code = "model_not_found";
                return ready(failure_response(ErrorStyle::kOpenAi, failure));
              }});
}

}  // namespace atelier::server
