#include "agent/patch/shell_form.h"

#include "agent/patch/text.h"
#include "agent/workspace/quote.h"

namespace atelier::agent {
namespace {

// Reads words the way a shell does, as far as these forms need it.
class ShellReader {
 public:
  explicit ShellReader(std::string_view text) : rest_(text) {}

  std::string_view rest() const { return rest_; }
  void skip_blanks() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t')) rest_.remove_prefix(1);
  }
  void skip_space() {
    while (!rest_.empty() && (is_blank(rest_[0]) || rest_[0] == '\n')) rest_.remove_prefix(1);
  }
  bool take(std::string_view token) {
    skip_blanks();
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }
  // A word of its own: not the beginning of a longer one.
  bool take_word(std::string_view word) {
    const ShellReader before = *this;
    if (take(word) && (rest_.empty() || is_blank(rest_[0]) || rest_[0] == '\n' || rest_[0] == '<'))
      return true;
    *this = before;
    return false;
  }
  std::string_view take_line() {
    const size_t end = std::min(rest_.find('\n'), rest_.size());
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return line;
  }

  // One word with its quotes resolved; nothing where it is empty, not closed, or would be expanded.
  std::optional<std::string> word() {
    skip_blanks();
    std::string out;
    bool any = false;
    while (!rest_.empty() && !is_blank(rest_[0]) && rest_[0] != '\n') {
      const char c = rest_[0];
      const bool closed = c == '\''                 ? single_quoted(out)
                          : c == '"'                ? double_quoted(out)
                          : rest_.starts_with("$'") ? ansi_quoted(out)
                                                    : bare(out);
      if (!closed) return std::nullopt;
      any = true;
    }
    return any ? std::optional(std::move(out)) : std::nullopt;
  }

 private:
  bool bare(std::string& out) {
    constexpr std::string_view kSpecial = "|&;<>()$`*?[]#~=%!{}";
    if (kSpecial.find(rest_[0]) != std::string_view::npos && !(rest_[0] == '=' || rest_[0] == '%'))
      return false;
    if (rest_[0] == '\\') rest_.remove_prefix(1);
    if (rest_.empty()) return false;
    out += rest_[0];
    rest_.remove_prefix(1);
    return true;
  }

  bool single_quoted(std::string& out) {
    const size_t end = rest_.find('\'', 1);
    if (end == std::string_view::npos) return false;
    out += rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return true;
  }

  // Between double quotes a backslash only escapes $ ` " \ and the end of line. What the shell would replace
  // ($names, `commands`) is what a model meant to stand in its code.
  bool double_quoted(std::string& out) {
    rest_.remove_prefix(1);
    while (!rest_.empty() && rest_[0] != '"') {
      if (rest_[0] == '\\' && rest_.size() > 1) {
        const char next = rest_[1];
        if (next != '$' && next != '`' && next != '"' && next != '\\' && next != '\n') out += '\\';
        if (next != '\n') out += next;
        rest_.remove_prefix(2);
      } else {
        out += rest_[0];
        rest_.remove_prefix(1);
      }
    }
    if (rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // $'…' of bash, with the escapes that stand for one character.
  bool ansi_quoted(std::string& out) {
    rest_.remove_prefix(2);
    while (!rest_.empty() && rest_[0] != '\'') {
      if (rest_[0] == '\\' && rest_.size() > 1) {
        const char next = rest_[1];
        out += next == 'n' ? '\n' : next == 't' ? '\t' : next == 'r' ? '\r' : next;
        rest_.remove_prefix(2);
      } else {
        out += rest_[0];
        rest_.remove_prefix(1);
      }
    }
    if (rest_.empty()) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::string_view rest_;
};

struct HereDocument {
  std::string delimiter;
  bool strip_tabs = false;  // "<<-"
};

std::optional<HereDocument> take_redirection(ShellReader& reader) {
  if (!reader.take("<<")) return std::nullopt;
  HereDocument document;
  document.strip_tabs = reader.take("-");
  // "<<EOF|" is legal too, but no model writes it.
  auto word = reader.word();
  if (!word) return std::nullopt;
  document.delimiter = std::move(*word);
  return document;
}

// The lines up to the delimiter; nothing but blanks may follow it. `closed`: whether it was there.
std::optional<std::string> take_body(ShellReader& reader, const HereDocument& document, bool& closed) {
  std::string body;
  closed = false;
  while (!reader.rest().empty()) {
    std::string_view line = reader.take_line();
    if (document.strip_tabs)
      while (line.starts_with('\t')) line.remove_prefix(1);
    if (right_trimmed(line) == document.delimiter) {
      closed = true;
      break;
    }
    body += line;
    body += '\n';
  }
  reader.skip_space();
  if (!reader.rest().empty()) return std::nullopt;
  return body;
}

}  // namespace

Result<std::optional<ShellForm>> parse_shell_form(std::string_view script) {
  ShellReader reader(script);
  ShellForm form;
  reader.skip_space();
  if (reader.take_word("cd")) {
    auto folder = reader.word();
    if (!folder || !reader.take("&&")) return std::nullopt;
    form.workdir = std::move(*folder);
    reader.skip_space();
  }
  const bool cat = reader.take_word("cat");
  form.names_apply_patch = !cat && (reader.take_word("apply_patch") || reader.take_word("applypatch"));
  reader.skip_blanks();
  const auto document = take_redirection(reader);
  if (!document) {
    if (!form.names_apply_patch) return std::nullopt;
    auto text = reader.word();
    reader.skip_space();
    if (text && reader.rest().empty()) {
      form.body = std::move(*text);
      return form;
    }
    if (!text && (reader.rest().empty() || script.find("*** Begin Patch") != std::string_view::npos))
      return fail(ErrorCode::kInvalidArgument,
                  "patch: expected a quoted patch or a here-document after apply_patch, found {}",
                  reader.rest().empty() ? std::string("nothing, or a quote that is not closed")
                                        : in_quotes(reader.rest().substr(0, reader.rest().find('\n'))));
    return std::nullopt;
  }
  if (cat) {
    if (!reader.take("|") || !(reader.take_word("apply_patch") || reader.take_word("applypatch")))
      return std::nullopt;
    form.names_apply_patch = true;
  }
  if (!trimmed(reader.take_line()).empty()) return std::nullopt;
  bool closed = false;
  auto body = take_body(reader, *document, closed);
  if (!body) return std::nullopt;
  // A model that forgets the delimiter has still closed its patch: the parser looks for that.
  if (!closed && body->find("*** End Patch") == std::string::npos)
    return fail(ErrorCode::kInvalidArgument, "patch: expected {} at the end of the here-document, found none",
                in_quotes(document->delimiter));
  form.body = std::move(*body);
  return form;
}

}  // namespace atelier::agent
