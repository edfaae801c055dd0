#include "agent/context/ctags.h"

#include <algorithm>

#include "agent/tools/output_text.h"
#include "agent/tools/programs.h"
#include "base/file.h"
#include "chat/json_text.h"

namespace atelier::agent {
namespace {

using chat::Json;

constexpr size_t kMaxTagBytes = size_t{32} << 20;
constexpr size_t kMaxTagsPerFile = 200;
constexpr size_t kMaxCacheBytes = size_t{32} << 20;

// Kinds that are names to know a file by, and not its insides.
bool is_worth_knowing(std::string_view kind) {
  constexpr std::string_view kLeftOut[] = {
      "local",  "variable", "parameter", "label", "header", "include", "unknown", "anonMember", "heredoc",
      "member", "field",    "key",       "alias", "import", "string",  "boolean", "number",     "object"};
  return std::ranges::find(kLeftOut, kind) == std::end(kLeftOut);
}

// What is in these is as good as at top level.
bool is_open_scope(std::string_view kind) {
  return kind == "namespace" || kind == "module" || kind == "package";
}

void add_tag(std::string_view line, FileSymbols& symbols) {
  const auto tag = chat::parse_json(line, "ctags");
  if (!tag) return;
  const std::string* name = chat::string_member(*tag, "name");
  const std::string* path = chat::string_member(*tag, "path");
  const std::string* kind = chat::string_member(*tag, "kind");
  const std::string* scope = chat::string_member(*tag, "scopeKind");
  if (name == nullptr || path == nullptr || kind == nullptr || (scope != nullptr && !is_open_scope(*scope)))
    return;
  if (name->size() < 2 || name->starts_with("__anon") || !is_worth_knowing(*kind)) return;
  std::vector<std::string>& known = symbols[*path];
  std::string plain = plain_text(*name);
  if (known.size() < kMaxTagsPerFile && std::ranges::find(known, plain) == known.end())
    known.push_back(std::move(plain));
}

struct Remembered {
  uint64_t size = 0;
  int64_t modified_ns = 0;
  std::vector<std::string> symbols;
};

int64_t modified_ns(const struct stat& info) {
  return int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec;
}

// Whatever is wrong with it, it can be made again.
std::map<std::string, Remembered> read_cache(const std::filesystem::path& path) {
  std::map<std::string, Remembered> all;
  const auto text = read_file(path, kMaxCacheBytes);
  if (!text) return all;
  const auto json = chat::parse_json(*text, "symbols");
  if (!json || !json->is_object()) return all;
  for (const auto& [name, entry] : json->items()) {
    if (!entry.is_array() || entry.size() != 3 || !entry[0].is_number_unsigned() ||
        !entry[1].is_number_integer() || !entry[2].is_array())
      continue;
    Remembered file{.size = entry[0].get<uint64_t>(), .modified_ns = entry[1].get<int64_t>(), .symbols = {}};
    for (const Json& symbol : entry[2])
      if (symbol.is_string()) file.symbols.push_back(symbol.get<std::string>());
    all[name] = std::move(file);
  }
  return all;
}

void write_cache(const std::filesystem::path& path, const std::map<std::string, Remembered>& all) {
  Json json = Json::object();
  for (const auto& [name, file] : all) json[name] = {file.size, file.modified_ns, file.symbols};
  std::error_code failed;
  std::filesystem::create_directories(path.parent_path(), failed);
  (void)write_file_atomically(path, json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

std::optional<FileSymbols> ctags_symbols(CommandRunner& runner, const std::vector<std::string>& paths) {
  static const bool installed = has_program("ctags");
  if (!installed) return std::nullopt;
  Command command{.argv = {"ctags", "--options=NONE", "--output-format=json", "--fields=NFKs", "--sort=no",
                           "--links=no", "-f", "-", "-L", "-"},
                  .timeout = std::chrono::seconds(20),
                  .trial = true};
  for (const std::string& path : paths) command.input += path + "\n";
  if (!runner.asks(command).empty() && !runner.can_try(command)) return std::nullopt;
  std::string output;
  command.on_output = [&](std::string_view chunk) {
    output += chunk.substr(0, kMaxTagBytes - std::min(kMaxTagBytes, output.size()));
  };
  const auto outcome = runner.run(command);
  if (!outcome || outcome->exit_code != 0) return std::nullopt;
  FileSymbols symbols;
  for (size_t at = 0, end = 0; (end = output.find('\n', at)) != std::string::npos; at = end + 1)
    add_tag(std::string_view(output).substr(at, end - at), symbols);
  return symbols;
}

std::optional<FileSymbols> cached_ctags_symbols(CommandRunner& runner, const std::vector<WalkEntry>& files,
                                                const std::filesystem::path& cache) {
  std::map<std::string, Remembered> known = read_cache(cache);
  std::map<std::string, Remembered> all;
  std::vector<std::string> changed;
  for (const WalkEntry& file : files) {
    const auto size = static_cast<uint64_t>(file.info.st_size);
    const auto found = known.find(file.path);
    if (found != known.end() && found->second.size == size &&
        found->second.modified_ns == modified_ns(file.info)) {
      all[file.path] = std::move(found->second);
    } else {
      changed.push_back(file.path);
      all[file.path] = {.size = size, .modified_ns = modified_ns(file.info), .symbols = {}};
    }
  }
  if (!changed.empty()) {
    auto fresh = ctags_symbols(runner, changed);
    if (!fresh) return std::nullopt;
    for (auto& [path, symbols] : *fresh)
      if (const auto place = all.find(path); place != all.end()) place->second.symbols = std::move(symbols);
    write_cache(cache, all);
  }
  FileSymbols symbols;
  for (auto& [path, file] : all) symbols[path] = std::move(file.symbols);
  return symbols;
}

}  // namespace atelier::agent
