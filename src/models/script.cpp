#include "models/script.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "models/config_reader.h"

namespace atelier {
namespace {

constexpr size_t kMaxScriptBytes = size_t{64} << 20;
constexpr uint64_t kDefaultContext = 131072;

class ScriptedModel final : public Model {
 public:
  ScriptedModel(ModelInfo info, std::vector<std::vector<TokenId>> turns, TokenId after)
      : info_(std::move(info)), turns_(std::move(turns)), after_(after) {}

  const ModelInfo& info() const override { return info_; }
  std::vector<Weight*> multiplied_weights() override { return {}; }

  // A pass whose rows all ask for logits, and which begins with what was said last, goes on with the turn;
  // where it goes on with something else (a wrong guess), what comes out does not matter. So does one that
  // has nothing but what the turn says next (tokens that were forced). Any other pass that asks for logits is
  // a prompt, after which the next turn begins.
  void forward(Context&, const Batch& batch, MatView<float> logits) const override {
    if (batch.logit_rows.empty()) return;
    const size_t first = static_cast<size_t>(batch.positions[0]);
    const size_t n_known = batch.logit_rows.size() == batch.tokens.size() ? 1 : batch.tokens.size();
    bool continues = started_ && first > prompt_end_;
    for (size_t i = 0; continues && i < n_known; ++i)
      continues = batch.tokens[i] == said(first - prompt_end_ - 1 + i);
    if (!continues) {
      turn_ = started_ ? turn_ + 1 : 0;
      started_ = true;
      prompt_end_ = static_cast<size_t>(batch.positions[batch.logit_rows.back()]);
    }
    for (size_t i = 0; i < batch.logit_rows.size(); ++i) {
      const auto position = static_cast<size_t>(batch.positions[batch.logit_rows[i]]);
      const TokenId next = position >= prompt_end_ ? said(position - prompt_end_) : after_;
      // Far enough apart that no temperature up to 2 ever draws another token.
      constexpr float kCertain = 100.0f;
      std::ranges::fill(logits.row(i), 0.0f);
      logits.row(i)[static_cast<size_t>(next)] = kCertain;
    }
  }

 private:
  TokenId said(size_t index) const {
    if (turn_ >= turns_.size() || index >= turns_[turn_].size()) return after_;
    return turns_[turn_][index];
  }

  ModelInfo info_;
  std::vector<std::vector<TokenId>> turns_;
  TokenId after_;
  // Where the script is read; one generation at a time, as one reader reads a script.
  mutable bool started_ = false;
  mutable size_t turn_ = 0;
  mutable size_t prompt_end_ = 0;  // position of the token that the turn follows
};

Result<std::vector<TokenId>> read_turn(const nlohmann::json& turn, size_t index, const Tokenizer& tokenizer) {
  if (turn.is_string()) return tokenizer.encode(turn.get<std::string>(), Specials::kRecognised);
  if (!turn.is_array())
    return fail(ErrorCode::kCorrupt, "turns[{}]: expected a text or a list of ids, found {}", index,
                turn.type_name());
  std::vector<TokenId> ids;
  for (const nlohmann::json& id : turn) {
    if (!id.is_number_integer() || id < 0 || id >= tokenizer.vocab_size())
      return fail(ErrorCode::kCorrupt, "turns[{}][{}]: expected a token id below {}, found {}", index,
                  ids.size(), tokenizer.vocab_size(),
                  id.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace));
    ids.push_back(id.get<TokenId>());
  }
  return ids;
}

Result<Script> parse_script(const std::filesystem::path& path, const std::string& text) {
  const nlohmann::json script = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!script.is_object()) return fail(ErrorCode::kCorrupt, "expected a JSON object, found something else");
  const ConfigReader reader(script, "");
  ModelInfo info;
  ATELIER_TRY(info.architecture, reader.text_or("architecture", ""));
  ATELIER_TRY(info.context_length, reader.size_or("context", uint64_t{1} << 24, kDefaultContext));
  ATELIER_TRY(const std::string tokenizer_file, reader.text_or("tokenizer", "tokenizer.json"));
  Script out;
  ATELIER_TRY(out.chat_template, reader.text_or("chat_template", ""));
  ATELIER_TRY(out.tokenizer, Tokenizer::load(path.parent_path() / tokenizer_file));
  info.vocab_size = out.tokenizer->vocab_size();
  const auto turns = script.find("turns");
  if (turns == script.end() || !turns->is_array())
    return fail(ErrorCode::kCorrupt, "turns: expected a list, found none");
  std::vector<std::vector<TokenId>> ids;
  for (size_t i = 0; i < turns->size(); ++i) {
    ATELIER_TRY(ids.emplace_back(), read_turn((*turns)[i], i, *out.tokenizer));
  }
  const TokenId after = out.tokenizer->eos().value_or(0);
  if (out.tokenizer->eos()) info.stop_tokens.push_back(after);
  out.model = std::make_unique<ScriptedModel>(std::move(info), std::move(ids), after);
  return out;
}

}  // namespace

Result<Script> load_script(const std::filesystem::path& path) {
  ATELIER_TRY(const std::string text, read_file(path, kMaxScriptBytes));
  Result<Script> script = parse_script(path, text);
  if (!script) return fail_in(path.string(), std::move(script).error());
  return script;
}

}  // namespace atelier
