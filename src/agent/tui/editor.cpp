#include "agent/tui/editor.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace atelier::agent::tui {
namespace {

constexpr size_t kMaxHistoryBytes = size_t{16} << 20;

bool is_word(char c) {
  return static_cast<unsigned char>(c) >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
         (c >= 'A' && c <= 'Z') || c == '_';
}

}  // namespace

History::History(std::filesystem::path file) : file_(std::move(file)) {
  if (file_.empty()) return;
  const Result<std::string> text = read_file(file_, kMaxHistoryBytes);
  if (!text) return;
  for (size_t at = 0; at < text->size();) {
    const size_t end = std::min(text->find('\n', at), text->size());
    const auto json = nlohmann::json::parse(text->begin() + static_cast<std::ptrdiff_t>(at),
                                            text->begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (json.is_string()) entries_.push_back(json.get<std::string>());
    at = end + 1;
  }
  if (entries_.size() > kMaxEntries) entries_.erase(entries_.begin(), entries_.end() - kMaxEntries);
}

void History::add(const std::string& text) {
  if (text.empty() || (!entries_.empty() && entries_.back() == text)) return;
  entries_.push_back(text);
  if (file_.empty()) return;
  std::error_code none;
  std::filesystem::create_directories(file_.parent_path(), none);
  // Appended, so that two programs at once lose nothing of each other.
  std::ofstream(file_, std::ios::app)
      << nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) + "\n";
}

void Editor::set(std::string text) {
  text_ = std::move(text);
  cursor_ = text_.size();
}

void Editor::replace(size_t begin, size_t end, std::string_view with) {
  text_.replace(begin, end - begin, with);
  cursor_ = begin + with.size();
}

std::string Editor::take() {
  std::string text = std::exchange(text_, {});
  cursor_ = at_ = 0;
  history_.add(text);
  return text;
}

size_t Editor::previous(size_t at) const {
  size_t begin = 0;
  for (size_t next = 0; next < at; next += character_at(text_, next)) begin = next;
  return begin;
}
size_t Editor::next(size_t at) const { return at < text_.size() ? at + character_at(text_, at) : at; }

size_t Editor::word_begin(size_t at) const {
  while (at > 0 && !is_word(text_[at - 1])) --at;
  while (at > 0 && is_word(text_[at - 1])) --at;
  return at;
}
size_t Editor::word_end(size_t at) const {
  while (at < text_.size() && !is_word(text_[at])) ++at;
  while (at < text_.size() && is_word(text_[at])) ++at;
  return at;
}
size_t Editor::line_begin(size_t at) const {
  const size_t end = at == 0 ? std::string::npos : text_.rfind('\n', at - 1);
  return end == std::string::npos ? 0 : end + 1;
}
size_t Editor::line_end(size_t at) const { return std::min(text_.find('\n', at), text_.size()); }

void Editor::insert(std::string_view text) {
  text_.insert(cursor_, text);
  cursor_ += text.size();
}

void Editor::erase(size_t begin, size_t end, bool to_kill_ring) {
  if (begin >= end) return;
  if (to_kill_ring) killed_ = text_.substr(begin, end - begin);
  text_.erase(begin, end - begin);
  cursor_ = begin;
}

// Up and down in a text of several lines, keeping the column.
bool Editor::move_line(int by) {
  const size_t begin = line_begin(cursor_), end = line_end(cursor_);
  if (by < 0 ? begin == 0 : end == text_.size()) return false;
  const size_t column = width_of(std::string_view(text_).substr(begin, cursor_ - begin));
  size_t at = by < 0 ? line_begin(begin - 1) : end + 1;
  const size_t stop = line_end(at);
  for (size_t columns = 0; at < stop;) {
    const size_t bytes = character_at(text_, at);
    columns += width_of(std::string_view(text_).substr(at, bytes));
    if (columns > column) break;
    at += bytes;
  }
  cursor_ = at;
  return true;
}

bool Editor::move_history(int by) {
  const auto& entries = history_.entries();
  if (by < 0 ? at_ == entries.size() : at_ == 0) return true;
  if (at_ == 0) unsent_ = text_;
  at_ = by < 0 ? at_ + 1 : at_ - 1;
  set(at_ == 0 ? std::exchange(unsent_, {}) : entries[entries.size() - at_]);
  return true;
}

