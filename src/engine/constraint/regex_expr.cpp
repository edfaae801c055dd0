#include <algorithm>

#include "engine/constraint/regex_language.h"

namespace atelier::constraint {
namespace {

using Kind = Regex::Kind;

class RegexTranslator {
 public:
  RegexTranslator(const Regex& regex, RegexMatch match, GrammarBuilder& builder, const CharWriter& write)
      : regex_(regex), match_(match), b_(builder), write_(write), anchored_(regex.nodes.size()) {
    for (size_t i = 0; i < regex.nodes.size(); ++i) {
      const Regex::Node& node = regex.nodes[i];
      anchored_[i] =
          node.kind == Kind::kBegin || node.kind == Kind::kEnd ||
          std::ranges::any_of(node.children, [this](uint32_t child) { return anchored_[child] != 0; });
    }
  }

  // Nothing where anchors stand elsewhere than at the two ends.
  std::optional<ExprId> translate() { return alternative(regex_.root); }

 private:
  ExprId anything() {
    if (match_ == RegexMatch::kWhole) return b_.empty();
    return b_.repeat(write_(CodePointSet::all()), 0, kUnbounded);
  }

  std::optional<ExprId> alternative(uint32_t id) {
    const Regex::Node& node = regex_.nodes[id];
    if (node.kind == Kind::kChoice && anchored_[id]) {
      std::vector<ExprId> out;
      for (const uint32_t child : node.children) {
        const auto one = alternative(child);
        if (!one) return std::nullopt;
        out.push_back(*one);
      }
      return b_.choice(out);
    }
    std::vector<uint32_t> parts = {id};
    if (node.kind == Kind::kSequence) parts = node.children;
    size_t begin = 0, end = parts.size();
    while (begin < end && regex_.nodes[parts[begin]].kind == Kind::kBegin) ++begin;
    while (end > begin && regex_.nodes[parts[end - 1]].kind == Kind::kEnd) --end;
    std::vector<ExprId> out;
    if (begin == 0) out.push_back(anything());
    for (size_t i = begin; i < end; ++i) {
      if (anchored_[parts[i]]) return std::nullopt;
      out.push_back(plain(parts[i]));
    }
    if (end == parts.size()) out.push_back(anything());
    return b_.sequence(out);
  }

  ExprId plain(uint32_t id) {
    const Regex::Node& node = regex_.nodes[id];
    std::vector<ExprId> children;
    for (const uint32_t child : node.children) children.push_back(plain(child));
    switch (node.kind) {
      case Kind::kChars:
        return write_(regex_.sets[node.set]);
      case Kind::kSequence:
        return b_.sequence(children);
      case Kind::kChoice:
        return b_.choice(children);
      case Kind::kRepeat:
        return b_.repeat(children[0], node.min, node.max);
      case Kind::kEmpty:
      case Kind::kBegin:
      case Kind::kEnd:
        break;
    }
    return b_.empty();
  }

  const Regex& regex_;
  RegexMatch match_;
  GrammarBuilder& b_;
  const CharWriter& write_;
  std::vector<uint8_t> anchored_;  // an anchor stands in the node
};

}  // namespace

Result<ExprId> regex_expr(const Regex& regex, RegexMatch match, GrammarBuilder& builder,
                          const CharWriter& write) {
  if (const auto simple = RegexTranslator(regex, match, builder, write).translate()) return *simple;
  ATELIER_TRY(const CharDfa dfa, regex_dfa(regex, match));
  return dfa_expr(dfa, builder, write);
}

std::optional<RepeatedClass> repeated_class(const Regex& regex) {
  const Regex::Node& root = regex.nodes[regex.root];
  if (root.kind != Kind::kSequence || root.children.size() != 3) return std::nullopt;
  const auto node = [&](size_t i) -> const Regex::Node& { return regex.nodes[root.children[i]]; };
  if (node(0).kind != Kind::kBegin || node(2).kind != Kind::kEnd || node(1).kind != Kind::kRepeat)
    return std::nullopt;
  const Regex::Node& body = regex.nodes[node(1).children[0]];
  if (body.kind != Kind::kChars) return std::nullopt;
  return RepeatedClass{regex.sets[body.set], node(1).min, node(1).max};
}

Result<std::shared_ptr<const Grammar>> compile_regex(std::string_view pattern) {
  ATELIER_TRY(const Regex regex, parse_regex(pattern));
  GrammarBuilder builder;
  const CharWriter write = [&](const CodePointSet& set) { return builder.chars(set); };
  const RuleId root = builder.declare("root");
  ATELIER_TRY(const ExprId body, regex_expr(regex, RegexMatch::kWhole, builder, write));
  builder.define(root, body);
  return builder.build(root);
}

}  // namespace atelier::constraint
