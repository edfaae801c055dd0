#include "io/hub/download.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <memory>
#include <vector>

#include "io/hub/part_file.h"
#include "io/hub/url.h"

namespace atelier {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kLongestPause = std::chrono::milliseconds(60'000);

bool may_pass(int status) { return status == 408 || status == 425 || status == 429 || status >= 500; }

std::chrono::milliseconds retry_after(const HttpHead& head) {
  const std::string_view text = head.header("retry-after");
  unsigned int seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::min(kLongestPause, std::chrono::milliseconds(1000) * std::min(seconds, 3600U));
}

std::chrono::milliseconds pause_after(size_t failures, const DownloadOptions& options) {
  return std::min(kLongestPause, options.first_pause * (1U << std::min<size_t>(failures - 1, 10)));
}

// A file on its way.
struct Job {
  const RemoteFile* file = nullptr;
  PartFile part;
  std::string direct_url;  // where the file's URL redirects to, so that ranges need not ask again
  bool streamed = false;   // the server sends the whole file whatever is asked
  size_t failures = 0;     // in a row
  uint64_t bytes_at_failure = 0;
  Clock::time_point not_before;
};

enum class Outcome {
  kDone,
  kRetry,   // the connection failed: again, later
  kStream,  // the server does not know ranges
  kFatal,
};

class RangeTransfer final : public HttpSink {
 public:
  RangeTransfer(Job& job, const PartFile::Claim& claim) : job_(job), claim_(claim) {}

  Status begin(HttpClient& client) {
    used_direct_url_ = !job_.direct_url.empty();
    HttpRequest request{.url = used_direct_url_ ? job_.direct_url : job_.file->url};
    if (!job_.streamed) request.range = claim_.range;
    return client.start(request, *this);
  }

  Status on_head(const HttpHead& head) override {
    if (head.status != 200 && head.status != 206) return bad_status(head);
    // An answer without ranges will do where the whole file was asked for.
    if (head.status == 200 && !job_.streamed && claim_.range.bytes() < job_.file->bytes)
      return ends_as(Outcome::kStream, "sends no ranges");
    if (!job_.file->etag.empty() && !head.header("etag").empty() && head.header("etag") != job_.file->etag)
      return fatal(
          fail(ErrorCode::kCorrupt, "{}: changed on the server while it was downloaded", job_.file->name));
    const uint64_t length = head.content_length().value_or(job_.file->bytes);
    const bool wanted = head.status == 200 ? length == job_.file->bytes : is_wanted_part(head);
    if (!wanted || (job_.streamed && head.status != 200)) return contradiction(head);
    if (head.url != job_.file->url) job_.direct_url = head.url;
    return {};
  }
  Status on_body(std::span<const std::byte> bytes) override {
    if (Status stored = job_.part.append(claim_.chunk, bytes); !stored) {
      if (stored.error().code == ErrorCode::kCorrupt) return fatal(fail_in(job_.file->name, stored.error()));
      return fatal(std::move(stored));
    }
    return {};
  }
  void on_end(Status status) override {
    ended_ = true;
    job_.part.release(claim_.chunk);
    if (status && !job_.part.chunk_complete(claim_.chunk))
      status = fail(ErrorCode::kIo, "the answer ended early");
    if (outcome_ == Outcome::kDone && !status) outcome_ = Outcome::kRetry;
    if (!status) error_ = std::move(status).error();
  }

  Job& job() const { return job_; }
  size_t chunk() const { return claim_.chunk; }
  bool ended() const { return ended_; }
  Outcome outcome() const { return outcome_; }
  const Error& error() const { return error_; }
  std::chrono::milliseconds pause() const { return pause_; }

 private:
  Status ends_as(Outcome outcome, std::string_view why) {
    outcome_ = outcome;
    return fail(ErrorCode::kIo, "{}: {}", job_.file->name, why);
  }
  Status fatal(Status error) {
    outcome_ = Outcome::kFatal;
    return error;
  }
  Status bad_status(const HttpHead& head) {
    pause_ = retry_after(head);
    // Signed URLs run out: the file's own gives another.
    const bool expired = used_direct_url_ && head.status >= 400 && head.status < 500;
    if (expired) job_.direct_url.clear();
    outcome_ = expired || may_pass(head.status) ? Outcome::kRetry : Outcome::kFatal;
    return tl::unexpected<Error>(status_error(head, job_.file->name));
  }
  bool is_wanted_part(const HttpHead& head) const {
    const auto part = head.part();
    return part && part->range == claim_.range && part->total.value_or(job_.file->bytes) == job_.file->bytes;
  }
  Status contradiction(const HttpHead& head) {
    const std::string_view range = head.header("content-range");
    const std::string_view found = !range.empty() ? range : head.header("content-length");
    return fatal(fail(ErrorCode::kCorrupt, "{}: expected bytes {}-{} of {} from {}, found {} ({})",
                      job_.file->name, claim_.range.first, claim_.range.last, job_.file->bytes,
                      url_host(head.url), head.status, found.substr(0, 80)));
  }

  Job& job_;
  PartFile::Claim claim_;
  bool used_direct_url_ = false;
  bool ended_ = false;
  Outcome outcome_ = Outcome::kDone;
  Error error_{ErrorCode::kIo, {}};
  std::chrono::milliseconds pause_{0};
};

class Downloader {
 public:
  Downloader(HttpClient& client, const TransferHooks& hooks, const DownloadOptions& options)
      : client_(client), hooks_(hooks), options_(options) {}
  Downloader(const Downloader&) = delete;
  Downloader& operator=(const Downloader&) = delete;
  ~Downloader() {
    for (const auto& transfer : transfers_) client_.cancel(*transfer);
  }

  Status open(std::span<const RemoteFile> files, const fs::path& folder) {
    for (const RemoteFile& file : files) {
      ATELIER_TRY(PartFile part, PartFile::open(folder, file.key(), file.bytes));
      jobs_.push_back(std::make_unique<Job>(Job{.file = &file, .part = std::move(part)}));
      total_bytes_ += file.bytes;
    }
    return {};
  }

  Status run() {
    while (!std::all_of(jobs_.begin(), jobs_.end(), [](const auto& job) { return job->part.complete(); })) {
      ATELIER_CHECK_OK(hooks_.check(jobs_.front()->file->name));
      ATELIER_CHECK_OK(start_transfers());
      ATELIER_CHECK_OK(client_.step(std::chrono::milliseconds(100)));
      ATELIER_CHECK_OK(collect());
      report();
    }
    for (const auto& job : jobs_) ATELIER_CHECK_OK(job->part.sync());
    report();
    return {};
  }

 private:
  void report() const {
    uint64_t done = 0;
    for (const auto& job : jobs_) done += job->part.done_bytes();
    hooks_.report("fetching", done, total_bytes_);
  }

  Status start_transfers() {
    const auto now = Clock::now();
    for (const auto& job : jobs_) {
      while (transfers_.size() < options_.connections && job->not_before <= now) {
        const auto claim = job->part.claim();
        if (!claim) break;
        transfers_.push_back(std::make_unique<RangeTransfer>(*job, *claim));
        if (Status begun = transfers_.back()->begin(client_); !begun) {
          transfers_.pop_back();
          return begun;
        }
      }
    }
    return {};
  }

  // Draws the consequences of transfers that have ended.
  Status collect() {
    std::vector<std::unique_ptr<RangeTransfer>> ended;
    for (auto& transfer : transfers_)
      if (transfer->ended()) ended.push_back(std::move(transfer));
    std::erase(transfers_, nullptr);
    for (const auto& transfer : ended) {
      if (transfer->outcome() == Outcome::kFatal) return tl::unexpected<Error>(transfer->error());
      if (transfer->outcome() == Outcome::kStream) ATELIER_CHECK_OK(stream(transfer->job()));
      if (transfer->outcome() == Outcome::kRetry) ATELIER_CHECK_OK(retry(*transfer));
    }
    return {};
  }

  // From the begin of the file, in one piece.
  Status stream(Job& job) {
    for (auto& transfer : transfers_) {
      if (&transfer->job() != &job) continue;
      client_.cancel(*transfer);
      transfer.reset();
    }
    std::erase(transfers_, nullptr);
    job.streamed = true;
    return job.part.restart_as_stream();
  }

  Status retry(const RangeTransfer& transfer) {
    Job& job = transfer.job();
    const bool moved =
        !job.streamed && job.part.done_bytes() >= job.bytes_at_failure + PartFile::kRecordBytes;
    job.bytes_at_failure = job.part.done_bytes();
    job.failures = moved ? 1 : job.failures + 1;
    if (job.failures >= options_.attempts)
      return fail_in(job.file->name,
                     Error{transfer.error().code, fmt::format("given up after {} failed attempts: {}",
                                                              job.failures, transfer.error().message)});
    job.not_before = Clock::now() + std::max(transfer.pause(), pause_after(job.failures, options_));
    return job.streamed ? stream(job) : Status();
  }

  HttpClient& client_;
  const TransferHooks& hooks_;
  const DownloadOptions& options_;
  std::vector<std::unique_ptr<Job>> jobs_;
  std::vector<std::unique_ptr<RangeTransfer>> transfers_;
  uint64_t total_bytes_ = 0;
};

// What a server says of itself, fit for one line of ours.
std::string own_words(const HttpHead& head) {
  std::string words(head.header("x-error-message").substr(0, 200));
  std::replace_if(words.begin(), words.end(), [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return words.empty() ? words : ": " + words;
}

}  // namespace

Error status_error(const HttpHead& head, std::string_view what) {
  const std::string host = url_host(head.url);
  const std::string words = own_words(head);
  if (head.status == 401 || head.status == 403)
    return {ErrorCode::kNotFound,
            fmt::format("{}: {} refuses it ({}{}); it may not exist, or need a token (HF_TOKEN) of somebody "
                        "who accepted its terms",
                        what, host, head.status, words)};
  if (head.status == 404 || head.status == 410)
    return {ErrorCode::kNotFound,
            fmt::format("{}: {} has no such thing ({}{})", what, host, head.status, words)};
  return {ErrorCode::kIo, fmt::format("{}: {} answered with status {}{}", what, host, head.status, words)};
}

Status download_files(HttpClient& client, std::span<const RemoteFile> files, const fs::path& folder,
                      const TransferHooks& hooks, const DownloadOptions& options) {
  if (files.empty()) return {};
  Downloader downloader(client, hooks, options);
  ATELIER_CHECK_OK(downloader.open(files, folder));
  return downloader.run();
}

Result<std::string> download_text(HttpClient& client, const std::string& url, size_t max_bytes,
                                  std::string_view what, bool connections_may_fail,
                                  const TransferHooks& hooks, const DownloadOptions& options) {
  const std::function<Status()> check = [&] { return hooks.check(what); };
  for (size_t failures = 1;; ++failures) {
    auto answer = client.fetch({.url = url}, max_bytes, check);
    if (answer && answer->head.status == 200) return std::move(answer->body);
    const bool again = answer ? may_pass(answer->head.status)
                              : connections_may_fail && answer.error().code == ErrorCode::kIo;
    if (!again || failures >= options.attempts)
      return tl::unexpected<Error>(answer ? status_error(answer->head, what) : std::move(answer).error());
    const auto end =
        Clock::now() + std::max(pause_after(failures, options),
                                answer ? retry_after(answer->head) : std::chrono::milliseconds(0));
    while (Clock::now() < end) {
      ATELIER_CHECK_OK(check());
      ATELIER_CHECK_OK(client.step(std::chrono::milliseconds(100)));  // waits: nothing is under way
    }
  }
}

uint64_t missing_space(std::span<const RemoteFile> files, const fs::path& folder) {
  constexpr uint64_t kStatBlockBytes = 512;
  uint64_t missing = 0;
  for (const RemoteFile& file : files) {
    struct stat info{};
    const fs::path part = folder / (file.key() + ".part");
    const uint64_t have =
        ::stat(part.c_str(), &info) == 0 ? static_cast<uint64_t>(info.st_blocks) * kStatBlockBytes : 0;
    missing += file.bytes - std::min(have, file.bytes);
  }
  return missing;
}

}  // namespace atelier
