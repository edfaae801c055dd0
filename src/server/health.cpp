// /health: the process answers. /ready: its default model exists (a server that shuts down answers everything
// with 503).
#include "server/app.h"

namespace atelier::server {

void add_health(Router& router, App& app) {
  router.add(
      {.method = "GET",
       .pattern = "/health",
       .handler = [](HttpRequest, const PathParameters&) { return ready(OrderedJson{{"status", "ok"}}); },
       .is_public = true});
  router.add(
      {.method = "GET",
       .pattern = "/ready",
       .handler =
           [&app](HttpRequest, const PathParameters&) {
             const Result<CatalogueEntry> model = app.catalogue.find("");
             if (model) return ready(OrderedJson{{"status", "ready"}, {"model", model->id}});
             return ready(failure_response(
                 ErrorStyle::kOpenAi,
                 {.status = 503, .message = model.error().message, .retry_after = std::chrono::seconds(5)}));
           },
       .is_public = true});
}

}  // namespace atelier::server
