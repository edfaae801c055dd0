// tokenizer.json, as Hugging Face `tokenizers` writes it: its serialisation is the format's definition.
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "io/json_reader.h"
#include "text/model_json.h"
#include "text/pipeline.h"
#include "text/tokenizer_files.h"
#include "text/tokenizer_sections.h"

namespace atelier {
namespace {

using nlohmann::json;

// The sections beside the vocabulary are small; this bounds the trees they are parsed into. The largest have
// a table of normalisation rules inside.
constexpr size_t kMaxSectionBytes = size_t{2} << 20;

AddedToken read_added_token(JsonReader& reader) {
  AddedToken token;
  reader.begin_object();
  for (std::string_view key; reader.next_key(key);) {
    if (key == "id") {
      token.id = read_token_id(reader);
    } else if (key == "content") {
      token.content = reader.string();
    } else if (key == "special") {
      token.special = reader.boolean();
    } else if (key == "single_word") {
      token.single_word = reader.boolean();
    } else if (key == "lstrip") {
      token.lstrip = reader.boolean();
    } else if (key == "rstrip") {
      token.rstrip = reader.boolean();
    } else if (key == "normalized") {
      token.normalized = reader.boolean();
    } else {
      reader.skip();
    }
  }
  if (token.id == kNoToken || token.content.empty()) reader.fail_here("an added token without id or content");
  return token;
}

// Reads the file in one pass if its members stand in the order in which they are always written; a model that
// comes before what says how to read it is passed over and read afterwards.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Status parse();
  Result<std::shared_ptr<const Tokenizer>> build(std::string_view config) &&;

 private:
  enum Section : unsigned {
    kAddedTokens = 1,
    kNormalizer = 2,
    kPreTokenizer = 4,
    kDecoder = 8,
    kSections = 15
  };

  void read_member(const std::string& key, JsonReader& reader);
  void read_section(const std::string& key, JsonReader& reader);
  Status apply_section(const std::string& key, const json& section);
  Status read_model(JsonReader& reader);
  Status read_config(std::string_view config);

  std::string_view text_;
  unsigned sections_read_ = 0;
  PipelineOptions options_;
  std::optional<std::string> leading_special_;
  bool has_decoder_ = false;
  bool byte_level_ = false;  // the vocabulary is written in the byte alphabet
  std::optional<JsonModel> model_;

