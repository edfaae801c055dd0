#include "chat/turn_constraint.h"

#include <algorithm>
#include <map>
#include <optional>

#include "chat/harmony.h"
#include "chat/turn_grammar.h"
#include "engine/token_filter.h"

namespace atelier::chat {
namespace {

using constraint::Constraint;
using constraint::ConstraintCache;
using constraint::ConstraintMatcher;
using ConstraintPtr = std::shared_ptr<Constraint>;

void allow(std::span<uint64_t> mask, TokenId id) {
  mask[static_cast<size_t>(id) / 64] |= uint64_t{1} << (static_cast<size_t>(id) % 64);
}

bool calls_allowed(const Conversation& conversation) {
  return conversation.tool_choice.kind != ToolChoice::Kind::kNone &&
         !(conversation.tools.empty() && conversation.builtin_tools.empty());
}
bool call_required(const Conversation& conversation) {
  return calls_allowed(conversation) && conversation.tool_choice.kind != ToolChoice::Kind::kAuto;
}

// Harmony: headers by the dialect's mask, the body of a call by its tool's schema, that of the answer by its
// form, all others as text that ends as its channel ends.
class HarmonyTurn final : public TurnConstraint {
 public:
  static Result<std::unique_ptr<TurnConstraint>> create(const Dialect& dialect,
                                                        const Conversation& conversation,
                                                        std::shared_ptr<ConstraintCache> constraints,
                                                        const TurnConstraintOptions& options) {
    auto turn = std::make_unique<HarmonyTurn>();
    turn->headers_ = dialect.new_header_mask(conversation);
    ATELIER_TRY(turn->end_, control_token(dialect.tokenizer(), "<|end|>"));
    ATELIER_TRY(turn->return_, control_token(dialect.tokenizer(), "<|return|>"));
    ATELIER_TRY(turn->call_, control_token(dialect.tokenizer(), "<|call|>"));
    if (calls_allowed(conversation)) {
      for (const FunctionTool& tool : conversation.tools)
        ATELIER_CHECK_OK(turn->add_tool("", tool, *constraints, options));
      for (const BuiltinTool builtin : conversation.builtin_tools) {
        const harmony::ToolNamespace space = harmony::builtin_namespace(builtin);
        for (const FunctionTool& tool : space.tools)
          ATELIER_CHECK_OK(turn->add_tool(space.name + ".", tool, *constraints, options));
      }
    }
    ATELIER_TRY(turn->answer_, answer_constraint(conversation.response_format, *constraints));
    turn->constraints_ = std::move(constraints);
    return turn;
  }

  Result<bool> allowed(std::span<uint64_t> mask) override {
    if (section_ == Section::kHeader || section_ == Section::kOutside) return header_mask(mask);
    if (matcher_) {
      ATELIER_CHECK_OK(matcher_->allowed(mask));
      if (matcher_->can_end()) allow(mask, section_ == Section::kArguments ? call_ : return_);
      return true;
    }
    std::ranges::copy(constraints_->text_mask(), mask.begin());
    allow(mask, section_ == Section::kFinal ? return_ : section_ == Section::kArguments ? call_ : end_);
    return true;
  }

  void push(TokenId token, const Parser& parser, const std::string& call) override {
    headers_->push(token);
    const Section before = std::exchange(section_, parser.section());
    if (section_ != before) {
      matcher_.reset();
      if (section_ == Section::kArguments) {
        if (const auto tool = arguments_.find(call); tool != arguments_.end()) matcher_.emplace(tool->second);
      } else if (section_ == Section::kFinal && answer_) {
        matcher_.emplace(answer_);
      }
    } else if (matcher_ && !matcher_->accept(token, constraints_->tokenizer())) {
      matcher_.reset();  // sampled by somebody who did not ask
    }
  }

  bool inside() override { return matcher_.has_value(); }
  std::string forced(size_t max_bytes) override {
    return matcher_ ? matcher_->forced(max_bytes) : std::string();
  }
  std::string completion(std::string_view first) override {
    return matcher_ ? matcher_->completion(first) : std::string();
  }

