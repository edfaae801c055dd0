#include "server/app.h"

namespace atelier::server {

int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Router make_router(App& app) {
  Router router;
  add_health(router, app);
  add_openai_models(router, app);
  add_openai_chat(router, app);
  add_openai_completions(router, app);
  add_responses(router, app);
  add_anthropic(router, app);
  add_ollama(router, app);
  add_ollama_models(router, app);
  add_ollama_pull(router, app);
  add_embeddings(router, app);
  add_tokenizer(router, app);
  add_metrics(router, app);
  add_page(router);
  return router;
}

}  // namespace atelier::server
