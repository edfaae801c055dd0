// The few shell scripts that are nothing but a way to hand over a patch.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace atelier::agent {

struct ShellForm {
  std::string body;     // of the here-document, or the quoted argument
  std::string workdir;  // of "cd WORKDIR &&"
  bool names_apply_patch = false;
};

// [cd DIR &&] [apply_patch] <<EOF … EOF, [cd DIR &&] apply_patch 'TEXT', [cd DIR &&] cat <<EOF | apply_patch
// … EOF; nothing else before, between or after. Nothing for any other script. kInvalidArgument: an
// apply_patch with a here-document that does not end or a quote that is not closed.
Result<std::optional<ShellForm>> parse_shell_form(std::string_view script);

}  // namespace atelier::agent
