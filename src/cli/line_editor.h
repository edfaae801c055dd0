// Reading lines at a terminal: editing, history, completion of nothing. Wraps libedit.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace atelier::cli {

class LineEditor {
 public:
  // `history_file`: kept across runs; empty: only within this one.
  LineEditor(std::string prompt, std::filesystem::path history_file);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // The next line without its end, added to the history; nothing at end of input. Ctrl-C drops the line being
  // typed.
  std::optional<std::string> read();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace atelier::cli
