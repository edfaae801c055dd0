#include "agent/tools/ripgrep.h"

#include <charconv>

#include "agent/tools/programs.h"

namespace atelier::agent {
namespace {

// "path\0line:text"
std::optional<GrepMatch> parse_match(std::string_view line) {
  const size_t zero = line.find('\0');
  if (zero == std::string_view::npos) return std::nullopt;
  GrepMatch match;
  match.path = line.substr(0, zero);
  if (match.path.starts_with("./")) match.path.erase(0, 2);
  const char* begin = line.data() + zero + 1;
  const char* end = line.data() + line.size();
  const auto [stop, error] = std::from_chars(begin, end, match.line);
  if (error != std::errc() || stop == end || *stop != ':') return std::nullopt;
  match.text.assign(stop + 1, end);
  return match;
}

}  // namespace

std::optional<std::vector<GrepMatch>> ripgrep(CommandRunner& runner, const GrepQuery& query) {
  static const bool installed = has_program("rg");
  if (!installed) return std::nullopt;
  std::atomic<bool> enough{false};
  Command command{.argv = {"rg",
                           "--no-config",
                           "--no-messages",
                           "--line-number",
                           "--with-filename",
                           "--null",
                           "--no-heading",
                           "--color=never",
                           "--hidden",
                           "--glob=!.git",
                           "--no-ignore-dot",
                           "--no-ignore-exclude",
                           "--no-ignore-global",
                           "--no-ignore-parent",
                           "--no-require-git",
                           "--max-filesize=4M",
                           "--max-columns=4096",
                           "--max-columns-preview",
                           "--sort=path",
                           "-e",
                           query.pattern,
                           "--",
                           query.path.empty() ? "." : query.path},
                  .timeout = std::chrono::seconds(30),
                  .cancel = &enough,
                  .trial = true};
  if (!runner.asks(command).empty() && !runner.can_try(command)) return std::nullopt;
  std::vector<GrepMatch> matches;
  std::string pending;
  command.on_output = [&](std::string_view chunk) {
    pending += chunk;
    size_t at = 0;
    for (size_t end = 0; (end = pending.find('\n', at)) != std::string::npos; at = end + 1)
      if (auto match = parse_match(std::string_view(pending).substr(at, end - at));
          match && matches.size() <= query.max_results)
        matches.push_back(std::move(*match));
    pending.erase(0, at);
    if (matches.size() > query.max_results || (query.cancel != nullptr && query.cancel->load()))
      enough = true;
  };
  const auto outcome = runner.run(command);
  constexpr int kNoMatches = 1;
  if (!outcome) return std::nullopt;
  const bool ended = outcome->end == CommandOutcome::End::kExited;
  if (ended && outcome->exit_code != 0 && outcome->exit_code != kNoMatches) return std::nullopt;
  return matches;
}

}  // namespace atelier::agent
