#include "io/hub/http.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <vector>

#include "io/hub/curl_api.h"
#include "io/hub/url.h"

namespace atelier {
namespace {

constexpr int kMaxRedirects = 10;
constexpr size_t kMaxHeaderBytes = size_t{256} << 10;  // of one answer
constexpr size_t kMaxRedirectBody = size_t{64} << 10;  // read and thrown away, to keep the connection
constexpr long kReceiveBufferBytes = long{512} << 10;  // libcurl's largest

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A token goes into a header line: anything that could end the line is not one.
bool is_token(std::string_view token) {
  return std::all_of(token.begin(), token.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

}  // namespace

// One request under way. It has a name of its own, not an unnamed one: HttpClient::State is made of it.
struct HttpTransfer {
  const CurlApi* api = nullptr;
  CURL* easy = nullptr;
  curl_slist* request_headers = nullptr;
  HttpSink* sink = nullptr;
  HttpRequest request;  // its URL is the one asked now
  HttpHead head;
  std::map<std::string, std::string, std::less<>> earlier;  // "x-…" of redirects
  std::string redirect_to;
  size_t header_bytes = 0;
  size_t ignored_bytes = 0;
  int n_redirects = 0;
  bool head_given = false;
  Status failure;  // what a callback found wrong, which libcurl knows only as "aborted"
  std::array<char, CURL_ERROR_SIZE> reason{};

  HttpTransfer() = default;
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;
  ~HttpTransfer() {
    if (easy != nullptr) api->easy_cleanup(easy);
    api->slist_free_all(request_headers);
  }

  void begin_answer() {
    head = {};
    head.url = request.url;
    redirect_to.clear();
    head_given = false;
  }
  Status header_line(std::string_view line);
  Status end_of_headers();
};

Status HttpTransfer::header_line(std::string_view line) {
  header_bytes += line.size();
  if (header_bytes > kMaxHeaderBytes)
    return fail(ErrorCode::kLimit, "{}: expected at most {} bytes of headers, found more",
                url_host(request.url), kMaxHeaderBytes);
  if (head_given) return {};  // a trailer
  if (line.starts_with("HTTP/")) {
    begin_answer();
    const size_t space = line.find(' ');
    const auto status =
        space == std::string_view::npos ? std::nullopt : parse_number(line.substr(space + 1, 3));
    head.status = static_cast<int>(status.value_or(0));
    return {};
  }
  if (trimmed(line).empty()) return end_of_headers();
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  std::string name(trimmed(line.substr(0, colon)));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  head.headers[std::move(name)] = std::string(trimmed(line.substr(colon + 1)));
  return {};
}

Status HttpTransfer::end_of_headers() {
  if (head.status < 200) return {};  // "100 Continue": the answer is yet to come
  if (const std::string_view location = head.header("location");
      is_redirect(head.status) && !location.empty()) {
    redirect_to = location;
    for (auto& [name, value] : head.headers)
      if (name.starts_with("x-")) earlier[name] = value;
    return {};
  }
  head.headers.insert(earlier.begin(), earlier.end());
  head_given = true;
  return sink->on_head(head);
}

namespace {

size_t on_header(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<HttpTransfer*>(user);
  transfer.failure = transfer.header_line({data, size * count});
  return transfer.failure ? size * count : 0;
}

size_t on_body(char* data, size_t size, size_t count, void* user) {
  auto& transfer = *static_cast<HttpTransfer*>(user);
  const size_t bytes = size * count;
  if (!transfer.head_given) {
    transfer.ignored_bytes += bytes;
    return transfer.ignored_bytes <= kMaxRedirectBody ? bytes : 0;
  }
  transfer.failure = transfer.sink->on_body(std::as_bytes(std::span(data, bytes)));
  return transfer.failure ? bytes : 0;
}

}  // namespace

std::string_view HttpHead::header(std::string_view name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

std::optional<uint64_t> HttpHead::content_length() const { return parse_number(header("content-length")); }

std::optional<HttpHead::Part> HttpHead::part() const {
  std::string_view text = header("content-range");
  if (status != 206 || !text.starts_with("bytes ")) return std::nullopt;
  text = trimmed(text.substr(6));
  const size_t dash = text.find('-');
  const size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || slash < dash) return std::nullopt;
  const auto first = parse_number(text.substr(0, dash));
  const auto last = parse_number(text.substr(dash + 1, slash - dash - 1));
  const auto total = parse_number(text.substr(slash + 1));
  if (!first || !last || *last < *first) return std::nullopt;
  if (!total && text.substr(slash + 1) != "*") return std::nullopt;
  return Part{{*first, *last}, total};
}

struct HttpClient::State {
  const CurlApi* api = nullptr;
  HttpOptions options;
  std::optional<UrlOrigin> token_origin;
  CURLM* multi = nullptr;
  std::vector<std::unique_ptr<HttpTransfer>> transfers;

  ~State() {
    for (const auto& transfer : transfers) api->multi_remove_handle(multi, transfer->easy);
    transfers.clear();
    if (multi != nullptr) api->multi_cleanup(multi);
  }

  Status send(HttpTransfer& transfer);
  bool follow(HttpTransfer& transfer);
  void finish(CURL* easy, CURLcode code);
  Status outcome(const HttpTransfer& transfer, CURLcode code) const;
};

Result<HttpClient> HttpClient::create(HttpOptions options) {
  ATELIER_TRY(const CurlApi* api, curl_api());
  auto state = std::make_unique<State>();
  state->api = api;
  if (!is_token(options.token))
    return fail(ErrorCode::kInvalidArgument, "the hub's token: expected printable characters without spaces");
  if (!options.token.empty()) {
    ATELIER_TRY(state->token_origin, url_origin(options.token_url));
  }
  state->options = std::move(options);
  state->multi = api->multi_init();
  if (state->multi == nullptr) return fail(ErrorCode::kIo, "libcurl could not be initialised");
  return HttpClient(std::move(state));
}

HttpClient::HttpClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

// Makes a handle for what `transfer` now asks and hands it to libcurl.
Status HttpClient::State::send(HttpTransfer& transfer) {
  ATELIER_TRY(const UrlOrigin origin, url_origin(transfer.request.url));
  if (transfer.easy != nullptr) api->easy_cleanup(transfer.easy);
  api->slist_free_all(transfer.request_headers);
  transfer.request_headers = api->slist_append(nullptr, "Accept-Encoding: identity");
  if (token_origin && origin == *token_origin && origin.is_private())
    transfer.request_headers =
        api->slist_append(transfer.request_headers, ("Authorization: Bearer " + options.token).c_str());
  if (transfer.request.json)
    transfer.request_headers = api->slist_append(transfer.request_headers, "Content-Type: application/json");
  transfer.easy = api->easy_init();
  if (transfer.easy == nullptr) return fail(ErrorCode::kIo, "libcurl could not begin a transfer");
  transfer.begin_answer();
  transfer.header_bytes = 0;
  transfer.ignored_bytes = 0;

  const auto set = [&](CURLoption option, auto value) { api->easy_setopt(transfer.easy, option, value); };
  set(CURLOPT_URL, transfer.request.url.c_str());
  set(CURLOPT_HTTPHEADER, transfer.request_headers);
  set(CURLOPT_USERAGENT, "atelier");
  set(CURLOPT_NOSIGNAL, 1L);
  // One connection a transfer: parallel ranges are to add up, not to share one stream.
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_BUFFERSIZE, kReceiveBufferBytes);
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(std::min(options.connect, options.stall).count()));
  set(CURLOPT_LOW_SPEED_LIMIT, options.least_bytes_per_second);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall.count()));
  set(CURLOPT_ERRORBUFFER, transfer.reason.data());
  set(CURLOPT_HEADERFUNCTION, &on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  if (transfer.request.head) set(CURLOPT_NOBODY, 1L);
  if (const auto& json = transfer.request.json) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(json->size()));
    set(CURLOPT_POSTFIELDS, json->data());  // not copied: it is the transfer's
  }
  if (const auto& range = transfer.request.range)
    set(CURLOPT_RANGE, fmt::format("{}-{}", range->first, range->last).c_str());
  if (api->multi_add_handle(multi, transfer.easy) != CURLM_OK)
    return fail(ErrorCode::kIo, "libcurl could not begin a transfer");
  return {};
}

