// Text that knows, byte by byte, whether the template wrote it or the conversation did. A control token means
// one only where the template wrote it: the bytes of messages, tools and files stay text whatever they spell.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace atelier::chat::jinja {

struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const ByteRange&) const = default;
};

// Immutable and cheap to copy.
class Text {
 public:
  Text() = default;
  // All of it written by the template.
  static Text trusted(std::string bytes);
  // None of it written by the template.
  static Text data(std::string bytes);

  std::string_view bytes() const { return rep_ ? std::string_view(rep_->bytes) : std::string_view(); }
  std::string str() const { return std::string(bytes()); }
  size_t size() const { return bytes().size(); }
  bool empty() const { return bytes().empty(); }
  // What the template wrote: sorted, disjoint, not touching.
  const std::vector<ByteRange>& trusted_ranges() const;
  // The bytes [begin, end), which must lie inside.
  Text slice(size_t begin, size_t end) const;

 private:
  friend class TextBuilder;
  struct Rep {
    std::string bytes;
    std::vector<ByteRange> trusted;
  };
  explicit Text(std::shared_ptr<const Rep> rep) : rep_(std::move(rep)) {}
  std::shared_ptr<const Rep> rep_;
};

class TextBuilder {
 public:
  void append(const Text& text) { append(text, 0, text.size()); }
  void append(const Text& text, size_t begin, size_t end);
  void append_data(std::string_view bytes) { rep_.bytes += bytes; }
  void append_trusted(std::string_view bytes);
  // `bytes` in place of the character of `source` that begins at `at`: with its origin.
  void append_like(const Text& source, size_t at, std::string_view bytes);

  size_t size() const { return rep_.bytes.size(); }
  std::string_view bytes() const { return rep_.bytes; }
  Text take();

 private:
  void mark(size_t begin, size_t end);
  Text::Rep rep_;
};

}  // namespace atelier::chat::jinja
