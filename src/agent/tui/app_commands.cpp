#include <charconv>

#include "agent/tui/app_impl.h"

namespace atelier::agent::tui {
namespace {

constexpr std::string_view kPlanFirst =
    "Do not change anything yet. Look at what is there and make a plan for the following, with your plan "
    "tool if you "
    "have one; then say in a few sentences how you would go about it.\n\n";
constexpr std::string_view kInit =
    "Write the file AGENTS.md at the root of this folder, or improve the one that is there. It is for agents "
    "that will "
    "work here: what the project is, how it is laid out, the commands that build, test and format it, its "
    "conventions, "
    "and what is easy to get wrong. Look before you write, state only what you have seen, and keep it under "
    "60 lines.";

}  // namespace

void App::show_help() {
  Lines lines;
  size_t widest = 0;
  for (const CommandInfo& command : commands()) widest = std::max(widest, command.arguments.size());
  const auto add = [&](const Line& text, const Line& head) {
    const Line others(std::string(width_of(head), ' '));
    for (Line& part : wrap(text, {.width = blocks().width, .first = head, .others = others}))
      lines.push_back(std::move(part));
  };
  for (const CommandInfo& command : commands())
    add(Line(std::string(command.help)), Line(fmt::format("{:<10}", command.name), kBold)
                                             .add(fmt::format(" {:<{}}  ", command.arguments, widest), kDim));
  lines.emplace_back();
  for (const std::string_view line :
       {"Enter sends; Ctrl-J, Alt-Enter, or a backslash before Enter begin a new line.",
        "@ names a file, Tab completes, Up and Down go through earlier messages.",
        "Esc or Ctrl-C interrupts; what is typed meanwhile waits until the task is done.",
        "Ctrl-O shows reasoning or folds it, Ctrl-L paints anew, Ctrl-Z suspends, Ctrl-D leaves."})
    add(Line(std::string(line)), {});
  print_block(std::move(lines));
}

bool App::run_command(std::string_view text) {
  if (!text.starts_with('/')) return false;
  const size_t space = std::min(text.find_first_of(" \n"), text.size());
  const std::string_view name = text.substr(0, space);
  if (name.substr(1).find('/') != std::string_view::npos) return false;  // a path
  std::string rest(text.substr(std::min(text.size(), space + 1)));
  while (rest.starts_with(' ')) rest.erase(0, 1);
  using Kind = Request::Kind;
  const auto post = [&](Kind kind, std::string with = {}) {
    idle_ = false;
    worker_->post({kind, std::move(with)});
    return true;
  };
  // What only looks may be done while something goes on; the rest waits for its turn in the queue.
  if (name == "/quit" || name == "/exit") return done_ = true;
  if (name == "/help") return show_help(), true;
  if (name == "/cost") return print_block(cost_lines(totals_, energy_)), true;
  if (name == "/undo") return post(Kind::kUndo);
  if (name == "/redo") return post(Kind::kRedo);
  if (name == "/fork") return post(Kind::kFork);
  if (name == "/diff") return post(Kind::kDiff);
  if (name == "/compact") return post(Kind::kCompact);
  if (name == "/clear") return post(Kind::kClear);
  if (name == "/sandbox") return post(Kind::kSandbox, rest);
  if (name == "/approve") return post(Kind::kApprove, rest);
  if (name == "/init") return post(Kind::kTask, std::string(kInit));
  if (name == "/model") {
    if (rest.empty()) return say(facts_.model, kDim), true;
    facts_.model.clear();
    return post(Kind::kModel, rest);
  }
  if (name == "/sessions") {
    size_t number = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    const bool is_number = error == std::errc() && end == rest.data() + rest.size();
    if (is_number && number >= 1 && number <= listed_.size()) rest = listed_[number - 1].id;
    return rest.empty() ? post(Kind::kSessions) : post(Kind::kSwitch, rest);
  }
  if (name == "/plan") {
    if (!rest.empty()) return post(Kind::kTask, std::string(kPlanFirst) + rest);
    Lines lines = plan_lines(view_.plan(), blocks());
    if (lines.empty()) return say("There is no plan yet.", kDim), true;
    return print_block(std::move(lines)), true;
  }
  say(fmt::format("There is no {}; /help says what there is.", name), coloured(Colour::kRed));
  return true;
}

}  // namespace atelier::agent::tui
