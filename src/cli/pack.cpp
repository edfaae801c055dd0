// atelier pack: prepares a model's weights ahead of its first run.
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/threads.h"
#include "cli/model_flags.h"
#include "engine/weight_cache.h"

namespace atelier::cli {
namespace {

struct PackFlags {
  ModelFlags model;
  bool clear = false;
  bool json = false;
};

Status run_clear(const WeightCache& cache, const PackFlags& flags, const Globals& globals) {
  const uint64_t bytes = cache.clear();
  if (flags.json) return print_json({{"folder", cache.folder().string()}, {"removed_bytes", bytes}});
  note(globals,
       fmt::format("{}: removed {:.1f} MB", cache.folder().string(), static_cast<double>(bytes) / 1e6));
  return {};
}

// The packed file of the model, made if it is not there.
Status run_pack(const PackFlags& flags, const Globals& globals) {
  const std::filesystem::path folder = weight_cache_folder();
  if (folder.empty())
    return fail(ErrorCode::kNotFound,
                "packed weights: expected XDG_CACHE_HOME or HOME to be set, found neither");
  const WeightCache cache(folder);
  if (flags.clear) return run_clear(cache, flags, globals);
  ATELIER_TRY(const std::filesystem::path path, locate(flags.model.model, globals));
  ATELIER_TRY(Checkpoint opened, Checkpoint::open(path));
  const auto checkpoint = std::make_shared<const Checkpoint>(std::move(opened));
  const DenseWeights dense = flags.model.dense == "q8" ? DenseWeights::kQ8 : DenseWeights::kAsPublished;
  Result<std::unique_ptr<Model>> model = load_model(checkpoint, {.dense = dense});
  if (!model) return fail_in(path.string(), std::move(model).error());

  const auto start = std::chrono::steady_clock::now();
  const uint64_t bytes = packed_file_bytes((*model)->multiplied_weights());
  ATELIER_TRY(const std::filesystem::path file, cache.file_of(*checkpoint, **model));
  const bool is_used = WeightCache::is_large(**model);
  const bool was_there = is_used && cache.find(*checkpoint, **model).has_value();
  if (is_used && !was_there) {
    ThreadPool pool({.n_threads = flags.model.threads});
    ATELIER_CHECK_OK(
        cache.keep(*checkpoint, **model, {.pool = &pool, .cancelled = [] { return interrupted().load(); }}));
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  const double megabytes = static_cast<double>(bytes) / 1e6;
  if (flags.json)
    return print_json({{"path", file.string()},
                       {"bytes", bytes},
                       {"seconds", seconds.count()},
                       {"used", is_used},
                       {"was_there", was_there}});
  if (!is_used)
    note(globals,
         fmt::format("{}: {:.1f} MB are packed at each start, which is as fast", path.string(), megabytes));
  else
    note(globals, was_there
                      ? fmt::format("{}: {:.1f} MB, there already", file.string(), megabytes)
                      : fmt::format("{}: {:.1f} MB in {:.1f} s", file.string(), megabytes, seconds.count()));
  return {};
}

}  // namespace

void register_pack(Registration r) {
  auto flags = std::make_shared<PackFlags>();
  CLI::App* command = r.app.add_subcommand(
      "pack",
      "Prepare a model's weights on disk, so that later runs need not (and spend less on MXFP4 and Q8_0)");
  command->add_option("-m,--model", flags->model.model, "A name from the store, a .gguf, or a folder");
  command->add_option("--threads", flags->model.threads, "Threads to pack on")->check(CLI::Range(1, 1024));
  command->add_option("--dense", flags->model.dense, "As the later runs say it")
      ->check(CLI::IsMember({"published", "q8"}));
  command->add_flag("--clear", flags->clear, "Instead, remove the packed weights of all models");
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->callback([=] { r.selected = [=] { return run_pack(*flags, r.globals); }; });
}

}  // namespace atelier::cli
