#include "cli/line_editor.h"

#include <histedit.h>

#include <cerrno>
#include <cstdio>

#include "cli/command.h"

namespace atelier::cli {

struct LineEditor::State {
  std::string prompt;
  std::filesystem::path history_file;
  EditLine* editor = nullptr;
  History* history = nullptr;
};

namespace {

constexpr int kHistoryLines = 1000;

char* prompt_of(EditLine* editor) {
  void* client = nullptr;
  el_get(editor, EL_CLIENTDATA, &client);
  return static_cast<std::string*>(client)->data();
}

bool is_blank(const std::string& line) { return line.find_first_not_of(" \t") == std::string::npos; }

}  // namespace

LineEditor::LineEditor(std::string prompt, std::filesystem::path history_file)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.prompt = std::move(prompt);
  s.history_file = std::move(history_file);
  s.history = history_init();
  s.editor = el_init("atelier", stdin, stdout, stderr);
  HistEvent event;
  history(s.history, &event, H_SETSIZE, kHistoryLines);
  history(s.history, &event, H_SETUNIQUE, 1);
  if (!s.history_file.empty()) history(s.history, &event, H_LOAD, s.history_file.c_str());
  el_set(s.editor, EL_CLIENTDATA, &s.prompt);
  el_set(s.editor, EL_PROMPT, prompt_of);
  el_set(s.editor, EL_EDITOR, "emacs");
  el_set(s.editor, EL_HIST, history, s.history);
  el_set(s.editor, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  // The terminal is not raw between lines and until a moment after the prompt: a Ctrl-D typed then is an end
  // of input to the kernel, which it hands over as a zero byte once the terminal is raw.
  el_set(s.editor, EL_BIND, "^@", "em-delete-or-list", nullptr);
  el_source(s.editor, nullptr);  // the user's ~/.editrc
}

LineEditor::~LineEditor() {
  State& s = *state_;
  HistEvent event;
  if (!s.history_file.empty()) history(s.history, &event, H_SAVE, s.history_file.c_str());
  el_end(s.editor);
  history_end(s.history);
}

std::optional<std::string> LineEditor::read() {
  State& s = *state_;
  for (;;) {
    int length = 0;
    errno = 0;
    const char* typed = el_gets(s.editor, &length);
    if (typed == nullptr && errno == EINTR) {  // Ctrl-C: start over on a fresh line
      clear_interrupted();
      std::fputc('\n', stdout);
      el_reset(s.editor);
      continue;
    }
    if (typed == nullptr || length <= 0) return std::nullopt;
    std::string line(typed, static_cast<size_t>(length));
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    HistEvent event;
    if (!is_blank(line)) history(s.history, &event, H_ENTER, line.c_str());
    return line;
  }
}

}  // namespace atelier::cli
