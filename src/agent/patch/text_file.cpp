#include "agent/patch/text_file.h"

#include <algorithm>

namespace atelier::agent {

Result<TextFile> TextFile::parse(std::string_view name, std::string_view content) {
  const size_t zero = content.find('\0');
  if (zero != std::string_view::npos)
    return fail(ErrorCode::kInvalidArgument,
                "{}: expected text, found a binary file (a zero byte at offset {}); patches change text only",
                name, zero);
  TextFile file;
  file.byte_order_mark = content.starts_with(kByteOrderMark);
  if (file.byte_order_mark) content.remove_prefix(kByteOrderMark.size());
  for (size_t at = 0; at < content.size();) {
    if (file.lines.size() == kMaxLines)
      return fail(ErrorCode::kLimit, "{}: expected at most {} lines, found more", name, kMaxLines);
    const size_t end = content.find('\n', at);
    if (end == std::string_view::npos) {
      file.lines.push_back({content.substr(at), LineEnd::kNone});
      break;
    }
    const bool crlf = end > at && content[end - 1] == '\r';
    file.lines.push_back(
        {content.substr(at, end - at - (crlf ? 1 : 0)), crlf ? LineEnd::kCrLf : LineEnd::kLf});
    at = end + 1;
  }
  return file;
}

LineEnd TextFile::usual_end() const {
  const auto count = [this](LineEnd end) {
    return std::count_if(lines.begin(), lines.end(), [end](const TextLine& line) { return line.end == end; });
  };
  return count(LineEnd::kCrLf) > count(LineEnd::kLf) ? LineEnd::kCrLf : LineEnd::kLf;
}

void append_line(std::string& out, std::string_view text, LineEnd end) {
  out += text;
  if (end == LineEnd::kCrLf) out += '\r';
  if (end != LineEnd::kNone) out += '\n';
}

}  // namespace atelier::agent