Status HttpClient::start(const HttpRequest& request, HttpSink& sink) {
  auto transfer = std::make_unique<HttpTransfer>();
  transfer->api = state_->api;
  transfer->sink = &sink;
  transfer->request = request;
  ATELIER_CHECK_OK(state_->send(*transfer));
  state_->transfers.push_back(std::move(transfer));
  return {};
}

size_t HttpClient::n_active() const { return state_->transfers.size(); }

void HttpClient::cancel(const HttpSink& sink) {
  auto& transfers = state_->transfers;
  for (const auto& transfer : transfers)
    if (transfer->sink == &sink) state_->api->multi_remove_handle(state_->multi, transfer->easy);
  std::erase_if(transfers, [&](const auto& transfer) { return transfer->sink == &sink; });
}

// Goes on to where the answer redirects to; false where it must not or cannot, with the reason in `failure`.
bool HttpClient::State::follow(HttpTransfer& transfer) {
  const auto refused = [&](Status why) {
    transfer.failure = std::move(why);
    return false;
  };
  const std::string from = url_host(transfer.request.url);
  if (transfer.request.json)
    return refused(fail(ErrorCode::kIo, "{}: redirects, which is not followed with what was posted", from));
  if (++transfer.n_redirects > kMaxRedirects)
    return refused(
        fail(ErrorCode::kIo, "{}: expected at most {} redirects, found more", from, kMaxRedirects));
  auto target = url_join(transfer.request.url, transfer.redirect_to);
  if (!target)
    return refused(fail(ErrorCode::kIo, "{}: redirects elsewhere: {}", from, target.error().message));
  if (transfer.request.url.starts_with("https:") && !target->starts_with("https:"))
    return refused(fail(ErrorCode::kIo, "{}: redirects from https to http, which is not followed", from));
  transfer.request.url = std::move(*target);
  if (Status sent = send(transfer); !sent) return refused(std::move(sent));
  return true;
}

