// Hugging Face repositories: how people name them, what is in one, and which of its files a model needs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace atelier {

// "owner/name", "owner/name:Q4_K_M", "owner/name@revision:file.gguf", each also behind "hf:", "hf.co/",
// "huggingface.co/" or as the web address of a repository or of a file in it.
struct RepoReference {
  std::string id;        // "owner/name"
  std::string revision;  // "main" unless named
  std::string choice;    // the quantisation or GGUF file wanted; may be empty
};
// Nothing where `text` has not the form of one. Parts that could leave a folder ("..") do not have it.
std::optional<RepoReference> parse_repo_reference(std::string_view text);

struct RepoFile {
  std::string path;               // in the repository, '/' between folders; the publisher's, unchecked
  std::optional<uint64_t> bytes;  // not every hub says
  std::string sha256;             // of large files; else empty
  std::string git_sha1;           // of small files; else empty
};
struct RepoListing {
  std::string commit;
  std::vector<RepoFile> files;
};

// The answer of /api/models/ID/revision/REV?blobs=true. Errors: kCorrupt, kLimit.
Result<RepoListing> parse_repo_listing(std::string_view json);

struct RepoSelection {
  std::vector<RepoFile> files;
  std::string label;  // of a GGUF: its quantisation, to tell apart in the store; may be empty
};
// The content of a small file of the repository.
using ReadRepoFile = std::function<Result<std::string>(const RepoFile& file)>;

// The files a model needs, and no others. In this order:
// - with a choice, the GGUF file of that name or quantisation, with all its parts;
// - config.json with model.safetensors or the shards its index names, and the tokenizer's files;
// - params.json with consolidated*.safetensors (Meta's names) and the tokenizer's files;
// - the only GGUF, or the one in MXFP4, Q4_K_M or Q4_0.
// Everything else in the repository (other layouts in folders, other frameworks' weights, pictures) stays
// there. Errors: kNotFound and kUnsupported, naming what there is; kCorrupt for names that cannot be files
// here.
Result<RepoSelection> select_repo_files(const RepoListing& listing, std::string_view choice,
                                        const ReadRepoFile& read);

// "Q4_K_M" of "SomeModel-7B.Q4_K_M-00001-of-00002.gguf"; empty where the name says none.
std::string quantisation_of(std::string_view file_name);

}  // namespace atelier
