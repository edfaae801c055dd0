#include "agent/patch/hunk_language.h"

#include <algorithm>
#include <array>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "agent/patch/text.h"
#include "agent/patch/text_file.h"
#include "agent/workspace/quote.h"

namespace atelier::agent {
namespace {

using constraint::ExprAutomaton;
using constraint::ExprId;
using constraint::GrammarBuilder;

// A line longer than this is data: nobody edits it by its text.
constexpr size_t kMaxLineText = 2000;
// What a grammar may have in all is a million.
constexpr size_t kMaxHunkStates = 900'000;
// Where so many lines are the same in several places, the first of these places is the only one that is
// followed any further.
constexpr size_t kMaxSameLines = 8;
constexpr uint32_t kNowhere = UINT32_MAX;

using State = uint32_t;

// States and edges of one automaton, added as they come.
class HunkAutomaton {
 public:
  explicit HunkAutomaton(GrammarBuilder& builder) : b_(builder) { labels_.fill(kNowhere); }
  State state() { return states(1); }
  State states(size_t n) {
    const auto first = static_cast<State>(all_.states.size());
    all_.states.resize(all_.states.size() + n);
    return first;
  }
  void edge(State from, ExprId label, State to) { all_.states[from].edges.push_back({label, to}); }
  void jump(State from, State to) { edge(from, b_.empty(), to); }
  void byte(State from, char c, State to) {
    ExprId& label = labels_[static_cast<uint8_t>(c)];
    if (label == kNowhere) label = b_.bytes(std::string_view(&c, 1));
    edge(from, label, to);
  }
  void accept(State state) { all_.states[state].accepting = true; }
  bool full() const { return all_.states.size() > kMaxHunkStates; }
  ExprId finish() { return b_.automaton(all_); }

 private:
  GrammarBuilder& b_;
  ExprAutomaton all_;
  std::array<ExprId, 256> labels_{};
};

// Trees of texts, none of which begins with another, letter by letter; each text leads to a leaf. A tree
// never changes: adding to it makes a new one, which shares with the old what is not on the way to the new
// text.
class TextTrees {
 public:
  // A place in a tree: a node, or a leaf with all of its text from `depth` on ahead.
  struct Place {
    uint32_t id = kNowhere;
    uint32_t depth = 0;
    bool leaf = false;
    bool nowhere() const { return id == kNowhere; }
  };

  explicit TextTrees(HunkAutomaton& automaton) : all_(automaton) {}

  // A text and the state it leads to. `text` stays where it is.
  uint32_t leaf(std::string_view text, State target) {
    leaves_.push_back({text, target, kNowhere, 0});
    return static_cast<uint32_t>(leaves_.size() - 1);
  }
  // `tree` with `text`, whose leaf is what `make` says: it is given the leaf the text has, or kNowhere.
  Place with(Place tree, std::string_view text, const std::function<uint32_t(uint32_t)>& make);
  State state_of(Place place) { return place.leaf ? way(place.id, place.depth) : nodes_[place.id].state; }

 private:
  struct Leaf {
    std::string_view text;
    State target;
    State first;    // of the states on the way, from `from` on
    uint32_t from;  // in the text
  };
  struct Node {
    State state;
    std::vector<std::pair<char, Place>> children;
  };

  State way(uint32_t id, uint32_t depth) {
    Leaf& leaf = leaves_[id];
    if (depth == leaf.text.size()) return leaf.target;
    if (leaf.first == kNowhere || depth < leaf.from) {
      const size_t n = leaf.text.size() - depth;
      leaf.first = all_.states(n);
      leaf.from = depth;
      for (size_t i = 0; i < n; ++i) {
        const auto at = static_cast<State>(leaf.first + i);
        all_.byte(at, leaf.text[depth + i], i + 1 == n ? leaf.target : at + 1);
      }
    }
    return leaf.first + (depth - leaf.from);
  }
  Place node(std::vector<std::pair<char, Place>> children) {
    const State state = all_.state();
    for (const auto& [c, place] : children) all_.byte(state, c, state_of(place));
    nodes_.push_back({state, std::move(children)});
    return {.id = static_cast<uint32_t>(nodes_.size() - 1)};
  }

