// The model store: what `pull` brought in, under $XDG_DATA_HOME/atelier.
//
//   models/NAME/manifest.json   what it is: StoredModel
//   models/NAME/files/          its files under the publisher's names
//   staging/                    unfinished work, swept when the next one starts
//   downloads/NAME/             a download that goes on when NAME is pulled again
//
// A model appears under models/ by one rename of a folder whose files are verified and on disk, and leaves by
// one rename back into staging/: a process killed at any moment leaves the old state or the new. Files shared
// by several names, or with the folder they were imported from, share their blocks (reflink or hard link), so
// the file system's own count decides when removing a name frees them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/store_manifest.h"
#include "io/store_staging.h"

namespace atelier {

// The store name of the model that is fetched when none was chosen, and its alias for `pull`.
inline constexpr std::string_view kStarterName = "starter";

struct UnfinishedDownload {
  std::string name;
  uint64_t disk_bytes = 0;  // that it occupies
};

struct StoreListing {
  std::vector<StoredModel> models;  // by name
  std::vector<Error> damaged;       // entries that are there and cannot be used
  std::vector<UnfinishedDownload> unfinished;
};

// What publishing does where the name is taken by other content.
enum class IfTaken { kRefuse, kReplace };

struct ImportOptions {
  std::string name;    // empty: derived from the file or folder name
  std::string source;  // empty: the absolute path
  TransferHooks hooks;
};

class Store {
 public:
  // Where XDG_DATA_HOME, XDG_CONFIG_HOME and HOME say. Nothing is created before something is added.
  static Result<Store> open();
  Store(std::filesystem::path root, std::filesystem::path config_file)
      : root_(std::move(root)), config_file_(std::move(config_file)) {}

  const std::filesystem::path& root() const { return root_; }
  const std::filesystem::path& config_file() const { return config_file_; }

  Result<StoreListing> list() const;
  // Errors: kNotFound, kCorrupt for a damaged entry.
  Result<StoredModel> find(std::string_view name) const;

  // Adds a .gguf (with all parts of a split one) or a folder with config.json and *.safetensors. Importing
  // the same content under the same name again changes nothing; other content is refused. Errors: those of
  // Checkpoint::open; kInvalidArgument for a name that is taken or cannot be one; kInterrupted.
  Result<StoredModel> import(const std::filesystem::path& path, const ImportOptions& options) const;

  // Gives what lies in staging.files(), already verified, its name. model.name, source and files are the
  // caller's; the rest is filled in here. A damaged entry is replaced in any case.
  Result<StoredModel> publish(const Staging& staging, StoredModel model,
                              IfTaken if_taken = IfTaken::kRefuse) const;

  // The model of that name, and what was downloaded of it and not finished. Errors: kNotFound. Files that
  // other names or folders share stay there.
  Status remove(std::string_view name) const;

  // Removes what was downloaded of a model and not finished; nothing where another process is at it.
  void forget_download(std::string_view name) const;

  // MODEL of the command line: a name in the store, else a path to a .gguf or a folder. Errors: kNotFound,
  // kCorrupt.
  Result<std::filesystem::path> resolve(std::string_view model) const;

  // The model used when none is named: "default_model" of the configuration file, else the only one in the
  // store, else "starter" (which then need not be there yet). Errors: kCorrupt for a configuration that does
  // not parse.
  Result<std::string> default_model() const;

 private:
  std::filesystem::path models() const { return root_ / "models"; }

  std::filesystem::path root_;
  std::filesystem::path config_file_;
};

}  // namespace atelier
