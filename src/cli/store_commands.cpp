// atelier pull, list, show, rm: the model store.
#include <nlohmann/json.hpp>

#include "cli/model_flags.h"
#include "io/pull.h"

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

Status run_pull(const std::string& what, const Globals& globals) {
  ATELIER_TRY(const Store store, Store::open());
  ATELIER_TRY(const StoredModel model, pull(store, what, transfer_hooks(globals)));
  note(globals, fmt::format("{}: {} ({})", model.name, model.architecture, megabytes(model.total_bytes())));
  return {};
}

Status run_list(bool json) {
  ATELIER_TRY(const Store store, Store::open());
  ATELIER_TRY(const StoreListing listing, store.list());
  for (const Error& error : listing.damaged) fmt::print(stderr, "atelier: {}\n", error.message);
  if (json) {
    nlohmann::json models = nlohmann::json::array();
    for (const StoredModel& model : listing.models) models.push_back(to_json(model));
    return print_json({{"models", std::move(models)}});
  }
  for (const StoredModel& model : listing.models)
    ATELIER_CHECK_OK(print(fmt::format("{:<32} {:<12} {:>12}  {}\n", model.name, model.architecture,
                                       megabytes(model.total_bytes()), model.source)));
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

Status show_json(const Shown& s, const MemoryEstimate& memory) {
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
                       {"kv_bytes_full_context", memory.kv_bytes}}}});
}

Status run_show(const std::string& name, bool json, const Globals& globals) {
  ATELIER_TRY(const std::filesystem::path path, locate(name, globals));
  ATELIER_TRY(const Shown s, inspect(path));
  const ModelInfo& info = s.info;
  const MemoryEstimate memory = estimate_memory(info, {.context = info.context_length});
  if (json) return show_json(s, memory);
  std::string formats;
  for (const auto& [format, bytes] : s.formats) formats += fmt::format(" {} {}", format, megabytes(bytes));
  return print(fmt::format(
      "path           {}\narchitecture   {} ({} checkpoint)\nparameters     {:.1f} M, {:.1f} M active per "
      "token\n"
      "layers         {}, {} wide\nvocabulary     {}\ncontext        {} tokens\nweights        {}:{}\n"
      "memory         {} of weights in compute layout, {} read in place, {} of cache at {} tokens\nper token "
      "     {} of "
      "weights read\n",
      s.path.string(), info.architecture, dialect_name(s.dialect), static_cast<double>(info.n_params) / 1e6,
      static_cast<double>(info.n_active_params) / 1e6, info.n_layers, info.d_model, info.vocab_size,
      info.context_length, megabytes(info.weight_bytes), formats, megabytes(memory.packed_bytes),
      megabytes(memory.in_place_bytes), megabytes(memory.kv_bytes), info.context_length,
      megabytes(info.bytes_per_token)));
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
  CLI::App* pull_command = r.app.add_subcommand("pull", "Bring a model into the store");
  pull_command->add_option("NAME", *name, "starter, or the path of a .gguf or a model folder")->required();
  pull_command->callback([=] { r.selected = [=] { return run_pull(*name, r.globals); }; });
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