Status HttpClient::State::outcome(const HttpTransfer& transfer, CURLcode code) const {
  if (!transfer.failure) return transfer.failure;
  if (code == CURLE_OK && transfer.head_given) return {};
  const std::string host = url_host(transfer.request.url);
  if (code == CURLE_OPERATION_TIMEDOUT)
    return fail(ErrorCode::kIo, "{}: nothing arrived for {} s", host, options.stall.count());
  const std::string reason = transfer.reason[0] != '\0' ? transfer.reason.data() : api->easy_strerror(code);
  return fail(ErrorCode::kIo, "{}: {}", host, code == CURLE_OK ? "no answer" : reason);
}

void HttpClient::State::finish(CURL* easy, CURLcode code) {
  const auto at = std::find_if(transfers.begin(), transfers.end(),
                               [easy](const auto& transfer) { return transfer->easy == easy; });
  if (at == transfers.end()) return;
  api->multi_remove_handle(multi, easy);
  HttpTransfer& transfer = **at;
  // A redirect counts as answered even where its long body was cut off.
  const bool redirects =
      transfer.failure && !transfer.redirect_to.empty() && (code == CURLE_OK || code == CURLE_WRITE_ERROR);
  if (redirects && follow(transfer)) return;
  const std::unique_ptr<HttpTransfer> ended = std::move(*at);
  transfers.erase(at);
  ended->sink->on_end(outcome(*ended, redirects ? CURLE_OK : code));
}

Status HttpClient::step(std::chrono::milliseconds timeout) {
  State& s = *state_;
  int running = 0;
  const auto run = [&]() -> Result<bool> {
    if (s.api->multi_perform(s.multi, &running) != CURLM_OK)
      return fail(ErrorCode::kIo, "libcurl could not go on with its transfers");
    bool ended = false;
    int left = 0;
    while (const CURLMsg* message = s.api->multi_info_read(s.multi, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      // The message is gone once the handle is removed.
      CURL* const easy = message->easy_handle;
      const CURLcode code = message->data.result;
      s.finish(easy, code);
      ended = true;
    }
    return ended;
  };
  ATELIER_TRY(const bool ended, run());
  if (ended) return {};
  s.api->multi_poll(s.multi, nullptr, 0, static_cast<int>(timeout.count()), nullptr);
  ATELIER_TRY(const bool ended_later, run());
  (void)ended_later;
  return {};
}

namespace {

class TextSink final : public HttpSink {
 public:
  explicit TextSink(size_t max_bytes) : max_bytes_(max_bytes) {}
  Status on_head(const HttpHead& head) override {
    answer.head = head;
    return {};
  }
  Status on_body(std::span<const std::byte> bytes) override {
    if (bytes.size() > max_bytes_ - answer.body.size())
      return fail(ErrorCode::kLimit, "{}: expected an answer of at most {} bytes, found more",
                  url_host(answer.head.url), max_bytes_);
    answer.body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  void on_end(Status status) override { ended = std::move(status); }

  HttpClient::Answer answer;
  std::optional<Status> ended;

 private:
  size_t max_bytes_;
};

}  // namespace

Result<HttpClient::Answer> HttpClient::fetch(const HttpRequest& request, size_t max_bytes,
                                             const std::function<Status()>& check) {
  TextSink sink(max_bytes);
  ATELIER_CHECK_OK(start(request, sink));
  while (!sink.ended) {
    Status going = check ? check() : Status();
    if (going) going = step(std::chrono::milliseconds(100));
    if (!going) {
      cancel(sink);
      return tl::unexpected<Error>(std::move(going).error());
    }
  }
  ATELIER_CHECK_OK(*sink.ended);
  return std::move(sink.answer);
}

}  // namespace atelier
