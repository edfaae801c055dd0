// atelier pull, list, show, rm: the model store.
#include <nlohmann/json.hpp>

#include "cli/model_flags.h"
#include "io/pull.h"
#include "models/registry.h"

namespace atelier::cli {
namespace {

std::string megabytes(uint64_t bytes) { return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6); }

nlohmann::json to_json(const StoredModel& model) {
  nlohmann::json files = nlohmann::json::array();
  for (const StoredFile& file : model.files)
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  return {{"name", model.name},           {"source", model.source},
          {"added", model.added},         {"architecture", model.architecture},
          {"bytes", model.total_bytes()}, {"path", model.path.string()},
          {"files", std::move(files)}};
}

struct PullFlags {
  std::string what;
  PullOptions options;
  unsigned int stall_seconds = 30;
  bool anyway = false;
  bool json = false;
};

Status run_pull(const PullFlags& flags, const Globals& globals) {
  ATELIER_TRY(const Store store, Store::open());
  PullOptions options = flags.options;
  options.stall = std::chrono::seconds(flags.stall_seconds);
  if (!flags.anyway) options.runs = is_model_architecture;
  ATELIER_TRY(const StoredModel model, pull(store, flags.what, transfer_hooks(globals), options));
  if (flags.json) return print_json(to_json(model));
  note(globals, fmt::format("{}: {} ({})", model.name, model.architecture, megabytes(model.total_bytes())));
  return {};
}

void register_pull(Registration r) {
  auto flags = std::make_shared<PullFlags>();
  CLI::App* command = r.app.add_subcommand("pull", "Bring a model into the store");
  command
      ->add_option(
          "NAME", flags->what,
          "starter, gpt-oss-20b, gpt-oss-120b, deepseek-v3; a Hugging Face repository, "
          "owner/name[@revision][:quantisation]; the URL of a .gguf or of a model folder; ollama:NAME; "
          "the path of a .gguf or of a model folder")
      ->required();
  command->add_option("--name", flags->options.name, "What to call it in the store");
  command->add_option("--connections", flags->options.connections, "Connections at once")
      ->check(CLI::Range(1, 32));
  command->add_option("--attempts", flags->options.attempts, "Failures in a row before a file is given up")
      ->check(CLI::Range(1, 1000));
  command->add_option("--stall-timeout", flags->stall_seconds, "Seconds without data that make a failure")
      ->check(CLI::Range(1, 3600));
  command->add_flag("--anyway", flags->anyway, "Fetch also what cannot be run");
  command->add_flag("--json", flags->json, "Print one JSON object when done");
  command->callback([=] { r.selected = [=] { return run_pull(*flags, r.globals); }; });
}

Status run_list(bool json) {
  ATELIER_TRY(const Store store, Store::open());
  ATELIER_TRY(const StoreListing listing, store.list());
  for (const Error& error : listing.damaged) fmt::print(stderr, "atelier: {}\n", error.message);
  if (json) {
    nlohmann::json models = nlohmann::json::array();
    for (const StoredModel& model : listing.models) models.push_back(to_json(model));
    nlohmann::json unfinished = nlohmann::json::array();
    for (const UnfinishedDownload& download : listing.unfinished)
      unfinished.push_back({{"name", download.name}, {"disk_bytes", download.disk_bytes}});
    return print_json({{"models", std::move(models)}, {"unfinished", std::move(unfinished)}});
  }
  for (const StoredModel& model : listing.models)
    ATELIER_CHECK_OK(print(fmt::format("{:<32} {:<12} {:>12}  {}\n", model.name, model.architecture,
                                       megabytes(model.total_bytes()), model.source)));
  for (const UnfinishedDownload& download : listing.unfinished)
    ATELIER_CHECK_OK(print(fmt::format("{:<32} {:<12} {:>12}  pull it again to go on, or rm it\n",
                                       download.name, "(unfinished)", megabytes(download.disk_bytes))));
  return {};
}

struct Shown {
  std::filesystem::path path;
  Dialect dialect = Dialect::kGguf;
  ModelInfo info;
  std::map<std::string, uint64_t> formats;  // bytes by storage format
  uint64_t vocab_size = 0;
};

Result<Shown> inspect(const std::filesystem::path& path) {
  ATELIER_TRY(Checkpoint opened, Checkpoint::open(path));
  const auto checkpoint = std::make_shared<const Checkpoint>(std::move(opened));
  Result<std::unique_ptr<Model>> model = load_model(checkpoint);
  if (!model) return fail_in(path.string(), std::move(model).error());
  Shown shown{.path = path, .dialect = checkpoint->dialect(), .info = (*model)->info()};
  for (const TensorView& tensor : checkpoint->tensors())
    shown.formats[std::string(dtype_info(tensor.dtype).name)] += tensor.bytes.size();
  return shown;
}

Status show_json(const Shown& s, const MemoryEstimate& memory, uint64_t kv_8_bytes) {
  const ModelInfo& info = s.info;
  return print_json({{"path", s.path.string()},
                     {"dialect", dialect_name(s.dialect)},
                     {"architecture", info.architecture},
                     {"layers", info.n_layers},
                     {"d_model", info.d_model},
                     {"vocab_size", info.vocab_size},
                     {"context_length", info.context_length},
                     {"parameters", info.n_params},
                     {"active_parameters", info.n_active_params},
                     {"weight_bytes", info.weight_bytes},
                     {"formats", s.formats},
                     {"bytes_per_token", info.bytes_per_token},
                     {"memory",
                      {{"packed_bytes", memory.packed_bytes},
                       {"in_place_bytes", memory.in_place_bytes},
                       {"kv_bytes_full_context", memory.kv_bytes},
                       {"kv_8_bytes_full_context", kv_8_bytes}}}});
}

Status run_show(const std::string& name, bool json, const Globals& globals) {
  ATELIER_TRY(const std::filesystem::path path, locate(name, globals));
  ATELIER_TRY(const Shown s, inspect(path));
  const ModelInfo& info = s.info;
  const MemoryEstimate memory = estimate_memory(info, {.context = info.context_length});
  const uint64_t kv_8_bytes = estimate_memory(info, {.context = info.context_length, .kv_bits = 8}).kv_bytes;
  if (json) return show_json(s, memory, kv_8_bytes);
  std::string formats;
  for (const auto& [format, bytes] : s.formats) formats += fmt::format(" {} {}", format, megabytes(bytes));
  return print(fmt::format(
      "path           {}\narchitecture   {} ({} checkpoint)\nparameters     {:.1f} M, {:.1f} M active per "
      "token\n"
      "layers         {}, {} wide\nvocabulary     {}\ncontext        {} tokens\nweights        {}:{}\n"
      "memory         {} of weights in compute layout, {} read in place, {} of cache at {} tokens "
      "({} with --kv 8)\nper token "
      "     {} of "
      "weights read\n",
      s.path.string(), info.architecture, dialect_name(s.dialect), static_cast<double>(info.n_params) / 1e6,
      static_cast<double>(info.n_active_params) / 1e6, info.n_layers, info.d_model, info.vocab_size,
      info.context_length, megabytes(info.weight_bytes), formats, megabytes(memory.packed_bytes),
      megabytes(memory.in_place_bytes), megabytes(memory.kv_bytes), info.context_length,
      megabytes(kv_8_bytes), megabytes(info.bytes_per_token)));
}

Status run_rm(const std::string& name, const Globals& globals) {
  ATELIER_TRY(const Store store, Store::open());
  ATELIER_CHECK_OK(store.remove(name));
  note(globals, fmt::format("{}: removed", name));
  return {};
}

}  // namespace

void register_store_commands(Registration r) {
  auto name = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  register_pull(r);
  CLI::App* list_command = r.app.add_subcommand("list", "The models in the store");
  list_command->add_flag("--json", *json, "Print one JSON object");
  list_command->callback([=] { r.selected = [=] { return run_list(*json); }; });
  CLI::App* show_command = r.app.add_subcommand("show", "What a model is and what it needs");
  show_command->add_option("MODEL", *name, "A name from the store or a path")->required();
  show_command->add_flag("--json", *json, "Print one JSON object");
  show_command->callback([=] { r.selected = [=] { return run_show(*name, *json, r.globals); }; });
  CLI::App* rm_command = r.app.add_subcommand("rm", "Remove a model from the store");
  rm_command->add_option("MODEL", *name, "A name from the store")->required();
  rm_command->callback([=] { r.selected = [=] { return run_rm(*name, r.globals); }; });
}

}  // namespace atelier::cli
