// atelier apply: a patch in the format models write, from standard input to files, all or none.
#include "agent/patch/apply.h"

#include "cli/command.h"

namespace atelier::cli {
namespace {

// A patch in its wrappers: JSON may write each byte as six.
constexpr size_t kMaxPatchBytes = size_t{64} << 20;

struct ApplyFlags {
  bool check = false;
  std::string folder = ".";
};

Status run_apply(const ApplyFlags& flags) {
  ATELIER_TRY(const agent::Workspace workspace, agent::Workspace::open(flags.folder));
  ATELIER_TRY(const std::string text, read_stdin(kMaxPatchBytes));
  ATELIER_TRY(const std::vector<agent::FileChange> changes,
              agent::apply_patch(workspace, std::string_view(text), {.check = flags.check}));
  return print(agent::summary(changes));
}

}  // namespace

void register_apply(Registration r) {
  auto flags = std::make_shared<ApplyFlags>();
  CLI::App* command =
      r.app.add_subcommand("apply", "Apply a \"*** Begin Patch\" text from stdin, all or nothing");
  command->add_flag("--check", flags->check, "Only say whether it would apply, and what it would change");
  command->add_option("--cd", flags->folder, "The folder its paths are relative to, and may not leave");
  command->callback([=] { r.selected = [=] { return run_apply(*flags); }; });
}

}  // namespace atelier::cli
