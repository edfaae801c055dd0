// atelier chat: one answer, or a conversation at the terminal.
#include <unistd.h>

#include "base/user_folders.h"
#include "chat/assistant.h"
#include "cli/line_editor.h"
#include "cli/model_flags.h"
#include "cli/report.h"

namespace atelier::cli {
namespace {

struct ChatFlags {
  ModelFlags model;
  SamplingFlags sampling;
  std::string system;
  size_t max_tokens = SIZE_MAX;
  std::string reasoning;
  bool hide_reasoning = false;
  std::optional<std::string> prompt;
};

constexpr size_t kMaxPromptBytes = size_t{64} << 20;
constexpr std::string_view kHelp =
    "/clear starts over, /system TEXT starts over with these instructions, /help says this, /exit (or "
    "Ctrl-D) leaves.\n"
    "Ctrl-C stops an answer. A line that ends in a backslash goes on in the next.\n";

// Shows a turn as it is sampled: reasoning dimmed, the answer plain, calls named.
class TurnPrinter {
 public:
  TurnPrinter(bool hide_reasoning, bool to_terminal)
      : hide_reasoning_(hide_reasoning), terminal_(to_terminal), colours_(colours_wanted(STDERR_FILENO)) {}

  // False if nobody reads standard output any more.
  bool show(const chat::Delta& delta) {
    using Kind = chat::Delta::Kind;
    switch (delta.kind) {
      case Kind::kReasoning:
        aside(delta.text);
        break;
      case Kind::kPreamble:
        aside(delta.text);
        break;
      case Kind::kToolCallBegin:
        aside(fmt::format("[calls {} ", delta.name));
        break;
      case Kind::kArguments:
        aside(delta.text);
        break;
      case Kind::kToolCallEnd:
        aside("]");
        break;
      case Kind::kFinal:
        return answer(delta.text);
      case Kind::kMessageEnd:
        end_aside();
        break;
    }
    return true;
  }

  Status finish() {
    end_aside();
    return any_answer_ && !ends_line_ ? print("\n") : Status();
  }
  const Status& written() const { return written_; }

 private:
  // What is not the answer goes to stderr, and only to eyes: a script that reads stdout gets the answer
  // alone.
  void aside(std::string_view text) {
    if (hide_reasoning_ || !terminal_ || text.empty()) return;
    fmt::print(stderr, "{}{}{}", colours_ ? "\x1b[2m" : "", text, colours_ ? "\x1b[0m" : "");
    std::fflush(stderr);
    in_aside_ = true;
  }
  void end_aside() {
    if (std::exchange(in_aside_, false)) fmt::print(stderr, "\n\n");
  }
  bool answer(std::string_view text) {
    if (text.empty()) return true;
    end_aside();
    any_answer_ = true;
    ends_line_ = text.back() == '\n';
    written_ = print(text);
    return written_.has_value();
  }

  bool hide_reasoning_, terminal_, colours_;
  bool in_aside_ = false, any_answer_ = false, ends_line_ = false;
  Status written_;
};

class Chat {
 public:
  Chat(const ChatFlags& flags, const Globals& globals, Engine& engine,
       std::shared_ptr<const chat::Dialect> dialect)
      : flags_(flags),
        globals_(globals),
        engine_(engine),
        dialect_(std::move(dialect)),
        sampler_(flags.sampling.resolve(engine.card().sampling)) {
    start_over(flags.system);
  }

  void start_over(const std::string& system) {
    chat::Conversation opening;
    opening.date = chat::today();
    if (!system.empty()) opening.messages.push_back({.role = chat::Role::kSystem, .content = system});
    if (flags_.reasoning == "low") opening.reasoning_effort = chat::ReasoningEffort::kLow;
    if (flags_.reasoning == "medium") opening.reasoning_effort = chat::ReasoningEffort::kMedium;
    if (flags_.reasoning == "high") opening.reasoning_effort = chat::ReasoningEffort::kHigh;
    assistant_ = std::make_unique<chat::Assistant>(engine_, dialect_, std::move(opening));
    clear_screen_of_progress_ = !globals_.quiet && stderr_is_terminal();
  }

  Status ask(std::string text) {
    assistant_->add({.role = chat::Role::kUser, .content = std::move(text)});
    TurnPrinter printer(flags_.hide_reasoning || globals_.quiet, stderr_is_terminal());
    chat::Assistant::Options options;
    options.sampler = sampler_;
    options.max_tokens = flags_.max_tokens;
    options.stop = flags_.sampling.stop;
    options.cancel = &interrupted();
    options.on_delta = [&](const chat::Delta& delta) { return printer.show(delta); };
    if (clear_screen_of_progress_)
      options.on_prefill = [](size_t done, size_t total) { show_prefill(done, total); };
    ATELIER_TRY(const chat::Assistant::Turn turn, assistant_->respond(options));
    ATELIER_CHECK_OK(printer.written());
    ATELIER_CHECK_OK(printer.finish());
    if (globals_.verbose) report_generation(globals_, assistant_->session(), turn.generated);
    if (turn.generated.reason == StopReason::kContextFull)
      note(globals_,
           fmt::format("The context of {} tokens is full; /clear starts over.", engine_.context_length()));
    ++sampler_.seed;  // the next answer draws anew, and the same for the same --seed
    if (turn.generated.reason == StopReason::kInterrupted)
      return fail(ErrorCode::kInterrupted, "interrupted");
    return {};
  }

