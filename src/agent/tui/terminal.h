// The terminal a program was started on: raw keys in, lines and one repainted region out.
#pragma once

#include <termios.h>

#include <optional>
#include <string>
#include <string_view>

#include "agent/tui/styled.h"
#include "base/result.h"

namespace atelier::agent::tui {

struct Size {
  size_t rows = 24, columns = 80;
  bool operator==(const Size&) const = default;
};
Size terminal_size(int fd);

// What the terminal on `fd` can do, by TERM, NO_COLOR and the locale.
struct Abilities {
  bool cursor = true;  // can be moved: not so on dumb terminals and in pipes
  Dress dress = Dress::kColours;
  bool unicode = true;
};
Abilities abilities_of(int fd);

// Keys come one by one, unechoed, while it lives; the terminal is put back at the end, also where a signal
// ends the program.
class RawMode {
 public:
  static Result<RawMode> enter(int input, int output);
  RawMode(RawMode&& other) noexcept;
  RawMode& operator=(RawMode&&) = delete;
  ~RawMode();
  // For the time another program, or a stopped one, has the terminal.
  void leave();
  void enter_again();

 private:
  RawMode(int input, int output, const termios& before) : input_(input), output_(output), before_(before) {}
  int input_, output_;
  termios before_;
};

// Lines that scroll away as a program's output does, and below them a region that is painted anew.
//
// Nothing but relative movements is used, so that whatever stood on the terminal before stays in its
// scrollback. All bytes of a change are written at once.
class Screen {
 public:
  Screen(int fd, Abilities abilities) : fd_(fd), abilities_(abilities), size_(terminal_size(fd)) {}

  const Abilities& abilities() const { return abilities_; }
  Size size() const { return size_; }
  // After SIGWINCH. Lines of the region may have been broken by the terminal.
  void resized();

  // Adds lines above the region.
  void print(const Lines& lines);
  // The region from now on; lines are clipped to the width. `cursor`: where keys go, counted from the
  // region's first line and column; nothing: it is hidden.
  struct Place {
    size_t row = 0, column = 0;
    bool operator==(const Place&) const = default;
  };
  void show(Lines region, std::optional<Place> cursor);
  // Paints the region again, whatever the terminal shows now.
  void repaint_all() { changed_ = all_ = true; }
  // Removes the region and leaves the cursor where it began.
  void clear();
  // Writes what print() and show() collected. False if nobody is there any more.
  bool flush();

 private:
  std::string erase_region() const;
  std::string repaint_lines() const;

  int fd_;
  Abilities abilities_;
  Size size_;
  Lines printed_;  // not written yet
  Lines region_, painted_;
  std::optional<Place> cursor_, painted_cursor_;
  size_t cursor_row_ = 0;  // rows below the region's first line the cursor was left at
  bool changed_ = false;
  bool all_ = false;  // what the terminal shows is not what was painted
};

}  // namespace atelier::agent::tui
