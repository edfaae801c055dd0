// The text being typed: several lines, a cursor, a history.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/tui/keys.h"
#include "agent/tui/styled.h"

namespace atelier::agent::tui {

// Messages sent earlier, also by earlier runs.
class History {
 public:
  // `file`: one JSON text a line; empty: only this run's. Unreadable ones count as empty.
  explicit History(std::filesystem::path file = {});
  void add(const std::string& text);
  const std::vector<std::string>& entries() const { return entries_; }
  static constexpr size_t kMaxEntries = 1000;

 private:
  std::filesystem::path file_;
  std::vector<std::string> entries_;
};

class Editor {
 public:
  explicit Editor(History history = History()) : history_(std::move(history)) {}

  const std::string& text() const { return text_; }
  size_t cursor() const { return cursor_; }  // in bytes, between characters
  bool empty() const { return text_.empty(); }
  void set(std::string text);
  // Replaces text_[begin, end) and puts the cursor after it.
  void replace(size_t begin, size_t end, std::string_view with);
  // Empties it, remembers what was there, and returns it.
  std::string take();

  // Editing keys. False for those that mean something to the caller (Enter, Escape, Tab, …).
  bool press(const Key& key);

  // As shown in `width` columns, with `prompt` before the first line and blanks before the others, and where
  // the cursor is in it.
  struct View {
    Lines lines{};
    size_t row = 0, column = 0;
  };
  View view(size_t width, const Line& prompt) const;

 private:
  bool press_control(char letter);
  bool press_alt(const Key& key);
  void insert(std::string_view text);
  void erase(size_t begin, size_t end, bool to_kill_ring = false);
  size_t previous(size_t at) const;
  size_t next(size_t at) const;
  size_t word_begin(size_t at) const;
  size_t word_end(size_t at) const;
  size_t line_begin(size_t at) const;
  size_t line_end(size_t at) const;
  bool move_line(int by);
  bool move_history(int by);

  std::string text_;
  size_t cursor_ = 0;
  std::string killed_;
  History history_;
  size_t at_ = 0;         // in the history, counted from its end: 0 is what is being typed
  std::string unsent_{};  // while the history is looked through
};

}  // namespace atelier::agent::tui
