// Where Hugging Face's hub is for this user, what speaks for them there, and what they already have of it.
// The variables are those of its own clients (huggingface.co/docs/huggingface_hub/package_reference/
// environment_variables).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "io/hub/repository.h"

namespace atelier {

struct HubSettings {
  std::string endpoint = "https://huggingface.co";  // HF_ENDPOINT, without a slash at its end
  std::string token;  // HF_TOKEN, else what `hf auth login` left; none with HF_HUB_DISABLE_IMPLICIT_TOKEN
  std::filesystem::path cache;  // HF_HUB_CACHE, else HF_HOME/hub; empty without a home folder
  bool offline = false;         // HF_HUB_OFFLINE

  static HubSettings from_environment();
};

// A repository in that cache, CACHE/models--OWNER--NAME:
//   refs/REVISION               the commit a branch or tag was at
//   snapshots/COMMIT/PATH       links to
//   blobs/DIGEST                SHA-256 of large files, git's SHA-1 of small ones
class HubCache {
 public:
  HubCache(const std::filesystem::path& cache, std::string_view repo_id);

  // What is there of a revision; nothing where it was never fetched.
  std::optional<RepoListing> listing(std::string_view revision) const;
  // The file's content by its digest, if a file of its size is there.
  std::optional<std::filesystem::path> find(const RepoFile& file) const;
  // A file of a listing made here.
  std::filesystem::path path_of(const RepoListing& listing, const RepoFile& file) const;

 private:
  std::filesystem::path folder_;
};

}  // namespace atelier