 private:
  // `space`: "browser." in front of the names of built-in tools.
  Status add_tool(const std::string& space, FunctionTool tool, ConstraintCache& constraints,
                  const TurnConstraintOptions& options) {
    tool.name = space + tool.name;
    ATELIER_TRY(arguments_[tool.name], constraints.get("arguments " + arguments_key(tool, options),
                                                       [&] { return compile_arguments(tool, options); }));
    return {};
  }
  bool header_mask(std::span<uint64_t> mask) const {
    const auto ids = headers_->allowed();
    if (!ids || ids->empty()) return false;
    std::ranges::fill(mask, 0);
    for (const TokenId id : *ids) allow(mask, id);
    return true;
  }

  std::shared_ptr<ConstraintCache> constraints_;
  std::unique_ptr<HeaderMask> headers_;
  std::map<std::string, ConstraintPtr, std::less<>> arguments_;  // by the call's name
  ConstraintPtr answer_;                                         // null: text
  TokenId end_ = -1, return_ = -1, call_ = -1;
  Section section_ = Section::kHeader;
  std::optional<ConstraintMatcher> matcher_;
};

// Dialects whose turn is one text: it goes one of several ways, each with a grammar of its own; before them
// may come reasoning.
class TextTurn final : public TurnConstraint {
 public:
  struct Way {
    ConstraintPtr constraint;
    std::vector<TokenId> tags{};  // control tokens that are as good as their text
  };
  struct Options {
    std::optional<Way> reasoning{};
    bool must_reason = false;  // the prompt has begun it
    std::vector<Way> ways{};
  };

  TextTurn(const Dialect& dialect, std::shared_ptr<ConstraintCache> constraints, Options options)
      : constraints_(std::move(constraints)), stops_(dialect.stop_tokens()), options_(std::move(options)) {
    if (options_.reasoning) reasoning_.emplace(*options_.reasoning);
    if (!options_.must_reason) begin_ways();
  }

  Result<bool> allowed(std::span<uint64_t> mask) override {
    if (alive_.empty() && !reasoning_) return false;  // sampled by somebody who did not ask
    std::ranges::fill(mask, 0);
    bool can_end = false;
    if (reasoning_) {
      ATELIER_CHECK_OK(add(*reasoning_, mask));
    }
    for (Walker& walker : alive_) {
      ATELIER_CHECK_OK(add(walker, mask));
      can_end |= walker.matcher.can_end();
    }
    if (can_end)
      for (const TokenId id : stops_) allow(mask, id);
    return true;
  }

  void push(TokenId token, const Parser&, const std::string&) override {
    begun_ = true;
    std::erase_if(alive_, [&](Walker& walker) { return !accept(walker, token); });
    if (!reasoning_) return;
    if (!accept(*reasoning_, token)) {
      reasoning_.reset();
    } else if (reasoning_->matcher.can_end()) {
      alive_.clear();
      begin_ways();
      begun_ = false;
    }
  }

  bool complete() override {
    return !reasoning_ &&
           std::ranges::any_of(alive_, [](Walker& walker) { return walker.matcher.is_complete(); });
  }

  bool inside() override {
    return begun_ && !alive_.empty() &&
           std::ranges::none_of(alive_, [](Walker& walker) { return walker.matcher.can_end(); });
  }

  std::string forced(size_t max_bytes) override {
    return alive_.size() == 1 && !reasoning_ ? alive_[0].matcher.forced(max_bytes) : std::string();
  }

  std::string completion(std::string_view first) override {
    return alive_.empty() || reasoning_ ? std::string() : alive_[0].matcher.completion(first);
  }

 private:
  struct Walker {
    explicit Walker(const Way& way) : matcher(way.constraint), tags(&way.tags) {}
    ConstraintMatcher matcher;
    const std::vector<TokenId>* tags;
  };

  void begin_ways() {
    for (const Way& way : options_.ways) alive_.emplace_back(way);
  }
  Status add(Walker& walker, std::span<uint64_t> mask) {
    part_.resize(mask.size());
    ATELIER_CHECK_OK(walker.matcher.allowed(part_));
    for (size_t i = 0; i < mask.size(); ++i) mask[i] |= part_[i];
    for (const TokenId id : *walker.tags) {
      if (!accept(walker, id)) continue;
      walker.matcher.rollback(1);
      allow(mask, id);
    }
    return {};
  }
  bool accept(Walker& walker, TokenId token) const {
    const Tokenizer& tokenizer = constraints_->tokenizer();
    if (std::ranges::find(*walker.tags, token) == walker.tags->end())
      return walker.matcher.accept(token, tokenizer);
    return has_place_for_tag(walker, tokenizer.token_bytes(token)) &&
           walker.matcher.accept(token, tokenizer.token_bytes(token));
  }
  // Inside of a call any text may stand where a string does; a tag only ends it. Elsewhere what is nearly a
  // tag is no more legal, or the turn could as well end here.
  bool has_place_for_tag(Walker& walker, std::string_view tag) const {
    if (reasoning_ && &walker == &*reasoning_) return true;
    if (walker.matcher.can_end()) return true;
    if (!walker.matcher.accept_text(std::string(tag.substr(0, tag.size() - 1)) + '~')) return true;
    walker.matcher.rollback(1);
    return false;
  }

