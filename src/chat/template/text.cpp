#include "chat/template/text.h"

#include <algorithm>

namespace atelier::chat::jinja {
namespace {

// The first range that ends behind `at`.
auto first_behind(const std::vector<ByteRange>& ranges, size_t at) {
  return std::upper_bound(ranges.begin(), ranges.end(), at,
                          [](size_t value, const ByteRange& range) { return value < range.end; });
}

}  // namespace

Text Text::trusted(std::string bytes) {
  TextBuilder builder;
  builder.append_trusted(bytes);
  return builder.take();
}

Text Text::data(std::string bytes) {
  Rep rep;
  rep.bytes = std::move(bytes);
  return Text(std::make_shared<const Rep>(std::move(rep)));
}

const std::vector<ByteRange>& Text::trusted_ranges() const {
  static const std::vector<ByteRange> none;
  return rep_ ? rep_->trusted : none;
}

Text Text::slice(size_t begin, size_t end) const {
  if (begin == 0 && end == size()) return *this;
  TextBuilder builder;
  builder.append(*this, begin, end);
  return builder.take();
}

void TextBuilder::mark(size_t begin, size_t end) {
  if (begin == end) return;
  if (!rep_.trusted.empty() && rep_.trusted.back().end == begin)
    rep_.trusted.back().end = end;
  else
    rep_.trusted.push_back({begin, end});
}

void TextBuilder::append(const Text& text, size_t begin, size_t end) {
  const size_t base = rep_.bytes.size();
  rep_.bytes += text.bytes().substr(begin, end - begin);
  const std::vector<ByteRange>& ranges = text.trusted_ranges();
  for (auto range = first_behind(ranges, begin); range != ranges.end() && range->begin < end; ++range)
    mark(base + std::max(range->begin, begin) - begin, base + std::min(range->end, end) - begin);
}

void TextBuilder::append_trusted(std::string_view bytes) {
  const size_t base = rep_.bytes.size();
  rep_.bytes += bytes;
  mark(base, rep_.bytes.size());
}

void TextBuilder::append_like(const Text& source, size_t at, std::string_view bytes) {
  const std::vector<ByteRange>& ranges = source.trusted_ranges();
  const auto range = first_behind(ranges, at);
  if (range != ranges.end() && range->begin <= at)
    append_trusted(bytes);
  else
    append_data(bytes);
}

Text TextBuilder::take() {
  auto rep = std::make_shared<const Text::Rep>(std::move(rep_));
  rep_ = {};
  return Text(std::move(rep));
}

}  // namespace atelier::chat::jinja
