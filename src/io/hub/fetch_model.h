// From a list of a model's files on servers to an entry of the store.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "io/hub/download.h"
#include "io/store.h"

namespace atelier {

struct RemoteModel {
  std::string name;    // in the store
  std::string origin;  // where it comes from whatever its version: "hf:openai/gpt-oss-20b"
  std::string source;  // that, with the version
  std::vector<RemoteFile> files;
};

// Where a file's content may already be on this machine; it is verified all the same.
using FindLocal = std::function<std::optional<std::filesystem::path>(const RemoteFile& file)>;

// Downloads, verifies and publishes. What the store has under the name already: the same content is returned
// at once; another version from the same origin is replaced when the new one is complete. An unfinished
// download goes on. Errors: those of download_files and Store::publish; kInvalidArgument for a name that
// belongs to a model from elsewhere; kIo for too little space, before anything is fetched; kCorrupt for
// content that is not what was promised, of which nothing stays.
Result<StoredModel> fetch_model(const Store& store, HttpClient& client, const RemoteModel& wanted,
                                const FindLocal& find_local, const TransferHooks& hooks,
                                const DownloadOptions& options);

// What a server says of a file it would send: its size, and its digest or tag. One small request. Errors:
// status_error's, kUnsupported where it does not say the size.
Result<RemoteFile> probe_file(HttpClient& client, const std::string& url,
                              const std::function<Status()>& check);

}  // namespace atelier
