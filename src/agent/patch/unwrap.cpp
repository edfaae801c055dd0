#include "agent/patch/unwrap.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "agent/patch/shell_form.h"
#include "agent/patch/text.h"
#include "agent/patch/text_file.h"
#include "agent/workspace/quote.h"

namespace atelier::agent {
namespace {

using nlohmann::json;
constexpr std::string_view kBegin = "*** Begin Patch";
constexpr int kMaxNesting = 4;  // JSON in JSON in …: past that it is no mistake but an attack
constexpr size_t kMaxJsonBytes = size_t{16} << 20;

tl::unexpected<Error> no_patch(std::string_view found) {
  return fail(ErrorCode::kInvalidArgument, "patch: expected \"{}\" first, found {}", kBegin,
              found.empty() ? std::string("nothing") : in_quotes(found));
}

bool is_patch(std::string_view text) { return trimmed(text.substr(0, text.find('\n'))) == kBegin; }

// Without blank lines and spaces in front; those at the end may belong to the patch.
std::string_view without_lead(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  return begin == std::string_view::npos ? std::string_view() : text.substr(begin);
}

// The lines between ``` and ```.
std::optional<std::string_view> inside_fence(std::string_view text) {
  if (!text.starts_with("```")) return std::nullopt;
  const size_t first = text.find('\n');
  const size_t last = text.rfind("\n```");
  if (first == std::string_view::npos || last == std::string_view::npos || last < first) return std::nullopt;
  if (!trimmed(text.substr(last + 4)).empty() &&
      text.substr(last + 4).find_first_not_of(" \t\r\n`") != text.npos)
    return std::nullopt;
  return text.substr(first + 1, last - first);
}

Result<PatchText> unwrap(std::string_view text, int depth);

Result<PatchText> unwrap_json(const json& value, int depth) {
  if (depth > kMaxNesting) return no_patch("JSON nested too deeply");
  if (value.is_string()) return unwrap(value.get_ref<const std::string&>(), depth);
  if (value.is_object()) {
    if (value.size() == 1) return unwrap_json(value.front(), depth + 1);
    return fail(ErrorCode::kInvalidArgument, "patch: expected a JSON object with one key, found {}",
                value.size());
  }
  if (!value.is_array() || value.empty()) return no_patch("JSON of another kind");
  std::vector<std::string> argv;
  for (const json& word : value) {
    if (!word.is_string()) return no_patch("a JSON array of other things than strings");
    argv.push_back(word.get<std::string>());
  }
  if (argv.size() == 1) return unwrap(argv[0], depth + 1);
  ATELIER_TRY(std::optional<PatchText> patch, unwrap_command(argv));
  if (!patch) return no_patch(argv[0]);
  return std::move(*patch);
}

Result<PatchText> unwrap(std::string_view text, int depth) {
  if (depth > kMaxNesting) return no_patch("wrappers nested too deeply");
  text = without_lead(text);
  if (text.starts_with(kByteOrderMark)) text = without_lead(text.substr(kByteOrderMark.size()));
  if (is_patch(text)) return PatchText{std::string(text), {}};
  if (const auto inner = inside_fence(text)) return unwrap(*inner, depth + 1);
  if (!text.empty() && (text[0] == '{' || text[0] == '[' || text[0] == '"') && text.size() <= kMaxJsonBytes) {
    const json value = json::parse(text, nullptr, false);
    if (!value.is_discarded()) return unwrap_json(value, depth + 1);
  }
  ATELIER_TRY(std::optional<ShellForm> form, parse_shell_form(text));
  if (!form) return no_patch(text.substr(0, text.find('\n')));
  ATELIER_TRY(PatchText patch, unwrap(form->body, depth + 1));
  if (patch.workdir.empty()) patch.workdir = std::move(form->workdir);
  return patch;
}

bool is_apply_patch(std::string_view word) { return word == "apply_patch" || word == "applypatch"; }

bool is_shell(std::string_view word) {
  const std::string_view name = word.substr(word.rfind('/') + 1);
  constexpr std::array kShells = {"sh", "bash", "dash", "zsh", "ksh"};
  return std::find(kShells.begin(), kShells.end(), name) != kShells.end();
}

}  // namespace

Result<PatchText> unwrap_patch(std::string_view text) { return unwrap(text, 0); }

Result<std::optional<PatchText>> unwrap_command(std::span<const std::string> argv) {
  if (argv.size() == 2 && is_apply_patch(argv[0])) {
    ATELIER_TRY(PatchText patch, unwrap(argv[1], 1));
    return patch;
  }
  const bool shell = argv.size() == 3 && is_shell(argv[0]) && (argv[1] == "-c" || argv[1] == "-lc");
  if (!shell) return std::nullopt;
  ATELIER_TRY(std::optional<ShellForm> form, parse_shell_form(argv[2]));
  // A here-document alone feeds nobody: only apply_patch makes it a patch.
  if (!form || !form->names_apply_patch) return std::nullopt;
  ATELIER_TRY(PatchText patch, unwrap(form->body, 1));
  if (patch.workdir.empty()) patch.workdir = std::move(form->workdir);
  return patch;
}

}  // namespace atelier::agent
