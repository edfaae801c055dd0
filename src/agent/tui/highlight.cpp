#include "agent/tui/highlight.h"

#include <algorithm>
#include <array>
#include <span>

namespace atelier::agent::tui {

struct Language {
  std::array<std::string_view, 10> names;  // and file extensions
  std::string_view line_comment, comment_begin, comment_end;
  std::array<std::string_view, 3> quotes;  // longer ones first
  std::string_view keywords;               // between blanks
};

namespace {

constexpr Style kCommentStyle{.colour = Colour::kGrey};
constexpr Style kStringStyle{.colour = Colour::kGreen};
constexpr Style kKeywordStyle{.colour = Colour::kMagenta};
constexpr Style kNumberStyle{.colour = Colour::kCyan};

constexpr std::array kLanguages = {
    Language{
        {"cpp", "c++", "c", "h", "cc", "cxx", "hpp", "cuda", "cu", "inc"},
        "//",
        "/*",
        "*/",
        {"\"", "'"},
        " alignas auto bool break case catch char class concept const consteval constexpr const_cast "
        "continue "
        "co_await co_return co_yield decltype default delete do double dynamic_cast else enum explicit "
        "export "
        "extern false final float for friend goto if inline int long mutable namespace new noexcept nullptr "
        "operator override private protected public register requires return short signed sizeof static "
        "static_assert static_cast struct switch template this throw true try typedef typename union "
        "unsigned "
        "using virtual void volatile while #include #define #ifdef #ifndef #endif #if #else #pragma "},
    Language{{"python", "py", "pyi"},
             "#",
             "",
             "",
             {"\"\"\"", "\"", "'"},
             " and as assert async await break class continue def del elif else except False finally for "
             "from global "
             "if import in is lambda match None nonlocal not or pass raise return self True try while with "
             "yield "},
    Language{
        {"javascript", "js", "jsx", "typescript", "ts", "tsx", "mjs", "cjs", "java", "kt"},
        "//",
        "/*",
        "*/",
        {"`", "\"", "'"},
        " abstract any as async await boolean break case catch class const continue debugger declare default "
        "delete do else enum export extends false finally for from function get if implements import in "
        "instanceof interface let new null number of package private protected public readonly return set "
        "static "
        "string super switch this throw true try type typeof undefined var void while with yield fun val "},
    Language{
        {"rust", "rs"},
        "//",
        "/*",
        "*/",
        {"\""},
        " as async await break const continue crate dyn else enum extern false fn for if impl in let loop "
        "match "
        "mod move mut pub ref return self Self static struct super trait true type unsafe use where while "},
    Language{
        {"go"},
        "//",
        "/*",
        "*/",
        {"`", "\"", "'"},
        " break case chan const continue default defer else fallthrough false for func go goto if import "
        "interface map nil package range return select struct switch true type var "},
    Language{
        {"sh", "bash", "shell", "zsh", "console", "dockerfile", "makefile", "mk"},
        "#",
        "",
        "",
        {"\"", "'"},
        " case do done elif else esac export fi for function if in local readonly return set then trap until "
        "while "},
    Language{{"json", "jsonc", "json5", "css", "scss"}, "//", "/*", "*/", {"\""}, " true false null "},
    Language{
        {"yaml", "yml", "toml", "ini", "conf", "cfg"}, "#", "", "", {"\"", "'"}, " true false null yes no "},
    Language{{"sql"},
             "--",
             "/*",
             "*/",
             {"'", "\""},
             " select from where insert into values update set delete create table index join left right "
             "inner outer on "
             "group by order having limit and or not null primary key as distinct union all SELECT FROM "
             "WHERE INSERT "
             "INTO VALUES UPDATE SET DELETE CREATE TABLE INDEX JOIN LEFT RIGHT INNER OUTER ON GROUP BY ORDER "
             "HAVING "
             "LIMIT AND OR NOT NULL PRIMARY KEY AS DISTINCT UNION ALL "},
    Language{{"html", "xml", "svg", "htm"}, "", "<!--", "-->", {"\"", "'"}, ""},
    Language{{"lua"},
             "--",
             "--[[",
             "]]",
             {"\"", "'"},
             " and break do else elseif end false for function if in local nil not or repeat return then "
             "true until "
             "while "},
};

bool is_word_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '#';
}

std::string lowered(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

bool is_keyword(const Language& language, std::string_view word) {
  for (size_t at = language.keywords.find(word); at != std::string_view::npos;
       at = language.keywords.find(word, at + 1))
    if (at > 0 && language.keywords[at - 1] == ' ' &&
        language.keywords.substr(at + word.size()).starts_with(' '))
      return true;
  return false;
}

// Where the string that begins at `at` ends, its closing quote included; npos: not in this line.
size_t string_end(std::string_view text, size_t at, std::string_view quote) {
  for (size_t i = at; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text.substr(i).starts_with(quote)) {
      return i + quote.size();
    }
  }
  return std::string_view::npos;
}

}  // namespace

