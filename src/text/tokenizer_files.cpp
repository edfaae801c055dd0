#include "text/tokenizer_files.h"

#include "base/file.h"
#include "io/checkpoint.h"
#include "io/gguf.h"

namespace atelier {
namespace {

constexpr size_t kMaxConfigBytes = size_t{16} << 20;

Result<std::shared_ptr<const Tokenizer>> load_gguf(const std::filesystem::path& path) {
  ATELIER_TRY(const MappedFile file, MappedFile::open(path));
  ATELIER_TRY(const GgufFile gguf, GgufFile::parse(file.bytes(), path.string()));
  auto tokenizer = parse_tokenizer_gguf(gguf.metadata());
  if (!tokenizer) return fail_in(path.string(), std::move(tokenizer).error());
  return tokenizer;
}

Result<std::shared_ptr<const Tokenizer>> load_json(const std::filesystem::path& path) {
  ATELIER_TRY(const std::string json, read_file(path, kMaxTokenizerJsonBytes));
  std::string config;
  const std::filesystem::path config_path = path.parent_path() / "tokenizer_config.json";
  if (auto content = read_file(config_path, kMaxConfigBytes); content)
    config = std::move(*content);
  else if (content.error().code != ErrorCode::kNotFound)
    return tl::unexpected<Error>(std::move(content).error());
  auto tokenizer = parse_tokenizer_json(json, config);
  if (!tokenizer) return fail_in(path.string(), std::move(tokenizer).error());
  return tokenizer;
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(const std::filesystem::path& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return load_json(path / "tokenizer.json");
  return path.extension() == ".gguf" ? load_gguf(path) : load_json(path);
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(const Checkpoint& checkpoint) {
  const GgufMetadata* metadata = checkpoint.gguf();
  if (metadata == nullptr) {
    const std::filesystem::path folder = checkpoint.tokenizer_json();
    if (folder.empty())
      return fail(ErrorCode::kNotFound, "{}: no tokenizer.json", checkpoint.path().string());
    return load(folder);
  }
  auto tokenizer = parse_tokenizer_gguf(*metadata);
  if (!tokenizer) return fail_in(checkpoint.path().string(), std::move(tokenizer).error());
  return tokenizer;
}

Status check_added_token(const AddedToken& token, TokenId found, const TokenTexts& texts) {
  if (token.id < 0 || token.id > kMaxTokenId)
    return fail(ErrorCode::kLimit, "added token \"{}\": expected an id from 0 to {}, found {}", token.content,
                kMaxTokenId, token.id);
  if (found != kNoToken && found != token.id)
    return fail(ErrorCode::kCorrupt, "added token \"{}\" has the id {}, and {} in the vocabulary",
                token.content, token.id, found);
  if (found == kNoToken && texts.contains(token.id))
    return fail(ErrorCode::kCorrupt, "added token \"{}\" has the id {}, which is that of \"{}\"",
                token.content, token.id, texts[token.id]);
  return {};
}

}  // namespace atelier
