#include "agent/harness/turn_rules.h"

#include <algorithm>
#include <array>
#include <map>

#include "agent/harness/call_grammar.h"

namespace atelier::agent {
namespace {

using constraint::Constraint;
using constraint::ConstraintMatcher;

void set(std::span<uint64_t> mask, TokenId id) {
  mask[static_cast<size_t>(id) / 64] |= uint64_t{1} << (static_cast<size_t>(id) % 64);
}
bool has(std::span<const uint64_t> mask, TokenId id) {
  return (mask[static_cast<size_t>(id) / 64] >> (static_cast<size_t>(id) % 64) & 1) != 0;
}

}  // namespace

struct TurnRules::Shared {
  TurnRulesOptions options;
  std::shared_ptr<const constraint::TokenTrie> trie;
  std::vector<uint64_t> text;  // every token that is text
  std::map<std::string, std::shared_ptr<Constraint>, std::less<>> compiled;
  std::shared_ptr<Constraint> output;  // null: text

  const chat::Dialect& dialect() const { return *options.dialect; }
  const Tokenizer& tokenizer() const { return options.dialect->tokenizer(); }

  void read_vocabulary() {
    trie = constraint::TokenTrie::build(tokenizer());
    text.assign(token_mask_words(tokenizer().vocab_size()), 0);
    for (size_t id = 0; id < tokenizer().vocab_size(); ++id) {
      const auto token = static_cast<TokenId>(id);
      if (!tokenizer().is_special(token) && !tokenizer().token_bytes(token).empty()) set(text, token);
    }
  }

  Result<std::shared_ptr<Constraint>> bind(Result<std::shared_ptr<const constraint::Grammar>> grammar) const {
    if (!grammar) return tl::unexpected<Error>(std::move(grammar).error());
    return Constraint::create(std::move(*grammar), trie);
  }

  // `make` is called for a key that is new.
  template <class Make>
  Result<std::shared_ptr<Constraint>> cached(const std::string& key, Make&& make) {
    if (const auto found = compiled.find(key); found != compiled.end()) return found->second;
    ATELIER_TRY(std::shared_ptr<Constraint> made, bind(make()));
    compiled[key] = made;
    return made;
  }

  Result<std::shared_ptr<Constraint>> arguments_of(const Tool& tool) {
    return cached("arguments " + tool.spec().name,
                  [&] { return json_grammar(options.toolbox->arguments_schema(tool)); });
  }
  Result<std::shared_ptr<Constraint>> call(const std::string& key) {
    return cached("call " + key, [&] {
      std::vector<CallableTool> tools;
      for (const auto& tool : options.toolbox->tools())
        tools.push_back({options.toolbox->name_of(*tool), options.toolbox->arguments_schema(*tool)});
      return call_grammar(tools, key);
    });
  }
  Result<std::shared_ptr<Constraint>> tagged(const std::string& tag, TaggedText endings) {
    return cached(fmt::format("tagged {}{}", endings.text, endings.calls),
                  [&] { return tagged_text_grammar(tag, endings); });
  }
  Result<std::shared_ptr<Constraint>> literal(const std::string& text_in) {
    return cached("literal " + text_in,
                  [&] { return tagged_text_grammar(text_in, {.text = false, .calls = true}); });
  }
};

namespace {

// Harmony: headers by the dialect's mask, the body of a call by its tool's schema, everything else as text
// that ends as its channel ends.
class HarmonyConstraint final : public TurnConstraint {
 public:
  template <class Shared>
  HarmonyConstraint(std::shared_ptr<Shared> shared, const chat::Conversation& conversation)
      : headers_(shared->dialect().new_header_mask(conversation)),
        text_(shared->text),
        output_(shared->output) {
    const Tokenizer& tokenizer = shared->tokenizer();
    end_ = tokenizer.find_token("<|end|>").value_or(-1);
    return_ = tokenizer.find_token("<|return|>").value_or(-1);
    call_ = tokenizer.find_token("<|call|>").value_or(-1);
    tokenizer_ = &tokenizer;
    arguments_of_ = [shared](const std::string& name) -> std::shared_ptr<Constraint> {
      const Tool* tool = shared->options.toolbox->find(name);
      if (tool == nullptr) return nullptr;
      const auto constraint = shared->arguments_of(*tool);
      return constraint ? *constraint : nullptr;
    };
  }

  Result<bool> allowed(std::span<uint64_t> mask) override {
    if (section_ == chat::Section::kHeader || section_ == chat::Section::kOutside) return header_mask(mask);
    if (matcher_) {
      ATELIER_CHECK_OK(matcher_->allowed(mask));
      if (matcher_->can_end()) set(mask, section_ == chat::Section::kArguments ? call_ : return_);
      return true;
    }
    if (section_ == chat::Section::kArguments) return false;  // a tool we do not know
    std::ranges::copy(text_, mask.begin());
    set(mask, section_ == chat::Section::kFinal ? return_ : end_);
    return true;
  }

  void push(TokenId token, const chat::Parser& parser, const std::string& call) override {
    headers_->push(token);
    const chat::Section before = std::exchange(section_, parser.section());
    if (section_ != before) {
      matcher_.reset();
      if (section_ == chat::Section::kArguments)
        begin(arguments_of_(call));
      else if (section_ == chat::Section::kFinal)
        begin(output_);
    } else if (matcher_ && !matcher_->accept(token, *tokenizer_)) {
      matcher_.reset();
    }
  }

  bool inside() const override { return matcher_.has_value(); }

 private:
  void begin(const std::shared_ptr<Constraint>& constraint) {
    if (constraint) matcher_.emplace(constraint);
  }
  bool header_mask(std::span<uint64_t> mask) const {
    const auto ids = headers_->allowed();
    if (!ids || ids->empty()) return false;
    std::ranges::fill(mask, 0);
    for (const TokenId id : *ids) set(mask, id);
    return true;
  }