 private:
  // Prompts of one chunk are over before anybody could read this.
  static void show_prefill(size_t done, size_t total) {
    constexpr size_t kWorthShowing = 1024;
    if (total < kWorthShowing) return;
    fmt::print(stderr, "\rreading {} of {} tokens{}", done, total, done == total ? "\r\x1b[K" : "");
  }

  const ChatFlags& flags_;
  const Globals& globals_;
  Engine& engine_;
  std::shared_ptr<const chat::Dialect> dialect_;
  SamplerOptions sampler_;
  std::unique_ptr<chat::Assistant> assistant_;
  bool clear_screen_of_progress_ = false;
};

std::filesystem::path history_file() {
  const Result<std::filesystem::path> folder = user_folder(UserFolder::kState);
  std::error_code failed;
  if (folder) std::filesystem::create_directories(*folder, failed);
  return folder && !failed ? *folder / "chat_history" : std::filesystem::path();
}

// Lines joined while they end in a backslash.
std::optional<std::string> read_message(LineEditor& editor) {
  std::string message;
  for (;;) {
    std::optional<std::string> line = editor.read();
    if (!line) return std::nullopt;
    if (!line->ends_with('\\')) return message + *line;
    line->back() = '\n';
    message += *line;
  }
}

Status converse(Chat& chat) {
  LineEditor editor("> ", history_file());
  while (const std::optional<std::string> line = read_message(editor)) {
    if (line->find_first_not_of(" \t\n") == std::string::npos) continue;
    if (*line == "/exit" || *line == "/quit") return {};
    if (*line == "/help") {
      ATELIER_CHECK_OK(print(kHelp));
    } else if (*line == "/clear") {
      chat.start_over("");
    } else if (line->starts_with("/system ")) {
      chat.start_over(line->substr(8));
    } else {
      clear_interrupted();
      const Status answered = chat.ask(*line);
      if (!answered && answered.error().code == ErrorCode::kIo) return answered;
      // Everything else is said and the conversation goes on.
      if (!answered) fmt::print(stderr, "{}\n", answered.error().message);
      clear_interrupted();
    }
  }
  return print("\n");
}

Status run_chat(const ChatFlags& flags, const Globals& globals) {
  std::optional<std::string> prompt = flags.prompt;
  if (!stdin_is_terminal() && !prompt) {
    ATELIER_TRY(prompt, read_stdin(kMaxPromptBytes));
    while (!prompt->empty() && prompt->back() == '\n') prompt->pop_back();
    if (prompt->empty())
      return fail(ErrorCode::kInvalidArgument,
                  "prompt: expected a text as argument or on standard input, found none");
  }
  ATELIER_TRY(const std::unique_ptr<Engine> engine, load_engine(flags.model, globals));
  ATELIER_TRY(std::unique_ptr<chat::Dialect> dialect,
              chat::dialect_for(engine->info().architecture, engine->shared_tokenizer(),
                                engine->card().chat_template));
  Chat chat(flags, globals, *engine, std::move(dialect));
  if (prompt) return chat.ask(std::move(*prompt));
  note(globals, fmt::format("{} on {} threads. /help says what you can type.",
                            engine->card().path.filename().string(), engine->pool().size()));
  return converse(chat);
}

}  // namespace

void register_chat(Registration r) {
  auto flags = std::make_shared<ChatFlags>();
  CLI::App* command = r.app.add_subcommand("chat", "Talk with a model: one answer, or a conversation");
  flags->model.add_to(*command, /*required=*/false);
  flags->sampling.add_to(*command);
  command->add_option("--system", flags->system, "Instructions for the whole conversation");
  command->add_option("--max-tokens", flags->max_tokens, "Tokens of an answer at most")
      ->check(CLI::PositiveNumber);
  command->add_option("--reasoning", flags->reasoning, "Effort of models that reason")
      ->check(CLI::IsMember({"low", "medium", "high"}));
  command->add_flag("--hide-reasoning", flags->hide_reasoning, "Show the answer only");
  command->add_option("PROMPT", flags->prompt,
                      "Answer this and leave; without it (and with a terminal) a conversation");
  command->callback([=] { r.selected = [=] { return run_chat(*flags, r.globals); }; });
}

}  // namespace atelier::cli
