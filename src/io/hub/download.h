// Files from servers into a folder: in ranges over several connections, going on where an earlier attempt
// stopped, and again where a connection fails.
#pragma once

#include <chrono>
#include <filesystem>
#include <span>

#include "io/hub/http.h"
#include "io/hub/remote_file.h"
#include "io/store_staging.h"

namespace atelier {

struct DownloadOptions {
  size_t connections = 4;
  // A file whose transfers fail this often in a row, without at least PartFile::kRecordBytes having come in
  // between, has failed.
  size_t attempts = 6;
  std::chrono::milliseconds first_pause = std::chrono::milliseconds(500);  // doubled with every failure
};

// Makes each file folder/KEY.part, complete and on disk, but not verified. The caller has checked for space.
// Reports "fetching". Errors: kNotFound (the server has no such file, or not for us), kIo (connections keep
// failing; the disk), kCorrupt (a server that contradicts itself or what is known of the file), kInterrupted.
// What came until then stays for the next time.
Status download_files(HttpClient& client, std::span<const RemoteFile> files,
                      const std::filesystem::path& folder, const TransferHooks& hooks,
                      const DownloadOptions& options);

// A small answer with status 200, asked for again while the server is busy, and where `connections_may_fail`
// also where a connection failed. Errors: status_error's, kIo, kLimit, kInterrupted.
Result<std::string> download_text(HttpClient& client, const std::string& url, size_t max_bytes,
                                  std::string_view what, bool connections_may_fail,
                                  const TransferHooks& hooks, const DownloadOptions& options);

// Bytes that still have to be set aside on disk before `files` fit into `folder`.
uint64_t missing_space(std::span<const RemoteFile> files, const std::filesystem::path& folder);

// What an answer's status means where the file itself was expected: kNotFound for 401, 403, 404 and 410, with
// what to do about it; else kIo.
Error status_error(const HttpHead& head, std::string_view what);

}  // namespace atelier
