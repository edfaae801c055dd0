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
  void pack(ThreadPool&) override {}

  // One token more of the turn when the pass continues with the token said last, else the start of the next
  // turn: somebody has put a prompt in between.
  void forward(Context&, const Batch& batch, MatView<float> logits) const override {
    for (size_t i = 0; i < batch.logit_rows.size(); ++i) {
      const bool continues = started_ && batch.tokens.size() == 1 && batch.tokens[0] == said_;
      if (!continues) {
        turn_ = started_ ? turn_ + 1 : 0;
        started_ = true;
        next_ = 0;
      }
      const std::vector<TokenId>* turn = turn_ < turns_.size() ? &turns_[turn_] : nullptr;
      said_ = turn != nullptr && next_ < turn->size() ? (*turn)[next_] : after_;
      ++next_;
      // Far enough apart that no temperature up to 2 ever draws another token.
      constexpr float kCertain = 100.0f;
      std::ranges::fill(logits.row(i), 0.0f);
      logits.row(i)[static_cast<size_t>(said_)] = kCertain;
    }
  }

 private:
  ModelInfo info_;
  std::vector<std::vector<TokenId>> turns_;
  TokenId after_;
  // Where the script is read; one generation at a time, as one reader reads a script.
  mutable bool started_ = false;
  mutable size_t turn_ = 0;
  mutable size_t next_ = 0;
  mutable TokenId said_ = 0;
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
