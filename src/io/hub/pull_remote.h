// The ways `pull` has to a model: each finds out what the files are and hands them to fetch_model.
#pragma once

#include <string>
#include <string_view>

#include "io/hub/repository.h"
#include "io/pull.h"

namespace atelier {

// Where the hub cannot be reached, what its own clients cached of the repository will do.
Result<StoredModel> pull_repository(const Store& store, const RepoReference& reference,
                                    const TransferHooks& hooks, const PullOptions& options);

Result<StoredModel> pull_url(const Store& store, const std::string& url, const TransferHooks& hooks,
                             const PullOptions& options);

// `name`: "llama3.2", "llama3.2:3b", "someone/model:tag", "hf.co/someone/model:Q4_K_M".
Result<StoredModel> import_from_ollama(const Store& store, std::string_view name, const TransferHooks& hooks,
                                       const PullOptions& options);

}  // namespace atelier
