// What a keyboard sends, as keys.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace atelier::agent::tui {

struct Key {
  enum class Code : uint8_t {
    kText,   // `text`: one or more characters typed
    kPaste,  // `text`: pasted as one piece, line ends as \n
    kEnter,
    kTab,
    kBackTab,
    kEscape,
    kBackspace,
    kDelete,
    kUp,
    kDown,
    kLeft,
    kRight,
    kHome,
    kEnd,
    kPageUp,
    kPageDown,
    kEndOfInput,
  };
  Code code = Code::kText;
  std::string text{};
  bool control = false, alt = false, shift = false;
  bool operator==(const Key&) const = default;
};

// Turns bytes, in pieces of any size, into keys. A control letter is its letter with `control` ("a").
class KeyReader {
 public:
  std::vector<Key> push(std::string_view bytes);
  // Whether an escape waits for what may follow: the caller waits a little and calls flush().
  bool waiting() const { return !held_.empty() && !pasting_; }
  std::vector<Key> flush();

 private:
  // Bytes of held_ that were understood; 0: more are needed.
  size_t read_one(std::vector<Key>& out, bool last);
  size_t read_escape(std::vector<Key>& out, bool last);
  size_t read_csi(std::vector<Key>& out, bool last, size_t begin, bool alt);

  std::string held_;
  bool pasting_ = false;
  std::string pasted_;
};

// What a terminal has to be sent so that pastes are told apart from typing, and back.
inline constexpr std::string_view kPasteModeOn = "\x1b[?2004h";
inline constexpr std::string_view kPasteModeOff = "\x1b[?2004l";
// A paste longer than this is cut.
inline constexpr size_t kMaxPasteBytes = size_t{4} << 20;

}  // namespace atelier::agent::tui
