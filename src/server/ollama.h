// Ollama: the bodies of /api/chat and /api/generate as tasks, and their answers. Source: docs/api.md of
// ollama/ollama.
#pragma once

#include <chrono>
#include <memory>

#include "server/fields.h"
#include "server/http.h"
#include "server/reply.h"
#include "server/task.h"

namespace atelier::server {

// The API's level of features; clients ask for it and switch off what is newer.
inline constexpr std::string_view kOllamaVersion = "0.12.6";

struct OllamaRequest {
  Task task{};
  bool stream = true;
  bool generate = false;  // /api/generate: "response" in place of "message"
  bool think = true;      // show reasoning
  // Nothing is asked for: clients load a model this way before they need it, or with keep_alive 0 unload it.
  bool only_loads = false;
  bool unloads = false;
};
Result<OllamaRequest> parse_ollama_chat(const Json& body);
Result<OllamaRequest> parse_ollama_generate(const Json& body);

std::unique_ptr<Reply> make_ollama_reply(const OllamaRequest& request);

// "model" of a body, or "name" as older clients call it.
Result<std::string> ollama_model_name(const HttpRequest& http);
// "starter" for "starter:latest", as these clients write names.
std::string_view without_latest(std::string_view name);

// "2026-01-31T12:00:00.123456Z"
std::string ollama_time(std::chrono::system_clock::time_point time);

}  // namespace atelier::server