  HunkAutomaton& all_;
  std::vector<Leaf> leaves_;
  std::vector<Node> nodes_;
};

TextTrees::Place TextTrees::with(Place tree, std::string_view text,
                                 const std::function<uint32_t(uint32_t)>& make) {
  std::vector<uint32_t> path;  // nodes, by depth
  Place at = tree;
  while (!at.nowhere() && !at.leaf) {
    path.push_back(at.id);
    Place next;
    for (const auto& [c, child] : nodes_[at.id].children)
      if (c == text[path.size() - 1]) next = child;
    at = next;
  }
  const auto depth = static_cast<uint32_t>(path.size());
  Place out;
  if (at.nowhere() || leaves_[at.id].text == text) {
    out = {.id = make(at.nowhere() ? kNowhere : at.id), .depth = depth, .leaf = true};
  } else {  // another text, the same up to here: they part further down
    const std::string_view other = leaves_[at.id].text;
    const auto parting = static_cast<uint32_t>(std::ranges::mismatch(text, other).in1 - text.begin());
    const Place mine{.id = make(kNowhere), .depth = parting + 1, .leaf = true};
    const Place others{.id = at.id, .depth = parting + 1, .leaf = true};
    out = node({{text[parting], mine}, {other[parting], others}});
    for (uint32_t i = parting; i > depth; --i) out = node({{text[i - 1], out}});
  }
  for (size_t i = path.size(); i-- > 0;) {
    std::vector<std::pair<char, Place>> children = nodes_[path[i]].children;
    const auto known = std::ranges::find(children, text[i], [](const auto& child) { return child.first; });
    if (known == children.end())
      children.emplace_back(text[i], out);
    else
      known->second = out;
    out = node(std::move(children));
  }
  return out;
}

size_t indented_by(std::string_view text) { return text.find_first_not_of(" \t"); }

// Lines that begin something: those without indentation, and those whose next line, blank ones aside, is
// indented deeper.
std::vector<bool> headings(std::span<const TextLine> lines) {
  std::vector<bool> begins(lines.size());
  size_t next = 0;
  for (size_t i = lines.size(); i-- > 0;) {
    const size_t here = indented_by(lines[i].text);
    begins[i] = here == 0 || (here != std::string_view::npos && next > here);
    if (here != std::string_view::npos) next = here;
  }
  return begins;
}

// What a line is named by as an anchor, where it may be one without leading further than itself: it is found
// as a whole, by the pass that finds it first.
std::vector<std::string> anchor_texts(std::span<const TextLine> lines) {
  std::set<std::string_view> right_trimmed_lines;
  for (const TextLine& one : lines) right_trimmed_lines.insert(right_trimmed(one.text));
  const std::vector<bool> begins = headings(lines);
  std::vector<std::string> texts;
  for (const TextLine& one : lines) {
    if (!begins[texts.size()]) {
      texts.emplace_back();
      continue;
    }
    const std::string_view anchor = trimmed(one.text);
    const bool letter = !anchor.empty() && ((anchor[0] >= 'a' && anchor[0] <= 'z') ||
                                            (anchor[0] >= 'A' && anchor[0] <= 'Z') || anchor[0] == '_');
    const bool reaches_itself = one.text == anchor || !right_trimmed_lines.contains(anchor);
    texts.emplace_back(letter && reaches_itself && !anchor.ends_with("@@") && is_line_usable(anchor) ? anchor
                                                                                                     : "");
  }
  return texts;
}

// Hunks over lines 0 to n. For each place p: `after` a hunk that ended there, a hunk that is `bare` (without
// an anchor) or `anchored`, with only added lines so far (bare_added, anchored_added), `in` a block whose
// next line is p.
class HunkWriter {
 public:
  HunkWriter(GrammarBuilder& builder, const HunkParts& parts, std::span<const TextLine> lines)
      : b_(builder), parts_(parts), all_(builder), trees_(all_), n_(static_cast<uint32_t>(lines.size())) {
    for (const TextLine& line : lines)
      texts_.push_back(is_line_usable(line.text) ? parts.line(line.text) : std::string());
    for (const std::string& anchor : anchor_texts(lines))
      anchor_texts_.push_back(anchor.empty() ? std::string() : parts.line(anchor));
  }

  Result<ExprId> write() {
    const State start = all_.state();
    after_ = all_.states(n_ + 1), bare_ = all_.states(n_ + 1), bare_added_ = all_.states(n_ + 1);
    anchored_ = all_.states(n_ + 1), anchored_added_ = all_.states(n_ + 1), in_ = all_.states(n_ + 1);
    kept_ = b_.chars({{' ', ' '}, {'-', '-'}});
    separator_ = b_.bytes(parts_.line("@@")), heading_ = b_.bytes("@@ ");
    Place lines, anchors;
    for (uint32_t p = n_ + 1; p-- > 0;) {
      if (p < n_ && !texts_[p].empty())
        lines = trees_.with(lines, texts_[p], [&](uint32_t known) { return leaf_before(p + 1, known, 1); });
      if (p < n_ && !anchor_texts_[p].empty())
        anchors = trees_.with(anchors, anchor_texts_[p],
                              [&](uint32_t) { return trees_.leaf(anchor_texts_[p], anchored_ + p + 1); });
      add_place(p, lines, anchors);
      if (all_.full() || b_.full())
        return fail(ErrorCode::kLimit, "patch: the files are too long to be offered line by line");
    }
    add_headings(start, bare_, anchors);
    return all_.finish();
  }