  std::unique_ptr<chat::HeaderMask> headers_;
  std::vector<uint64_t> text_;
  std::shared_ptr<Constraint> output_;
  std::function<std::shared_ptr<Constraint>(const std::string&)> arguments_of_;
  const Tokenizer* tokenizer_ = nullptr;
  TokenId end_ = -1, return_ = -1, call_ = -1;
  chat::Section section_ = chat::Section::kHeader;
  std::optional<ConstraintMatcher> matcher_;
};

// Dialects whose calls stand in the text. A turn is one of several paths; a path is a chain of grammars, each
// beginning where the last one ended.
class TextConstraint final : public TurnConstraint {
 public:
  using Path = std::vector<std::shared_ptr<Constraint>>;

  TextConstraint(const chat::Dialect& dialect, std::vector<Path> paths)
      : tokenizer_(dialect.tokenizer()), stops_(dialect.stop_tokens()) {
    for (Path& path : paths) alive_.push_back({std::move(path), 0, std::nullopt});
    for (Walker& walker : alive_) walker.matcher.emplace(walker.path[0]);
    part_.resize(token_mask_words(tokenizer_.vocab_size()));
  }

  Result<bool> allowed(std::span<uint64_t> mask) override {
    if (alive_.empty()) return false;
    std::ranges::fill(mask, 0);
    for (Walker& walker : alive_) {
      ATELIER_CHECK_OK(walker.matcher->allowed(part_));
      for (size_t i = 0; i < mask.size(); ++i) mask[i] |= part_[i];
      if (can_stop(walker))
        for (const TokenId id : stops_) set(mask, id);
    }
    return true;
  }

  void push(TokenId token, const chat::Parser&, const std::string&) override {
    std::erase_if(alive_, [&](Walker& walker) { return !walker.matcher->accept(token, tokenizer_); });
    for (Walker& walker : alive_)
      while (walker.matcher->is_complete() && walker.at + 1 < walker.path.size())
        walker.matcher.emplace(walker.path[++walker.at]);
  }

  bool complete() override {
    return std::ranges::any_of(alive_, [](Walker& walker) {
      return walker.at + 1 == walker.path.size() && walker.matcher->is_complete();
    });
  }

  bool inside() const override {
    return !alive_.empty() && std::ranges::all_of(alive_, [](const Walker& walker) { return walker.at > 0; });
  }

 private:
  struct Walker {
    Path path;
    size_t at = 0;
    std::optional<ConstraintMatcher> matcher;
  };
  // Text may end anywhere, a call only where it is whole.
  static bool can_stop(Walker& walker) {
    return (walker.at == 0 || walker.at + 1 == walker.path.size()) && walker.matcher->can_end();
  }

  const Tokenizer& tokenizer_;
  std::vector<TokenId> stops_;
  std::vector<Walker> alive_;
  std::vector<uint64_t> part_;
};

}  // namespace

TurnRules::~TurnRules() = default;

Result<std::unique_ptr<TurnRules>> TurnRules::create(TurnRulesOptions options) {
  auto shared = std::make_shared<Shared>();
  shared->options = std::move(options);
  shared->read_vocabulary();
  if (!shared->options.output_schema.empty()) {
    ATELIER_TRY(shared->output, shared->bind(json_grammar(shared->options.output_schema)));
  }
  return std::unique_ptr<TurnRules>(new TurnRules(std::move(shared)));
}

Result<std::unique_ptr<TurnConstraint>> TurnRules::begin(const chat::Conversation& conversation) {
  const std::string_view dialect = shared_->dialect().name();
  if (!shared_->options.constrain) return nullptr;
  if (dialect == "harmony") return std::make_unique<HarmonyConstraint>(shared_, conversation);
  using Choice = chat::ToolChoice::Kind;
  const bool calls = conversation.tool_choice.kind != Choice::kNone && !conversation.tools.empty();
  const bool must_call = calls && conversation.tool_choice.kind != Choice::kAuto;
  const bool text = !must_call && !shared_->output;
  std::vector<TextConstraint::Path> paths;
  if (shared_->output && !must_call) paths.push_back({shared_->output});
  if (dialect == "chatml") {
    if (text || calls) {
      ATELIER_TRY(auto start, shared_->tagged("<tool_call>\n", {.text = text, .calls = calls}));
      TextConstraint::Path path = {std::move(start)};
      if (calls) {
        ATELIER_TRY(auto call, shared_->call("arguments"));
        ATELIER_TRY(auto end, shared_->literal("\n</tool_call>"));
        path.insert(path.end(), {std::move(call), std::move(end)});
      }
      paths.push_back(std::move(path));
    }
  } else if (dialect == "llama3") {
    if (calls) {
      ATELIER_TRY(auto call, shared_->call("parameters"));
      paths.push_back({std::move(call)});
    }
    if (text) {
      ATELIER_TRY(auto said, shared_->cached("llama3 text", [] { return untagged_text_grammar(); }));
      paths.push_back({std::move(said)});
    }
  } else {
    return nullptr;
  }
  return std::make_unique<TextConstraint>(shared_->dialect(), std::move(paths));
}

TokenId closing_token(std::span<const uint64_t> mask, const Tokenizer& tokenizer) {
  constexpr std::array<std::string_view, 12> kOrder = {"\"", "}", "]", "0", ":", "{",
                                                       "[",  "e", "l", "s", "/", "."};
  for (const std::string_view text : kOrder)
    if (const auto id = tokenizer.find_token(text); id && has(mask, *id)) return *id;
  return -1;
}

}  // namespace atelier::agent
