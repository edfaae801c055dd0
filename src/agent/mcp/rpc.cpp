#include "agent/mcp/rpc.h"

#include "agent/tools/output_text.h"
#include "agent/workspace/quote.h"

namespace atelier::agent {
namespace {

using chat::Json;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kStep = std::chrono::milliseconds(20);      // how soon a cancel is seen
constexpr auto kWritePatience = std::chrono::seconds(10);  // a server that does not read is broken
constexpr int kMethodNotFound = -32601;

// The last line that is not empty.
std::string last_line(std::string_view text) {
  const std::string plain = plain_text(text);
  const size_t end = plain.find_last_not_of(" \n\t");
  if (end == std::string::npos) return {};
  const size_t begin = plain.rfind('\n', end);
  return plain.substr(begin == std::string::npos ? 0 : begin + 1,
                      begin == std::string::npos ? end + 1 : end - begin);
}

}  // namespace

tl::unexpected<Error> RpcConnection::ended() const {
  const std::string said = last_line(process_.errors());
  return fail(ErrorCode::kIo, "{}: the server has ended{}{}", name_, said.empty() ? "" : ": ",
              said.empty() ? "" : in_quotes(said));
}

Status RpcConnection::send(const Json& message) {
  // One line: JSON's own newlines are escaped.
  const std::string line =
      message.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
  if (!process_.write(line, kWritePatience)) return ended();
  return {};
}

Status RpcConnection::notify(std::string_view method, const Json& parameters) {
  return send({{"jsonrpc", "2.0"}, {"method", method}, {"params", parameters}});
}

Result<std::string> RpcConnection::next_line(SteadyClock::time_point deadline, const RpcWait& wait) {
  for (;;) {
    if (const size_t end = pending_.find('\n', searched_); end != std::string::npos) {
      std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      searched_ = 0;
      return line;
    }
    searched_ = pending_.size();
    if (pending_.size() > kMaxLine)
      return fail(ErrorCode::kLimit, "{}: expected a message of at most {} bytes, found more", name_,
                  kMaxLine);
    if (wait.cancel != nullptr && wait.cancel->load()) return fail(ErrorCode::kInterrupted, "interrupted");
    if (SteadyClock::now() >= deadline)
      return fail(ErrorCode::kLimit, "{}: no answer within {} s", name_,
                  std::chrono::duration<double>(wait.timeout).count());
    ATELIER_TRY(const bool more, process_.read(kStep, pending_));
    if (!more && pending_.find('\n', searched_) == std::string::npos) return ended();
  }
}

Status RpcConnection::answer(const Json& request) {
  const std::string* method = chat::string_member(request, "method");
  const Json* id = chat::member(request, "id");
  if (id == nullptr) return {};  // a notification: nothing here depends on them
  Json reply = {{"jsonrpc", "2.0"}, {"id", *id}};
  if (*method == "ping") {
    reply["result"] = Json::object();
  } else if (auto result = answers_ ? answers_(*method) : fail(ErrorCode::kNotFound, ""); result) {
    reply["result"] = std::move(*result);
  } else {
    reply["error"] = {{"code", kMethodNotFound}, {"message", "not supported"}};
  }
  return send(reply);
}

Result<Json> RpcConnection::call(std::string_view method, const Json& parameters, const RpcWait& wait) {
  const int64_t id = next_id_++;
  ATELIER_CHECK_OK(send({{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", parameters}}));
  const SteadyClock::time_point deadline = SteadyClock::now() + wait.timeout;
  for (size_t n = 0; n < kMaxMessages; ++n) {
    Result<std::string> line = next_line(deadline, wait);
    if (!line) {
      if (line.error().code == ErrorCode::kInterrupted || line.error().code == ErrorCode::kLimit)
        (void)notify("notifications/cancelled", {{"requestId", id}});
      return tl::unexpected<Error>(std::move(line).error());
    }
    const Result<Json> message = chat::parse_json(*line, name_);
    if (!message || !message->is_object()) {
      // Some programs greet on standard output.
      if (++noise_ > kMaxNoise)
        return fail(ErrorCode::kCorrupt, "{}: expected JSON-RPC messages, found {}", name_, in_quotes(*line));
      continue;
    }
    if (chat::string_member(*message, "method") != nullptr) {
      ATELIER_CHECK_OK(answer(*message));
      continue;
    }
    const Json* answered = chat::member(*message, "id");
    if (answered == nullptr || *answered != id) continue;  // of a call that was given up
    if (const Json* error = chat::member(*message, "error")) {
      const std::string* said = chat::string_member(*error, "message");
      return fail(ErrorCode::kInvalidArgument, "{}: {}", name_,
                  said == nullptr ? "an error without a message" : in_quotes(*said, 1000));
    }
    if (const Json* result = chat::member(*message, "result")) return *result;
    return fail(ErrorCode::kCorrupt, "{}: expected a result or an error, found neither", name_);
  }
  return fail(ErrorCode::kLimit, "{}: expected an answer within {} messages", name_, kMaxMessages);
}

}  // namespace atelier::agent