const Language* language_named(std::string_view name) {
  const std::string wanted = lowered(name.substr(0, name.find_first_of(" ,{:")));
  if (wanted.empty()) return nullptr;
  for (const Language& language : kLanguages)
    if (std::ranges::find(language.names, wanted) != language.names.end()) return &language;
  return nullptr;
}

const Language* language_of_file(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const size_t dot = name.rfind('.');
  return language_named(dot == std::string_view::npos ? name : name.substr(dot + 1));
}

Line Highlighter::line(std::string_view text) {
  if (language_ == nullptr) return Line(std::string(text));
  const Language& language = *language_;
  Line out;
  size_t at = 0;
  const auto take = [&](size_t end, const Style& style) {
    end = std::min(end, text.size());
    out.add(std::string(text.substr(at, end - at)), style);
    at = end;
  };
  if (!open_.empty()) {
    const size_t end = text.find(open_);
    if (end == std::string_view::npos) return Line(std::string(text), open_style_);
    take(end + open_.size(), open_style_);
    open_.clear();
  }
  while (at < text.size()) {
    const std::string_view rest = text.substr(at);
    const auto quote = std::ranges::find_if(
        language.quotes, [&](std::string_view q) { return !q.empty() && rest.starts_with(q); });
    if (!language.comment_begin.empty() && rest.starts_with(language.comment_begin)) {
      const size_t end = text.find(language.comment_end, at + language.comment_begin.size());
      if (end == std::string_view::npos) open_ = language.comment_end, open_style_ = kCommentStyle;
      take(end == std::string_view::npos ? end : end + language.comment_end.size(), kCommentStyle);
    } else if (!language.line_comment.empty() && rest.starts_with(language.line_comment)) {
      take(text.size(), kCommentStyle);
    } else if (quote != language.quotes.end()) {
      const size_t end = string_end(text, at + quote->size(), *quote);
      // Only long quotes and backticks go on in the next line.
      if (end == std::string_view::npos && (quote->size() == 3 || *quote == "`"))
        open_ = *quote, open_style_ = kStringStyle;
      take(end, kStringStyle);
    } else if (is_word_char(rest[0])) {
      const auto end = std::ranges::find_if_not(rest, is_word_char);
      const std::string_view word(rest.begin(), end);
      const bool number = word[0] >= '0' && word[0] <= '9';
      take(at + word.size(), number ? kNumberStyle : is_keyword(language, word) ? kKeywordStyle : kPlain);
    } else {
      const auto end = std::ranges::find_if(rest.substr(1), [&](char c) {
        return is_word_char(c) || c == '"' || c == '\'' || c == '`' || c == '/' || c == '#' || c == '-' ||
               c == '<';
      });
      take(at + 1 + static_cast<size_t>(end - rest.substr(1).begin()), kPlain);
    }
  }
  return out;
}

}  // namespace atelier::agent::tui
