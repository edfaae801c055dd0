// Ids identical to those of Hugging Face `tokenizers`: on the committed samples of trimmed vocabularies, and
// on the files in $ATELIER_TOKENIZER_GOLDENS, where tools/tokenizer_goldens.py puts what it makes of full
// ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/figure.h"
#include "text/tokenizer.h"

namespace atelier {
namespace {

struct Comparison {
  size_t strings = 0;
  size_t tokens = 0;
  size_t different = 0;
  std::string first_difference;
};

std::string show(const std::vector<TokenId>& ids) {
  return fmt::format(
      "{}", fmt::join(ids.begin(), ids.begin() + std::min<std::ptrdiff_t>(std::ssize(ids), 40), " "));
}

std::string stream_decode(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  StreamDecoder decoder(tokenizer, StreamDecoder::Begin::kText);
  std::string text;
  for (const TokenId id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

void compare(const Tokenizer& tokenizer, const nlohmann::json& golden, Comparison& result) {
  const auto text = golden.at("text").get<std::string>();
  const auto special = golden.at("special").get<std::vector<TokenId>>();
  const auto plain = golden.value("plain", special);
  const auto decoded = golden.value("decoded", text);
  const std::vector<TokenId> our_special = tokenizer.encode(text, Specials::kRecognised);
  const std::vector<TokenId> our_plain = tokenizer.encode(text, Specials::kAsText);
  std::string difference;
  if (our_special != special)
    difference = fmt::format("special: want {}\n  have {}", show(special), show(our_special));
  else if (our_plain != plain)
    difference = fmt::format("plain: want {}\n  have {}", show(plain), show(our_plain));
  else if (tokenizer.decode(special) != decoded)
    difference = fmt::format("decoded: have {}", tokenizer.decode(special).substr(0, 400));
  else if (stream_decode(tokenizer, special) != decoded)
    difference = fmt::format("streamed: have {}", stream_decode(tokenizer, special).substr(0, 400));
  ++result.strings;
  result.tokens += special.size() + plain.size();
  if (difference.empty()) return;
  if (result.different++ == 0)
    result.first_difference =
        nlohmann::json(text.substr(0, 400)).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) +
        "\n  " + difference;
}

Comparison compare_file(const std::filesystem::path& path) {
  Comparison result;
  std::ifstream lines(path);
  std::string line;
  if (!std::getline(lines, line)) {
    result.first_difference = "no header";
    ++result.different;
    return result;
  }
  const auto target = nlohmann::json::parse(line).at("tokenizer").get<std::string>();
  const auto tokenizer = Tokenizer::load(path.parent_path() / target);
  if (!tokenizer) {
    result.first_difference = tokenizer.error().message;
    ++result.different;
    return result;
  }
  while (std::getline(lines, line)) compare(**tokenizer, nlohmann::json::parse(line), result);
  return result;
}

std::vector<std::filesystem::path> golden_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().string().ends_with(".goldens.jsonl")) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void compare_folder(const std::filesystem::path& folder) {
  const auto files = golden_files(folder);
  ASSERT_FALSE(files.empty()) << folder;
  for (const auto& file : files) {
    const Comparison result = compare_file(file);
    EXPECT_EQ(result.different, 0u) << file << "\n  " << result.first_difference;
    EXPECT_GT(result.strings, 0u);
    testing::print_figure("tokenizer {}: {} of {} strings identical, {} tokens",
                          file.filename().stem().stem().string(), result.strings - result.different,
                          result.strings, result.tokens);
  }
}

TEST(TokenizerGoldens, CommittedSamples) {
  compare_folder(std::filesystem::path(ATELIER_TEST_DATA) / "tokenizer");
}

TEST(TokenizerGoldens, GivenFolder) {
  if (const char* folder = std::getenv("ATELIER_TOKENIZER_GOLDENS")) compare_folder(folder);
}

// The comparison itself must be able to fail.
TEST(TokenizerGoldens, WrongGoldensAreNoticed) {
  const auto folder = std::filesystem::path(ATELIER_TEST_DATA) / "tokenizer";
  const auto tokenizer = Tokenizer::load(folder / "gpt2.json");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const std::string text = "Hello, world";
  const std::vector<TokenId> ids = (*tokenizer)->encode(text);
  std::vector<TokenId> wrong = ids;
  wrong.back() += 1;
  const auto differences = [&](const nlohmann::json& golden) {
    Comparison result;
    compare(**tokenizer, golden, result);
    return result.different;
  };
  EXPECT_EQ(differences({{"text", text}, {"special", ids}, {"plain", ids}}), 0u);
  EXPECT_EQ(differences({{"text", text}, {"special", wrong}, {"plain", ids}}), 1u);
  EXPECT_EQ(differences({{"text", text}, {"special", ids}, {"plain", wrong}}), 1u);
  EXPECT_EQ(differences({{"text", text}, {"special", ids}, {"plain", ids}, {"decoded", "Hello"}}), 1u);
}

}  // namespace
}  // namespace atelier
