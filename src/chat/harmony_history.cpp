#include "chat/harmony_history.h"

#include "chat/harmony_header.h"

namespace atelier::chat::harmony {
namespace {

// One message in a run of ids.
struct Stretch {
  size_t begin = 0;
  size_t end = 0;
  bool has_body = false;
  bool closed = false;  // ends in an end token
  Header header;
};

class Splitter {
 public:
  Splitter(const Tokenizer& tokenizer, const ControlTokens& ids) : tokenizer_(tokenizer), ids_(ids) {}

  std::vector<Stretch> split(std::span<const TokenId> history) {
    for (size_t i = 0; i < history.size(); ++i) read(history[i], i);
    close(history.size());
    return std::move(stretches_);
  }

 private:
  void read(TokenId id, size_t at) {
    const bool restart = id == ids_.channel && open_ && current_.has_body;  // as the parser reads it
    if (id == ids_.start || restart) close(at);
    if (!open_) open(at, id != ids_.start);
    if (ids_.ends_message(id)) {
      current_.closed = true;
      close(at + 1);
    } else if (!current_.has_body) {
      read_header(id);
    }
  }

  void read_header(TokenId id) {
    if (id == ids_.message)
      current_.has_body = true;
    else if (id == ids_.channel)
      reader_.channel();
    else if (id == ids_.constrain)
      reader_.constrain();
    else if (id != ids_.start)
      reader_.text(tokenizer_.token_bytes(id));
  }

  void open(size_t at, bool implied) {
    open_ = true;
    current_ = {};
    current_.begin = at;
    reader_.start(implied);
  }

  void close(size_t at) {
    if (!open_) return;
    open_ = false;
    current_.end = at;
    current_.header = reader_.parse();
    stretches_.push_back(std::move(current_));
  }

  const Tokenizer& tokenizer_;
  const ControlTokens& ids_;
  std::vector<Stretch> stretches_;
  Stretch current_;
  HeaderReader reader_;
  bool open_ = false;
};

// One past the last final answer that a user's message follows, in `stretches` or after them.
size_t finished_until(const std::vector<Stretch>& stretches, bool new_turn) {
  bool user_follows = new_turn;
  for (size_t i = stretches.size(); i-- > 0;) {
    const Header& header = stretches[i].header;
    if (header.role == "user") user_follows = true;
    if (user_follows && header.by_assistant() && header.channel == "final") return i + 1;
  }
  return 0;
}

}  // namespace

std::vector<TokenId> closed_history(std::span<const TokenId> history, const Tokenizer& tokenizer,
                                    const ControlTokens& ids, bool new_turn) {
  const std::vector<Stretch> stretches = Splitter(tokenizer, ids).split(history);
  const size_t finished = finished_until(stretches, new_turn);
  std::vector<TokenId> kept;
  kept.reserve(history.size() + 1);
  for (size_t i = 0; i < stretches.size(); ++i) {
    const Stretch& stretch = stretches[i];
    if (i < finished && stretch.header.channel == "analysis") continue;
    if (!stretch.has_body && !stretch.closed) continue;
    const auto ids_of = history.subspan(stretch.begin, stretch.end - stretch.begin);
    kept.insert(kept.end(), ids_of.begin(), ids_of.end());
    if (!stretch.closed)
      kept.push_back(stretch.header.is_call() ? ids.call : ids.end);
    else if (kept.back() == ids.ret || kept.back() == ids.endoftext)
      kept.back() = ids.end;
  }
  return kept;
}

}  // namespace atelier::chat::harmony