  std::shared_ptr<ConstraintCache> constraints_;
  std::vector<TokenId> stops_;
  Options options_;
  std::optional<Walker> reasoning_;
  std::vector<Walker> alive_;
  bool begun_ = false;
  std::vector<uint64_t> part_;
};

// What a turn's grammar depends on, and nothing else.
std::string turn_key(std::string_view dialect, const Conversation& conversation, const TurnParts& parts,
                     const TurnConstraintOptions& options) {
  std::string key = fmt::format("turn {} {}{}{} {}", dialect, parts.text, parts.calls,
                                conversation.parallel_tool_calls, conversation.tool_choice.name);
  if (parts.calls)
    for (const FunctionTool& tool : conversation.tools) key += "\n" + arguments_key(tool, options);
  return key;
}

Result<std::unique_ptr<TurnConstraint>> make_text_turn(const Dialect& dialect,
                                                       const Conversation& conversation,
                                                       const std::shared_ptr<ConstraintCache>& constraints,
                                                       const TurnConstraintOptions& turn_options) {
  ATELIER_TRY(const ConstraintPtr answer, answer_constraint(conversation.response_format, *constraints));
  const bool must_call = call_required(conversation), may_call = calls_allowed(conversation);
  if (!may_call && !answer) return nullptr;
  const std::optional<TurnSyntax> syntax = dialect.turn_syntax(parser_options(conversation));
  if (may_call && (!syntax || syntax->arguments_key.empty()))
    return fail(ErrorCode::kUnsupported,
                "tools: expected a model whose way to call them is known, found dialect {}", dialect.name());
  TextTurn::Options options;
  if (answer && !must_call) options.ways.push_back({answer});
  if (may_call) {
    const TurnParts parts{.text = !must_call && !answer, .calls = true};
    ATELIER_TRY(ConstraintPtr calls,
                constraints->get(turn_key(dialect.name(), conversation, parts, turn_options),
                                 [&] { return compile_turn(conversation, *syntax, parts, turn_options); }));
    options.ways.push_back({std::move(calls), syntax->call_tokens});
  }
  if (syntax && !syntax->reasoning_close.empty()) {
    options.must_reason = syntax->prompt_opens_reasoning;
    ATELIER_TRY(ConstraintPtr reasoning,
                constraints->get(fmt::format("reasoning {} {}", options.must_reason, dialect.name()),
                                 [&] { return compile_reasoning(*syntax, options.must_reason); }));
    options.reasoning = TextTurn::Way{std::move(reasoning), syntax->reasoning_tokens};
  }
  return std::make_unique<TextTurn>(dialect, constraints, std::move(options));
}

}  // namespace

Result<ConstraintPtr> answer_constraint(const ResponseFormat& format, ConstraintCache& constraints) {
  switch (format.kind) {
    case ResponseFormat::Kind::kText:
      return nullptr;
    case ResponseFormat::Kind::kJsonObject:
      return constraints.json_schema("{}", {.object_only = true});
    case ResponseFormat::Kind::kJsonSchema:
      return constraints.json_schema(format.schema);
    case ResponseFormat::Kind::kRegex:
      return constraints.regex(format.schema);
    case ResponseFormat::Kind::kGrammar:
      return constraints.gbnf(format.schema);
  }
  return nullptr;
}

Result<std::unique_ptr<TurnConstraint>> make_turn_constraint(const Dialect& dialect,
                                                             const Conversation& conversation,
                                                             std::shared_ptr<ConstraintCache> constraints,
                                                             const TurnConstraintOptions& options) {
  if (dialect.name() == "harmony")
    return HarmonyTurn::create(dialect, conversation, std::move(constraints), options);
  return make_text_turn(dialect, conversation, constraints, options);
}

}  // namespace atelier::chat
