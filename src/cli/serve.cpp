// atelier serve: the server.

#include <cstdlib>
#include <iomanip>
#include <sstream>

#include "base/file.h"
#include "cli/model_flags.h"
#include "io/store.h"
#include "server/app.h"
#include "server/server.h"

namespace atelier::cli {
namespace {

struct ServeFlags {
  ModelFlags model;  // what all models are loaded with; its `model` stays empty
  std::vector<std::string> models;
  server::ServerOptions server;
  std::string api_key_file;
  size_t parallel = 16;
  size_t queue = 64;
  size_t max_models = 4;
  int shutdown_seconds = 30;
};

constexpr size_t kMaxKeyFileBytes = 64 << 10;

// "2026-01-31T12:00:00Z" as Unix seconds; 0 if it is something else.
int64_t unix_time(const std::string& text) {
  std::tm time{};
  std::istringstream in(text);
  in >> std::get_time(&time, "%Y-%m-%dT%H:%M:%SZ");
  return in.fail() ? 0 : static_cast<int64_t>(timegm(&time));
}

server::CatalogueEntry entry_of(const StoredModel& model) {
  return {model.name, model.name, unix_time(model.added), model.total_bytes(), model.source};
}

std::vector<server::CatalogueEntry> store_entries() {
  std::vector<server::CatalogueEntry> entries;
  const Result<Store> store = Store::open();
  const Result<StoreListing> listing = store ? store->list() : tl::unexpected<Error>(store.error());
  if (!listing) return entries;
  for (const StoredModel& model : listing->models) entries.push_back(entry_of(model));
  return entries;
}

// "name" of "name=model", else what a client would call the model: its store name or its file's stem.
server::CatalogueEntry entry_given(const std::string& given) {
  const size_t equals = given.find('=');
  server::CatalogueEntry entry;
  entry.spec = equals == std::string::npos ? given : given.substr(equals + 1);
  const std::filesystem::path path =
      entry.spec.starts_with("script:") ? entry.spec.substr(std::string_view("script:").size()) : entry.spec;
  const std::filesystem::path name = path.has_filename() ? path.filename() : path.parent_path().filename();
  const bool is_file = name.extension() == ".gguf" || name.extension() == ".json";
  entry.id = equals == std::string::npos ? (is_file ? name.stem() : name).string() : given.substr(0, equals);
  entry.source = entry.spec;
  const Result<Store> store = Store::open();
  const Result<StoredModel> stored = store ? store->find(entry.spec) : tl::unexpected<Error>(store.error());
  if (!stored) return entry;  // a path, or a script
  server::CatalogueEntry known = entry_of(*stored);
  known.id = entry.id;
  return known;
}

Result<std::string> default_store_model() {
  ATELIER_TRY(const Store store, Store::open());
  return store.default_model();
}

server::CatalogueOptions catalogue_options(const ServeFlags& flags, const Globals& globals) {
  server::CatalogueOptions options;
  if (flags.models.empty()) {
    options.entries = store_entries;
    options.default_id = [] { return default_store_model().value_or(std::string()); };
  } else {
    std::vector<server::CatalogueEntry> entries;
    for (const std::string& given : flags.models) entries.push_back(entry_given(given));
    options.default_id = [id = entries[0].id] { return id; };
    options.entries = [entries] { return entries; };
  }
  options.load = [&flags, &globals](const std::string& spec) {
    ModelFlags model = flags.model;
    model.model = spec;
    return load_engine(model, globals);
  };
  options.pool.max_models = flags.max_models;
  options.pool.scheduler.max_running = flags.parallel;
  options.pool.scheduler.max_queued = flags.queue;
  return options;
}

Status read_keys(ServeFlags& flags) {
  std::vector<std::string>& keys = flags.server.access.api_keys;
  if (const char* key = std::getenv("ATELIER_API_KEY"); key != nullptr && *key != '\0')
    keys.emplace_back(key);
  if (!flags.api_key_file.empty()) {
    ATELIER_TRY(const std::string text, read_file(flags.api_key_file, kMaxKeyFileBytes));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
      if (!line.empty()) keys.push_back(line);
    if (keys.empty())
      return fail(ErrorCode::kInvalidArgument, "{}: expected one API key a line, found none",
                  flags.api_key_file);
  }
  for (const std::string& key : keys)
    if (key.empty())
      return fail(ErrorCode::kInvalidArgument, "API key: expected at least one character, found none");
  return {};
}

Status run_serve(ServeFlags flags, const Globals& globals) {
  ATELIER_CHECK_OK(read_keys(flags));
  flags.server.shutdown_grace = std::chrono::seconds(flags.shutdown_seconds);
  if (!globals.quiet)
    flags.server.log = [](std::string_view line) { std::fwrite(line.data(), 1, line.size(), stderr); };
  server::App app(catalogue_options(flags, globals), ATELIER_VERSION);
  ATELIER_TRY(const auto listener, server::Server::listen(flags.server, server::make_router(app)));
  // Asked for before anybody waits for it: what does not load is said now.
  const Result<server::CatalogueEntry> first = app.catalogue.find("");
  if (flags.models.empty() && !first) ATELIER_CHECK_OK(locate("", globals));
  ATELIER_TRY(const server::CatalogueEntry entry, app.catalogue.find(""));
  ATELIER_CHECK_OK(app.catalogue.acquire(entry));
  for (const std::string& url : listener->urls()) note(globals, fmt::format("{} on {}", entry.id, url));
  return listener->run();
}

}  // namespace

void register_serve(Registration r) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command =
      r.app.add_subcommand("serve", "Answer OpenAI's, Anthropic's and Ollama's clients over HTTP");
  command->add_option(
      "-m,--model", flags->models,
      "A model to serve, also as NAME=MODEL; several times for several. Without it: all of the store");
  flags->model.add_load_flags(*command);
  server::ServerOptions& server = flags->server;
  command->add_option("--host", server.host, "Address to listen on; others than loopback need an API key")
      ->capture_default_str();
  command->add_option("--port", server.port, "0 takes any free one")->capture_default_str();
  command->add_option("--unix", server.unix_path, "Listen on this socket as well");
  command->add_option("--api-key", server.access.api_keys,
                      "Ask clients for this key (also from $ATELIER_API_KEY; several times for several)");
  command->add_option("--api-key-file", flags->api_key_file, "One key a line");
  command->add_option("--tls-cert", server.tls_certificate, "Certificate chain, PEM: serve HTTPS");
  command->add_option("--tls-key", server.tls_key, "Its key, PEM");
  command->add_option("--cors-origin", server.access.cors_origins,
                      "A web page's origin that may ask, as https://app.example, or *");
  command->add_option("--allow-host", server.access.hosts,
                      "A name in Host headers beside localhost and addresses");
  command->add_option("--parallel", flags->parallel, "Sequences computed at a time for each model")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  command
      ->add_option("--queue", flags->queue,
                   "Requests that may wait for each model; more are refused with 429")
      ->check(CLI::Range(0, 65536))
      ->capture_default_str();
  command->add_option("--max-models", flags->max_models, "Models kept loaded at a time")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command
      ->add_option("--shutdown-timeout", flags->shutdown_seconds,
                   "Seconds that running answers get after SIGINT or SIGTERM")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
  command->callback([=] { r.selected = [=] { return run_serve(*flags, r.globals); }; });
}

}  // namespace atelier::cli
