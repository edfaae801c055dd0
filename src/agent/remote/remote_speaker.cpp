#include "agent/remote/remote_speaker.h"

#include <algorithm>
#include <charconv>
#include <thread>

#include "agent/harness/clock.h"
#include "agent/remote/completions_request.h"
#include "agent/remote/completions_stream.h"
#include "io/hub/http.h"
#include "io/hub/url.h"

namespace atelier::agent {
namespace {

using std::chrono::milliseconds;

constexpr size_t kAttempts = 5;
constexpr std::chrono::seconds kLongestWait{60};
// A server that computes a long prompt may say nothing for minutes.
constexpr std::chrono::seconds kSilence{600};
constexpr size_t kMaxErrorBytes = size_t{64} << 10;
// Of English and code three to four bytes are a token: rather too many tokens than too few.
constexpr size_t kBytesPerToken = 3;

size_t bytes_of(const chat::Message& message) {
  size_t bytes = 16 + message.content.size() + message.preamble.size() + message.reasoning.size();
  for (const chat::ToolCall& call : message.tool_calls) bytes += 64 + call.arguments.size();
  return bytes;
}

bool is_busy(int status) { return status == 429 || status == 502 || status == 503 || status == 504; }

bool cancelled(const Speaker::Options& options) {
  return options.cancel != nullptr && options.cancel->load();
}

}  // namespace

// One request and its answer.
struct RemoteSpeaker::Exchange final : HttpSink {
  Exchange(size_t n_previous_calls, const Options& options) : stream(n_previous_calls, options.on_delta) {}

  Status on_head(const HttpHead& answer) override {
    head = answer;
    return {};
  }
  Status on_body(std::span<const std::byte> bytes) override {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (head.status != 200) {
      error_body += text.substr(0, kMaxErrorBytes - std::min(kMaxErrorBytes, error_body.size()));
      return {};
    }
    const bool first = !stream.begun();
    ATELIER_CHECK_OK(stream.push(text));
    if (first && stream.begun()) began = Clock::now();
    return {};
  }
  void on_end(Status status) override { ended = std::move(status); }