  // tokenizer_config.json, as far as it concerns us.
  std::optional<std::string> bos_;
  std::optional<std::string> eos_;
  std::optional<bool> add_bos_;
};

Status Parser::parse() {
  ATELIER_CHECK_OK(JsonReader::validate(text_));
  JsonReader reader(text_);
  std::optional<size_t> model_at;
  reader.begin_object();
  for (std::string_view key; reader.next_key(key);) {
    if (key != "model") {
      read_member(std::string(key), reader);
      continue;
    }
    if (model_ || model_at) reader.fail_here("a second \"model\"");
    if (sections_read_ == kSections) {
      if (Status read = read_model(reader); !read) reader.fail_here(std::move(read).error());
    } else {
      model_at = reader.position();
      reader.skip();
    }
  }
  reader.finish();
  ATELIER_CHECK_OK(reader.status());
  if (model_at) {
    JsonReader model_reader(text_, *model_at);
    ATELIER_CHECK_OK(read_model(model_reader));
    return model_reader.status();
  }
  if (!model_) return fail(ErrorCode::kCorrupt, "no \"model\" in the tokenizer file");
  return {};
}

void Parser::read_member(const std::string& key, JsonReader& reader) {
  if (key == "added_tokens") {
    sections_read_ |= kAddedTokens;
    options_.added_tokens.clear();
    if (reader.null()) return;
    reader.begin_array();
    while (reader.next_element()) options_.added_tokens.push_back(read_added_token(reader));
  } else if (key == "normalizer" || key == "pre_tokenizer" || key == "post_processor" || key == "decoder") {
    read_section(key, reader);
  } else {
    reader.skip();
  }
}

void Parser::read_section(const std::string& key, JsonReader& reader) {
  const std::string_view text = reader.raw();
  if (!reader.ok()) return;
  if (text.size() > kMaxSectionBytes)
    return reader.fail_here(
        {ErrorCode::kLimit,
         fmt::format("expected a section of at most {} bytes, found {}", kMaxSectionBytes, text.size())});
  const json section = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (section.is_discarded()) return reader.fail_here("a number out of range");
  if (Status applied = apply_section(key, section); !applied) reader.fail_here(std::move(applied).error());
}

Status Parser::apply_section(const std::string& key, const json& section) {
  if (key == "normalizer") {
    sections_read_ |= kNormalizer;
    ATELIER_TRY(options_.normalizer, read_normalizer(section));
  } else if (key == "pre_tokenizer") {
    sections_read_ |= kPreTokenizer;
    ATELIER_TRY(PreTokenizerSection read, read_pre_tokenizer(section));
    options_.pre_tokenizer = std::move(read.pre_tokenizer);
    byte_level_ = read.byte_level;
  } else if (key == "decoder") {
    sections_read_ |= kDecoder;
    ATELIER_TRY(options_.decoder, read_decoder(section));
    has_decoder_ = !section.is_null();
  } else {
    leading_special_ = leading_special(section);
  }
  return {};
}

Status Parser::read_model(JsonReader& reader) {
  if (byte_level_)
    options_.decoder = {.byte_level = true};  // whatever the file says: tokens are bytes
  else if (options_.decoder.byte_level || !has_decoder_)
    return fail(ErrorCode::kUnsupported, "a vocabulary of characters with {}",
                has_decoder_ ? "the decoder \"ByteLevel\"" : "no decoder");
  model_.emplace(text_, options_.decoder, options_.added_tokens);
  model_->read(reader);
  return {};
}

// A token in tokenizer_config.json: its text, or an object with its text as "content", or null.
std::optional<std::string> read_config_token(JsonReader& reader) {
  std::optional<std::string> content;
  if (reader.peek() == JsonReader::Kind::kString) {
    content = reader.string();
  } else if (reader.peek() != JsonReader::Kind::kObject) {
    reader.skip();
  } else {
    reader.begin_object();
    for (std::string_view key; reader.next_key(key);) {
      if (key == "content")
        content = reader.string();
      else
        reader.skip();
    }
  }
  return content;
}

Status Parser::read_config(std::string_view config) {
  if (config.empty()) return {};
  ATELIER_CHECK_OK(JsonReader::validate(config));
  JsonReader reader(config);
  reader.begin_object();
  for (std::string_view key; reader.next_key(key);) {
    if (key == "bos_token")
      bos_ = read_config_token(reader);
    else if (key == "eos_token")
      eos_ = read_config_token(reader);
    else if (key == "add_bos_token" && reader.peek() == JsonReader::Kind::kBoolean)
      add_bos_ = reader.boolean();
    else
      reader.skip();
  }
  reader.finish();
  return reader.status();
}

Result<std::shared_ptr<const Tokenizer>> Parser::build(std::string_view config) && {
  if (Status read = read_config(config); !read)
    return fail_in("tokenizer_config.json", std::move(read).error());
  for (const AddedToken& token : options_.added_tokens)
    ATELIER_CHECK_OK(check_added_token(token, model_->find(token.content), model_->texts()));
  if (const auto& bos = bos_ ? bos_ : leading_special_) options_.bos = model_->find_named(*bos);
  if (eos_) options_.eos = model_->find_named(*eos_);
  options_.add_bos = options_.bos && add_bos_.value_or(leading_special_.has_value());
  TokenTexts texts = model_->take_texts();
  ATELIER_TRY(std::unique_ptr<PieceModel> model, std::move(*model_).build());
  return TokenizerPipeline::create(std::move(options_), std::move(texts), std::move(model));
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> parse_tokenizer_json(std::string_view json,
                                                              std::string_view config) {
  Parser parser(json);
  ATELIER_CHECK_OK(parser.parse());
  return std::move(parser).build(config);
}

}  // namespace atelier
