#include "agent/harness/turn_rules.h"

#include <array>
#include <utility>

#include "agent/context/shown_files.h"
#include "agent/patch/patch_guard.h"
#include "agent/patch/patch_scope.h"
#include "agent/patch/replace_language.h"
#include "engine/constraint/json_schema.h"

namespace atelier::agent {
namespace {

constexpr std::string_view kPatchTool = "apply_patch";
constexpr std::string_view kEndOfPatch = "*** End Patch";
constexpr std::string_view kReplaceTool = "replace";
// Of the files whose lines are offered, all together.
constexpr std::array<size_t, 4> kMaxBytes = {384 << 10, 96 << 10, 24 << 10, 0};

using Scope = std::shared_ptr<const PatchScope>;

// {"patch": "…"} with a patch that applies to what is there.
chat::ArgumentsLanguage patch_arguments(const Scope& scope, const std::string& key) {
  return {
      .key = "patch " + key, .build = [scope](constraint::JsonLanguage& json) -> Result<constraint::ExprId> {
        constraint::GrammarBuilder& builder = json.builder();
        ATELIER_TRY(const constraint::ExprId patch, patch_language(builder, *scope, PatchSpelling::kJson));
        return json.braced(
            builder.sequence({json.quoted(builder.bytes("patch")), json.colon(), json.quoted(patch)}));
      }};
}

// {"path": …, "old": …, "new": …} with a piece of text that is there.
chat::ArgumentsLanguage replace_arguments(const Scope& scope, const std::string& key) {
  return {.key = "replace " + key,
          .build = [scope](constraint::JsonLanguage& json) { return replace_language(json, *scope); }};
}

chat::ArgumentsLanguage schema_arguments(const std::string& schema) {
  return {.key = "schema " + schema, .build = [schema](constraint::JsonLanguage& json) {
            return constraint::json_schema_expr(schema, json, {.object_only = true});
          }};
}

// A turn whose patches may not end before they change something, and name no file twice.
class GuardedTurn final : public chat::TurnConstraint {
 public:
  GuardedTurn(std::unique_ptr<chat::TurnConstraint> turn, const Workspace& workspace,
              const Tokenizer& tokenizer, const Scope& scope)
      : turn_(std::move(turn)), guard_(workspace, tokenizer, scope), tokenizer_(tokenizer) {}

  Result<bool> allowed(std::span<uint64_t> mask) override {
    ATELIER_TRY(const bool masked, turn_->allowed(mask));
    if (masked && in_call_) guard_.restrict(mask);
    return masked;
  }
  // Only patches have lines that begin with what the guard looks for behind a member "patch".
  void push(TokenId token, const chat::Parser& parser, const std::string& call) override {
    turn_->push(token, parser, call);
    if (in_call_) guard_.push(tokenizer_.token_bytes(token));
    const bool before = std::exchange(in_call_, parser.section() == chat::Section::kArguments);
    if (in_call_ && !before) guard_.begin();
  }
  bool complete() override { return turn_->complete(); }
  bool inside() override { return turn_->inside(); }
  // What remains legal after the guard is legal for the grammar: where that leaves no choice, nor does the
  // guard.
  std::string forced(size_t max_bytes) override { return turn_->forced(max_bytes); }
  std::string completion(std::string_view first) override;

 private:
  std::unique_ptr<chat::TurnConstraint> turn_;
  PatchGuard guard_;
  const Tokenizer& tokenizer_;
  bool in_call_ = false;
};

// The shortest one, if the patch then changes something; else it adds a line, or goes to a file that it has
// not named yet.
std::string GuardedTurn::completion(std::string_view first) {
  const std::string shortest = turn_->completion(first);
  if (!in_call_ || !first.empty() || guard_.ends_well(shortest)) return shortest;
  std::vector<std::string> begins = guard_.names_left();
  if (const size_t end = shortest.find(kEndOfPatch); end != std::string::npos)
    for (const std::string_view line : {"+\\n", "+.\\n"})
      begins.push_back(shortest.substr(0, end) + std::string(line));
  for (const std::string& begin : begins)
    if (std::string all = turn_->completion(begin); guard_.ends_well(all)) return all;
  return shortest;
}

}  // namespace

Result<std::unique_ptr<chat::TurnConstraint>> TurnRules::begin(const chat::Conversation& conversation) {
  if (!options_.constrain) return nullptr;
  const chat::Dialect& dialect = *options_.dialect;
  if (dialect.name() != "harmony" && conversation.response_format.kind == chat::ResponseFormat::Kind::kText) {
    // A family whose way to call tools nobody knows: its text is all there is.
    const auto syntax = dialect.turn_syntax(chat::parser_options(conversation));
    if (!syntax || syntax->arguments_key.empty()) return nullptr;
  }
  if (!options_.bind_patches || conversation.tool_choice.kind == chat::ToolChoice::Kind::kNone)
    return make(conversation, nullptr, "");
  const Workspace& workspace = *options_.workspace;
  const std::vector<std::string> seen = shown_files(workspace, conversation);
  // Where the lines of all files are more than a grammar may have, those of fewer are offered.
  std::string first_key;
  for (size_t level = 0; level < kMaxBytes.size(); ++level) {
    const auto scope =
        std::make_shared<PatchScope>(patch_scope(workspace, seen, {.max_bytes = kMaxBytes[level]}));
    if (scope->empty()) break;
    std::string key = scope_key(*scope);
    if (level == 0) {
      first_key = key;
      if (first_key == known_key_ && known_level_ > 0) {
        level = known_level_ - 1;
        continue;
      }
    }
    auto turn = make(conversation, scope, key);
    if (!turn && turn.error().code == ErrorCode::kLimit) continue;
    known_key_ = first_key;
    known_level_ = level;
    if (!turn || *turn == nullptr) return turn;
    return std::make_unique<GuardedTurn>(std::move(*turn), workspace, dialect.tokenizer(), scope);
  }
  return make(conversation, nullptr, "");
}

// `scope`: what patches are bound to; null: to nothing.
Result<std::unique_ptr<chat::TurnConstraint>> TurnRules::make(const chat::Conversation& conversation,
                                                              const std::shared_ptr<const PatchScope>& scope,
                                                              const std::string& key) const {
  chat::TurnConstraintOptions made;
  made.arguments = [&](const chat::FunctionTool& asked) -> std::optional<chat::ArgumentsLanguage> {
    const Tool* tool = options_.toolbox->find(asked.name);
    if (tool == nullptr) return std::nullopt;
    if (scope && tool->spec().name == kPatchTool) return patch_arguments(scope, key);
    if (scope && tool->spec().name == kReplaceTool && !scope->files.empty())
      return replace_arguments(scope, key);
    return schema_arguments(options_.toolbox->arguments_schema(*tool));
  };
  return chat::make_turn_constraint(*options_.dialect, conversation, options_.constraints, made);
}

}  // namespace atelier::agent