 private:
  using Place = TextTrees::Place;
  // Places in ascending order, as they are found: the first of all, and the set of the others.
  struct Places {
    uint32_t first;
    State state;  // in a block that may be before any of them
    Place tree;   // of what comes next there
  };

  void add_headings(State from, State bare, Place anchors) {
    all_.edge(from, separator_, bare);
    if (!anchors.nowhere()) all_.edge(from, heading_, trees_.state_of(anchors));
  }

  // `lines`, `anchors`: those from line p on.
  void add_place(uint32_t p, Place lines, Place anchors) {
    all_.accept(after_ + p);
    add_headings(after_ + p, bare_ + p, anchors);
    for (const auto& [state, with_added] : {std::pair(bare_, bare_added_),
                                            {bare_added_, bare_added_},
                                            {anchored_, anchored_added_},
                                            {anchored_added_, anchored_added_}}) {
      all_.edge(state + p, parts_.added, with_added + p);
      if (!lines.nowhere()) all_.edge(state + p, kept_, trees_.state_of(lines));
    }
    // Added lines alone go behind the anchor, without one to the end.
    all_.jump(bare_added_ + p, after_ + n_);
    all_.jump(anchored_added_ + p, after_ + p);
    add_block(
        in_ + p, p,
        p < n_ && !texts_[p].empty() ? Place{.id = leaf_before(p + 1, kNowhere, 1), .leaf = true} : Place());
  }

  // In a block: lines are added, it ends, which is where it stands first, or it goes on.
  void add_block(State state, uint32_t first, Place next) {
    all_.edge(state, parts_.added, state);
    all_.jump(state, after_ + first);
    if (!next.nowhere()) all_.edge(state, kept_, trees_.state_of(next));
  }

  // The leaf of the line before p, and before the places that `known` leads to, which come later.
  uint32_t leaf_before(uint32_t p, uint32_t known, size_t level) {
    const uint32_t places = extended(known == kNowhere ? kNowhere : places_of_.at(known), p, level);
    const auto [leaf, is_new] = leaf_of_.try_emplace(places, kNowhere);
    if (is_new) {
      leaf->second = trees_.leaf(texts_[p - 1], places_[places].state);
      places_of_.emplace(leaf->second, places);
      // A block in front of it needs all of the way, trees only the end: made first, it serves them too.
      if (places_[places].state == in_ + p) trees_.state_of({.id = leaf->second, .leaf = true});
    }
    return leaf->second;
  }

  // `others` and p, which comes before them.
  uint32_t extended(uint32_t others, uint32_t p, size_t level) {
    if (level > kMaxSameLines) others = kNowhere;
    const uint64_t key = static_cast<uint64_t>(others) << 32 | p;
    if (const auto known = known_.find(key); known != known_.end()) return known->second;
    Places now{.first = p, .state = in_ + p, .tree = {}};
    if (others != kNowhere) {
      now.tree = tree_of(others);
      if (p < n_ && !texts_[p].empty())
        now.tree = trees_.with(now.tree, texts_[p],
                               [&](uint32_t known) { return leaf_before(p + 1, known, level + 1); });
      now.state = all_.state();
      add_block(now.state, p, now.tree);
    }
    places_.push_back(now);
    const auto id = static_cast<uint32_t>(places_.size() - 1);
    known_.emplace(key, id);
    return id;
  }

  Place tree_of(uint32_t places) {
    const Places& known = places_[places];
    if (known.state != in_ + known.first) return known.tree;
    // One place: its one next line.
    const uint32_t p = known.first;
    if (p == n_ || texts_[p].empty()) return {};
    return {.id = leaf_before(p + 1, kNowhere, 1), .leaf = true};
  }

  GrammarBuilder& b_;
  const HunkParts& parts_;
  HunkAutomaton all_;
  TextTrees trees_;
  uint32_t n_;
  std::vector<std::string> texts_, anchor_texts_;  // as written; empty: not to be offered
  State after_ = 0, bare_ = 0, bare_added_ = 0, anchored_ = 0, anchored_added_ = 0, in_ = 0;
  ExprId kept_{}, separator_{}, heading_{};
  std::vector<Places> places_;
  std::unordered_map<uint64_t, uint32_t> known_;                // (others, p) → places
  std::unordered_map<uint32_t, uint32_t> leaf_of_, places_of_;  // places → leaf, and back
};

}  // namespace

bool is_line_usable(std::string_view text) {
  return text.size() <= kMaxLineText && std::ranges::none_of(text, is_control_byte) && is_utf8(text);
}

Result<ExprId> hunk_language(GrammarBuilder& builder, const HunkParts& parts, const PatchableFile& file) {
  ATELIER_TRY(const TextFile parsed, TextFile::parse(file.path, file.content));
  return HunkWriter(builder, parts, parsed.lines).write();
}

}  // namespace atelier::agent
