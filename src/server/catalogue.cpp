#include "server/catalogue.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace atelier::server {

Catalogue::Catalogue(CatalogueOptions options)
    : options_(std::move(options)), pool_(std::make_unique<ModelPool>(options_.load, options_.pool)) {}

Result<CatalogueEntry> Catalogue::find(std::string_view name) const {
  constexpr std::string_view kLatest = ":latest";
  const std::string wanted = name.empty() ? options_.default_id() : std::string(name);
  std::vector<CatalogueEntry> all = entries();
  const auto by_id = [&](std::string_view id) {
    return std::ranges::find_if(all, [&](const CatalogueEntry& entry) { return entry.id == id; });
  };
  auto found = by_id(wanted);
  if (found == all.end() && wanted.ends_with(kLatest))
    found = by_id(std::string_view(wanted).substr(0, wanted.size() - kLatest.size()));
  if (found != all.end()) return std::move(*found);
  std::vector<std::string> ids;
  for (const CatalogueEntry& entry : all) ids.push_back(entry.id);
  constexpr size_t kMaxShown = 100;
  return fail(ErrorCode::kNotFound, "model: expected one of {}, found \"{}\"",
              ids.empty() ? "none (there is no model in the store)" : fmt::format("{}", fmt::join(ids, ", ")),
              wanted.substr(0, kMaxShown));
}

Result<ModelInUse> Catalogue::dress(const std::string& id, ModelLease lease) {
  const std::lock_guard lock(mutex_);
  std::erase_if(dressed_, [](const auto& entry) { return entry.second.model.expired(); });
  Dressed& dressed = dressed_[lease.get()];
  if (!dressed.dialect && dressed.error.empty()) {
    dressed.model = lease;
    const Engine& engine = lease->engine();
    Result<std::unique_ptr<chat::Dialect>> dialect =
        chat::dialect_for(engine.info().architecture, engine.shared_tokenizer(), engine.card().chat_template);
    if (dialect)
      dressed.dialect = std::move(*dialect);
    else
      dressed.error = dialect.error().message;
  }
  return ModelInUse{id, std::move(lease), dressed.dialect, dressed.error};
}

void Catalogue::acquire(const CatalogueEntry& entry, std::function<void(Result<ModelInUse>)> ready) {
  pool_->acquire(entry.spec, [this, id = entry.id, ready = std::move(ready)](Result<ModelLease> lease) {
    if (lease)
      ready(dress(id, std::move(*lease)));
    else
      ready(tl::unexpected<Error>(std::move(lease).error()));
  });
}

Result<ModelInUse> Catalogue::acquire(const CatalogueEntry& entry) {
  ATELIER_TRY(ModelLease lease, pool_->acquire(entry.spec));
  return dress(entry.id, std::move(lease));
}

std::vector<ModelInUse> Catalogue::loaded() {
  std::vector<ModelInUse> out;
  const std::vector<CatalogueEntry> all = entries();
  for (const ModelLease& lease : pool_->loaded()) {
    const auto entry =
        std::ranges::find_if(all, [&](const CatalogueEntry& known) { return known.spec == lease->name; });
    Result<ModelInUse> model = dress(entry == all.end() ? lease->name : entry->id, lease);
    if (model) out.push_back(std::move(*model));
  }
  return out;
}

}  // namespace atelier::server
