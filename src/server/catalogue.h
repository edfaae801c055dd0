// The models a client may name, and how the ones in use are kept.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "chat/dialect.h"
#include "engine/model_pool.h"

namespace atelier::server {

struct CatalogueEntry {
  std::string id;           // what clients call it
  std::string spec;         // what the loader takes
  int64_t created = 0;      // Unix seconds; 0: unknown
  uint64_t bytes = 0;       // of its files; 0: unknown
  std::string source = {};  // where it came from
};

struct CatalogueOptions {
  // Read anew for each question, since models come and go while the server runs.
  std::function<std::vector<CatalogueEntry>()> entries;
  std::function<std::string()> default_id;  // for requests that name none
  std::function<Result<std::unique_ptr<Engine>>(const std::string& spec)> load;
  ModelPoolOptions pool{};
};

// A loaded model with what conversations need; holding it keeps it loaded.
struct ModelInUse {
  std::string id;
  ModelLease lease;
  // Null where the model's chat template is of a kind that we do not speak: it can continue text only.
  std::shared_ptr<const chat::Dialect> dialect;
  std::string dialect_error;  // why it is null
};

class Catalogue {
 public:
  explicit Catalogue(CatalogueOptions options);

  std::vector<CatalogueEntry> entries() const { return options_.entries(); }
  // By id; "ID:latest" is ID, as Ollama's clients write it, and nothing is the default model. kNotFound names
  // what there is.
  Result<CatalogueEntry> find(std::string_view name) const;

  // Calls `ready` once, in this call if the model is loaded, else on the pool's thread.
  void acquire(const CatalogueEntry& entry, std::function<void(Result<ModelInUse>)> ready);
  Result<ModelInUse> acquire(const CatalogueEntry& entry);  // waits

  std::vector<ModelInUse> loaded();  // most recently used first
  bool unload(const CatalogueEntry& entry) { return pool_->unload(entry.spec); }

 private:
  Result<ModelInUse> dress(const std::string& id, ModelLease lease);

  CatalogueOptions options_;
  std::mutex mutex_;
  struct Dressed {
    std::weak_ptr<ServedModel> model;
    std::shared_ptr<const chat::Dialect> dialect;
    std::string error;
  };
  std::map<const ServedModel*, Dressed> dressed_;
  std::unique_ptr<ModelPool> pool_;  // last: its thread uses the rest
};

}  // namespace atelier::server
