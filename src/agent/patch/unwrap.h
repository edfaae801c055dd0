// Patches as models really send them: the patch itself is found, and nothing else is run.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace atelier::agent {

struct PatchText {
  std::string text;     // from "*** Begin Patch" on, for parse_patch
  std::string workdir;  // of "cd WORKDIR && apply_patch …"; else empty
};

// The argument of an apply_patch tool, or standard input. Understood besides the bare patch: a here-document
// ("<<'EOF' … EOF", with apply_patch and cd before it), a Markdown code fence, a JSON string, a JSON object
// with one key, a JSON argv, and these inside each other. kInvalidArgument where there is no patch in it.
Result<PatchText> unwrap_patch(std::string_view text);

// A command that does nothing but apply a patch: ["apply_patch", PATCH], or a shell that is given one of
//   [cd DIR &&] apply_patch <<'EOF' … EOF       [cd DIR &&] apply_patch 'PATCH'
//   [cd DIR &&] cat <<'EOF' | apply_patch … EOF
// Nothing for any other command, which is then the shell's business. The text of the here-document is taken
// as it is: models do not mean $names in code to be replaced. kInvalidArgument for a command that is meant to
// be one of these and is not complete.
Result<std::optional<PatchText>> unwrap_command(std::span<const std::string> argv);

}  // namespace atelier::agent
