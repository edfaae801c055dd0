// What programs and files say, made fit for models and for terminals.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace atelier::agent {

// Without escape sequences and control characters other than newline and tab; \r\n becomes \n, and of a line
// that was overwritten with \r only what was left standing remains. Invalid UTF-8 becomes U+FFFD. Characters
// that reverse or hide text (bidirectional controls) are removed.
std::string plain_text(std::string_view bytes);

// For a stream of output: what is shown of a chunk. Sequences and characters split over chunks are kept back.
class PlainStream {
 public:
  std::string push(std::string_view bytes);
  std::string finish();

 private:
  std::string held_;
};

struct Shortened {
  std::string text;
  size_t left_out_bytes = 0;
};
// `text` if it has at most `max_bytes`, else its beginning and its end, cut at line ends where that costs
// little, with `note` on a line between them; "{}" in `note` becomes the number of bytes left out.
Shortened shorten_middle(std::string_view text, size_t max_bytes, std::string_view note);

}  // namespace atelier::agent