bool Editor::press(const Key& key) {
  using Code = Key::Code;
  switch (key.code) {
    case Code::kText:
      if (key.control) return press_control(key.text[0]);
      if (key.alt) return press_alt(key);
      insert(key.text);
      return true;
    case Code::kPaste:
      insert(key.text);
      return true;
    case Code::kEnter:
      if (!key.control && !key.alt && !key.shift) {
        // A backslash before the end of the line asks for another one.
        if (cursor_ == 0 || text_[cursor_ - 1] != '\\') return false;
        erase(cursor_ - 1, cursor_);
      }
      insert("\n");
      return true;
    case Code::kBackspace:
      if (key.alt || key.control) return erase(word_begin(cursor_), cursor_, true), true;
      return erase(previous(cursor_), cursor_), true;
    case Code::kDelete:
      return erase(cursor_, next(cursor_)), true;
    case Code::kLeft:
      cursor_ = key.control || key.alt ? word_begin(cursor_) : previous(cursor_);
      return true;
    case Code::kRight:
      cursor_ = key.control || key.alt ? word_end(cursor_) : next(cursor_);
      return true;
    case Code::kHome:
      cursor_ = line_begin(cursor_);
      return true;
    case Code::kEnd:
      cursor_ = line_end(cursor_);
      return true;
    case Code::kUp:
      return move_line(-1) || move_history(-1);
    case Code::kDown:
      return move_line(1) || move_history(1);
    default:
      return false;
  }
}

bool Editor::press_control(char letter) {
  switch (letter) {
    case 'a':
      cursor_ = line_begin(cursor_);
      return true;
    case 'e':
      cursor_ = line_end(cursor_);
      return true;
    case 'b':
      cursor_ = previous(cursor_);
      return true;
    case 'f':
      cursor_ = next(cursor_);
      return true;
    case 'p':
      return move_line(-1) || move_history(-1);
    case 'n':
      return move_line(1) || move_history(1);
    case 'h':
      return erase(previous(cursor_), cursor_), true;
    case 'k': {
      const size_t end = line_end(cursor_);
      return erase(cursor_, end == cursor_ ? next(cursor_) : end, true), true;
    }
    case 'u':
      return erase(line_begin(cursor_), cursor_, true), true;
    case 'w':
      return erase(word_begin(cursor_), cursor_, true), true;
    case 'y':
      insert(killed_);
      return true;
    default:
      return false;
  }
}

bool Editor::press_alt(const Key& key) {
  if (key.text == "b") return cursor_ = word_begin(cursor_), true;
  if (key.text == "f") return cursor_ = word_end(cursor_), true;
  if (key.text == "d") return erase(cursor_, word_end(cursor_), true), true;
  return false;
}

Editor::View Editor::view(size_t width, const Line& prompt) const {
  View view;
  const size_t margin = width_of(prompt);
  const Line blanks(std::string(margin, ' '));
  const size_t room = width > margin + 1 ? width - margin - 1 : 1;  // a column for the cursor after the last
  for (size_t at = 0; at <= text_.size();) {
    const size_t end = line_end(at);
    Line line = view.lines.empty() ? prompt : blanks;
    size_t used = 0, column = 0;
    std::string shown;
    const auto break_line = [&] {
      view.lines.push_back(line.add(std::exchange(shown, {})));
      line = blanks;
      used = 0;
    };
    for (size_t i = at;; i += character_at(text_, i)) {
      if (i == cursor_) {
        view.row = view.lines.size();
        view.column = margin + used;
      }
      if (i >= end) break;
      const std::string text = printable(std::string_view(text_).substr(i, character_at(text_, i)), column);
      const size_t columns = width_of(text);
      if (used + columns > room) break_line();
      if (i == cursor_) {
        view.row = view.lines.size();
        view.column = margin + used;
      }
      shown += text;
      used += columns;
      column += columns;
    }
    view.lines.push_back(line.add(std::move(shown)));
    at = end + 1;
  }
  return view;
}

}  // namespace atelier::agent::tui
