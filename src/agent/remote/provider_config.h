// The models behind a URL that a user has written down. Only the user's own file is read: what a workspace
// brings along can name nobody whom code is sent to.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace atelier::agent {

struct ProviderConfig {
  std::string name{};
  std::string url{};
  std::string model{};                            // empty: -m has to name one
  std::string key_name = "ATELIER_PROVIDER_KEY";  // of the environment variable with the key
  std::optional<size_t> context{};                // tokens the model has room for
};
struct ProviderConfigs {
  std::vector<ProviderConfig> providers{};
  std::string usual{};  // used where neither a model nor a provider is named; empty: none is

  const ProviderConfig* find(std::string_view name) const;
};

// {"providers": {"NAME": {"url": "…", "model": "…", "key_env": "…", "context": 131072}}, "default": "NAME"};
// all but "url" may be left out. `what` names the text in errors. kInvalidArgument names the member, also
// one that is not known: a key itself has no place here.
Result<ProviderConfigs> parse_provider_configs(std::string_view text, std::string_view what);

// The user's ($XDG_CONFIG_HOME/atelier/providers.json); none where there is no such file. kInvalidArgument
// where others than the user may write it.
Result<ProviderConfigs> user_provider_configs();

}  // namespace atelier::agent
