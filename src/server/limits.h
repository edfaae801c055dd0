// Every limit of the server in one place. docs/server.md lists them, errors name them, tests go one past
// each.
#pragma once

#include <chrono>
#include <cstddef>

namespace atelier::server {

using namespace std::chrono_literals;

// Requests. Messages, tools and schema sizes are chat::kMaxMessages, kMaxTools, kMaxSchemaBytes and
// kMaxJsonDepth.
inline constexpr size_t kMaxHeaderBytes = size_t{64} << 10;  // request line and fields; more is 431
inline constexpr size_t kMaxBodyBytes = size_t{32} << 20;    // however it is framed; more is 413
inline constexpr size_t kMaxStops = 16;
inline constexpr size_t kMaxStopBytes = 1024;  // of one stop string
inline constexpr size_t kMaxChoices = 8;       // n
inline constexpr size_t kMaxTopLogprobs = 20;
inline constexpr size_t kMaxLogitBias = 1024;  // entries
inline constexpr size_t kMaxPrompts = 32;      // of one completions request
inline constexpr size_t kMaxInputs = 2048;     // of one embeddings request

// All bodies that are being read or answered, together: many large ones at once get 503 instead of memory.
inline constexpr size_t kMaxBodyBytesInFlight = size_t{512} << 20;
inline constexpr size_t kMaxConnections = 4096;
inline constexpr size_t kMaxPulls = 4;  // downloads at a time

// Clients that take longer are let go.
inline constexpr auto kHandshakeTimeout = 10s;   // TLS
inline constexpr auto kHeaderTimeout = 10s;      // from the first byte of a request to the end of its header
inline constexpr auto kBodyIdleTimeout = 30s;    // between two pieces of a body
inline constexpr auto kWriteStallTimeout = 30s;  // while the client takes nothing of an answer
inline constexpr auto kKeepAliveTimeout = 75s;   // between two requests
inline constexpr auto kLingerTimeout = 2s;       // for a client to read a refusal while it still sends
inline constexpr size_t kMaxLingerBytes = size_t{64} << 20;

inline constexpr auto kHeartbeat = 15s;  // an event stream with nothing to say sends a comment

}  // namespace atelier::server