  HttpHead head;
  std::string error_body;
  CompletionsStream stream;
  std::optional<Status> ended;
  Clock::time_point began{};
};

Result<std::unique_ptr<Speaker>> RemoteSpeaker::create(Provider provider, chat::Conversation opening) {
  while (provider.url.ends_with('/')) provider.url.pop_back();
  auto origin = url_origin(provider.url);
  if (!origin) return fail_in("provider", std::move(origin).error());
  if (!provider.key.empty() && !origin->is_private())
    return fail(ErrorCode::kInvalidArgument,
                "provider: {} would carry the key of {} unencrypted; expected https, or this machine",
                url_host(provider.url), provider.key_name);
  return std::unique_ptr<Speaker>(new RemoteSpeaker(std::move(provider), std::move(opening)));
}

void RemoteSpeaker::restore(Transcript transcript) {
  Speaker::restore(std::move(transcript));
  known_tokens_ = known_messages_ = 0;
}

size_t RemoteSpeaker::count_tokens(std::string_view text) const {
  return (text.size() + kBytesPerToken - 1) / kBytesPerToken;
}

Result<size_t> RemoteSpeaker::prompt_tokens() const {
  const std::vector<chat::Message>& messages = transcript_.conversation.messages;
  size_t bytes = 0;
  for (size_t i = std::min(known_messages_, messages.size()); i < messages.size(); ++i)
    bytes += bytes_of(messages[i]);
  if (known_messages_ == 0)
    for (const chat::FunctionTool& tool : transcript_.conversation.tools)
      bytes += tool.parameters.size() + tool.description.size();
  return known_tokens_ + bytes / kBytesPerToken;
}

std::string RemoteSpeaker::request(const Options& options) const {
  CompletionsOptions asked{.model = provider_.model,
                           .temperature = provider_.temperature,
                           .top_p = provider_.top_p,
                           .seed = provider_.seed};
  const size_t prompt = prompt_tokens().value_or(0);
  const size_t room = provider_.context - std::min(provider_.context, prompt + prompt / 4);
  if (options.max_tokens != SIZE_MAX)
    asked.max_tokens = std::max<size_t>(1, std::min(options.max_tokens, room));
  return completions_request(transcript_.conversation, asked);
}

// kInterrupted once it is cancelled; what has come till then stays.
Status RemoteSpeaker::exchange(Exchange& one, const std::string& body, const Options& options) const {
  ATELIER_TRY(HttpClient client, HttpClient::create({.stall = kSilence,
                                                     .connect = std::chrono::seconds(30),
                                                     .least_bytes_per_second = 1,
                                                     .token = provider_.key,
                                                     .token_url = provider_.url}));
  ATELIER_CHECK_OK(client.start({.url = provider_.url + "/chat/completions", .json = body}, one));
  while (!one.ended) {
    if (cancelled(options)) {
      client.cancel(one);
      return fail(ErrorCode::kInterrupted, "interrupted");
    }
    ATELIER_CHECK_OK(client.step(milliseconds(50)));
  }
  return std::move(*one.ended);
}

namespace {

// Until the server wants to be asked again: what it says, else longer and longer.
std::chrono::seconds wait_before(size_t attempt, std::string_view retry_after) {
  std::chrono::seconds wait(long{1} << attempt);
  long seconds = 0;
  const auto [end, error] =
      std::from_chars(retry_after.data(), retry_after.data() + retry_after.size(), seconds);
  if (error == std::errc() && end == retry_after.data() + retry_after.size() && seconds >= 0)
    wait = std::chrono::seconds(seconds);
  return std::min(wait, kLongestWait);
}

bool wait_for(std::chrono::seconds wait, const Speaker::Options& options) {
  for (const auto until = Clock::now() + wait; Clock::now() < until;) {
    if (cancelled(options)) return false;
    std::this_thread::sleep_for(milliseconds(50));
  }
  return true;
}

Status refusal(const Provider& provider, int status, std::string_view body) {
  const std::string host = url_host(provider.url), why = error_text(body);
  if (status == 401 || status == 403)
    return fail(ErrorCode::kInvalidArgument, "{}: refuses {} ({}): {}", host,
                provider.key.empty() ? "to answer without a key; set " + provider.key_name
                                     : "the key in " + provider.key_name,
                status, why);
  return fail(status >= 500 || is_busy(status) ? ErrorCode::kIo : ErrorCode::kInvalidArgument,
              "{}: answers {}: {}", host, status, why);
}

}  // namespace

Result<Speaker::Turn> RemoteSpeaker::speak(const Options& options) {
  size_t n_calls = 0;
  for (const chat::Message& message : transcript_.conversation.messages) n_calls += message.tool_calls.size();
  const std::string body = request(options);
  const Clock::time_point start = Clock::now();
  for (size_t attempt = 0;; ++attempt) {
    Exchange one(n_calls, options);
    const Status done = exchange(one, body, options);
    const bool interrupted = !done && done.error().code == ErrorCode::kInterrupted;
    if (done && is_busy(one.head.status) && attempt + 1 < kAttempts) {
      const std::chrono::seconds wait = wait_before(attempt, one.head.header("retry-after"));
      if (options.on_note)
        options.on_note(fmt::format("{} is busy ({}); asked again in {} s", url_host(provider_.url),
                                    one.head.status, wait.count()));
      if (wait_for(wait, options)) continue;
    } else if (done && one.head.status != 200) {
      ATELIER_CHECK_OK(refusal(provider_, one.head.status, one.error_body));
    } else if (!done && !interrupted) {
      return fail(done.error().code, "provider: {}", done.error().message);
    } else if (!interrupted && !one.stream.ended()) {
      return fail(ErrorCode::kIo, "provider: {}: the answer broke off before its end",
                  url_host(provider_.url));
    }
    Turn turn;
    turn.reason = interrupted || cancelled(options) ? StopReason::kInterrupted : StopReason::kStopToken;
    turn.finish = one.stream.finish_reason();
    if (one.stream.ended() && turn.finish == chat::FinishReason::kLength)
      turn.reason = StopReason::kMaxTokens;
    turn.message = one.stream.take();
    const CompletionsUsage& usage = one.stream.usage();
    turn.prompt_tokens = usage.prompt_tokens;
    turn.cached_tokens = usage.cached_tokens;
    turn.output_tokens = usage.output_tokens;
    const double all = seconds_since(start);
    turn.decode_seconds = one.began == Clock::time_point() ? 0 : seconds_since(one.began);
    turn.prefill_seconds = all - turn.decode_seconds;
    append(turn.message);
    if (usage.prompt_tokens > 0) {
      known_tokens_ = usage.prompt_tokens + usage.output_tokens;
      known_messages_ = transcript_.conversation.messages.size();
    }
    return turn;
  }
}

}  // namespace atelier::agent
