// What people may call a repository, what hubs may say is in one, and which of it is taken.
#include "io/hub/repository.h"

#include <gtest/gtest.h>

#include "io/hub/url.h"
#include "io/model_names.h"

namespace atelier {
namespace {

struct Spelling {
  std::string_view text;
  std::string_view id, revision, choice;
};

TEST(RepoReference, AllItsSpellings) {
  const Spelling spellings[] = {
      {"a/b", "a/b", "main", ""},
      {"openai/gpt-oss-20b", "openai/gpt-oss-20b", "main", ""},
      {"a/b.c_d:Q4_K_M", "a/b.c_d", "main", "Q4_K_M"},
      {"a/b@v1.0", "a/b", "v1.0", ""},
      {"a/b@refs/pr/1:x y.gguf", "a/b", "refs/pr/1", "x y.gguf"},
      {"hf:a/b", "a/b", "main", ""},
      {"hf.co/a/b:Q8_0", "a/b", "main", "Q8_0"},
      {"https://huggingface.co/a/b", "a/b", "main", ""},
      {"https://huggingface.co/a/b/", "a/b", "main", ""},
      {"https://huggingface.co/a/b/tree/dev", "a/b", "dev", ""},
      {"https://hf.co/a/b/blob/main/x/y.gguf", "a/b", "main", "x/y.gguf"},
      {"huggingface.co/a/b/resolve/main/y.gguf?download=true", "a/b", "main", "y.gguf"},
  };
  for (const Spelling& spelling : spellings) {
    const auto reference = parse_repo_reference(spelling.text);
    ASSERT_TRUE(reference) << spelling.text;
    EXPECT_EQ(reference->id, spelling.id) << spelling.text;
    EXPECT_EQ(reference->revision, spelling.revision) << spelling.text;
    EXPECT_EQ(reference->choice, spelling.choice) << spelling.text;
  }
}

TEST(RepoReference, NothingElseIsOne) {
  const std::string long_name(97, 'a');
  for (const std::string& text : {std::string(),
                                  std::string("a"),
                                  std::string("/a/b"),
                                  std::string("a/b/c"),
                                  std::string("a/"),
                                  std::string("/b"),
                                  std::string("../b"),
                                  std::string("a/.."),
                                  std::string("a/.b"),
                                  std::string("a/b..c"),
                                  std::string("a/b@"),
                                  std::string("a/b:"),
                                  std::string("a/b@../c"),
                                  std::string("a/b@/c"),
                                  std::string("a b/c"),
                                  std::string("a/b\n"),
                                  std::string("a/b:\x01"),
                                  "a/" + long_name,
                                  std::string("https://example.com/a/b"),
                                  std::string("https://huggingface.co/a/b/edit/main/x"),
                                  std::string("https://huggingface.co/a/b/tree/main/folder"),
                                  std::string("a/b%2F..")})
    EXPECT_FALSE(parse_repo_reference(text)) << text;
}

TEST(RepoListing, TakesSizesAndDigestsWhereTheyAre) {
  const std::string commit(40, 'a');
  const std::string sha256(64, 'b');
  const auto listing =
      parse_repo_listing(R"({"sha":")" + commit + R"(","siblings":[{"rfilename":"x","size":3,"blobId":")" +
                         commit + R"("},{"rfilename":"y","size":9,"blobId":")" + commit +
                         R"(","lfs":{"sha256":")" + sha256 + R"(","size":9}},{"rfilename":"z"}]})");
  ASSERT_TRUE(listing) << listing.error().message;
  ASSERT_EQ(listing->files.size(), 3u);
  EXPECT_EQ(listing->files[0].git_sha1, commit);
  EXPECT_EQ(listing->files[0].bytes, 3u);
  EXPECT_EQ(listing->files[1].sha256, sha256);
  EXPECT_EQ(listing->files[1].git_sha1, "");  // of the pointer that git holds
  EXPECT_FALSE(listing->files[2].bytes);
}

TEST(RepoListing, RefusesWhatIsNone) {
  const std::string commit(40, 'a');
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{}"), std::string(R"({"sha":"..","siblings":[]})"),
        R"({"sha":")" + commit + R"("})", R"({"sha":")" + commit + R"(","siblings":{}})",
        R"({"sha":")" + commit + R"(","siblings":[3]})", R"({"sha":")" + commit + R"(","siblings":[{}]})",
        R"({"sha":")" + commit + R"(","siblings":[{"rfilename":""}]})", std::string(200'000, '[')})
    EXPECT_FALSE(parse_repo_listing(text)) << text.substr(0, 100);
  // Digests that are none are no digests.
  const auto odd = parse_repo_listing(
      R"({"sha":")" + commit + R"(","siblings":[{"rfilename":"x","size":-1,"lfs":{"sha256":"../x"}}]})");
  ASSERT_TRUE(odd);
  EXPECT_EQ(odd->files[0].sha256, "");
  EXPECT_FALSE(odd->files[0].bytes);
}

TEST(Quantisation, IsFoundInNames) {
  const std::pair<std::string_view, std::string_view> names[] = {
      {"Llama-3.2-1B-Instruct-Q4_K_M.gguf", "Q4_K_M"},
      {"model.Q8_0.gguf", "Q8_0"},
      {"m-iq4_xs.gguf", "IQ4_XS"},
      {"m-UD-Q2_K_XL.gguf", "UD-Q2_K_XL"},
      {"gpt-oss-20b-mxfp4.gguf", "MXFP4"},
      {"qwen2.5-0.5b-instruct-q4_k_m.gguf", "Q4_K_M"},
      {"some_model_q5_1.gguf", "Q5_1"},
      {"m-bf16-00001-of-00002.gguf", "BF16"},
      {"m.F32.gguf", "F32"},
      {"m-TQ1_0.gguf", "TQ1_0"},
      {"ggml-model-Q4_0_4_4.gguf", "Q4_0_4_4"},
      {"Qwen2.5-7B.gguf", ""},
      {"Q-star-7B.gguf", ""},
      {".gguf", ""},
      {"", ""},
  };
  for (const auto& [name, label] : names) EXPECT_EQ(quantisation_of(name), label) << name;
}

// The end-to-end tests pull such repositories; here are the cases that need no files.
class Selection : public ::testing::Test {
 protected:
  RepoListing listing;
  std::string index;
  void add(std::initializer_list<std::string_view> paths) {
    for (const std::string_view path : paths)
      listing.files.push_back({.path = std::string(path), .bytes = 1});
  }
  Result<RepoSelection> select(std::string_view choice = "") const {
    return select_repo_files(listing, choice,
                             [this](const RepoFile&) -> Result<std::string> { return index; });
  }
  std::vector<std::string> names(std::string_view choice = "") const {
    std::vector<std::string> paths;
    if (const auto selection = select(choice))
      for (const RepoFile& file : selection->files) paths.push_back(file.path);
    return paths;
  }
};

TEST_F(Selection, PrefersConfigAndSafetensorsOfTheTopFolder) {
  add({"a.gguf", "config.json", "model.safetensors", "tokenizer.json", "original/model.safetensors",
       "original/config.json", "vocab.txt"});
  EXPECT_EQ(names(), (std::vector<std::string>{"config.json", "tokenizer.json", "model.safetensors"}));
}

TEST_F(Selection, TakesMetasLayoutWhereItIsAlone) {
  add({"params.json", "tokenizer.json", "consolidated.safetensors"});
  EXPECT_EQ(names().size(), 3u);
}

TEST_F(Selection, TakesNumberedShardsWithoutAnIndex) {
  add({"config.json", "tokenizer.json", "model-00001-of-00002.safetensors",
       "model-00002-of-00002.safetensors"});
  EXPECT_EQ(names().size(), 4u);
}

TEST_F(Selection, AnIndexMayNotNameWhatIsNotThereOrElsewhere) {
  add({"config.json", "tokenizer.json", "model.safetensors.index.json", "a.safetensors", "x/b.safetensors"});
  index = R"({"weight_map":{"t":"a.safetensors"}})";
  EXPECT_EQ(names().size(), 4u);
  for (const char* bad :
       {R"({"weight_map":{"t":"b.safetensors"}})", R"({"weight_map":{"t":"x/b.safetensors"}})",
        R"({"weight_map":{"t":"../a.safetensors"}})", R"({"weight_map":3})", "", "{"}) {
    index = bad;
    EXPECT_FALSE(select()) << bad;
  }
}

TEST_F(Selection, PartsOfASplitFileMustAllBeThere) {
  add({"m-Q8_0-00001-of-00003.gguf", "m-Q8_0-00003-of-00003.gguf"});
  const auto selection = select();
  ASSERT_FALSE(selection);
  EXPECT_NE(selection.error().message.find("3 parts"), std::string::npos);
}

TEST_F(Selection, AChoiceThatSeveralFilesAreIsNone) {
  add({"a-Q8_0.gguf", "b-Q8_0.gguf"});
  EXPECT_FALSE(select("Q8_0"));
  EXPECT_EQ(names("b-Q8_0.gguf"), std::vector<std::string>{"b-Q8_0.gguf"});
  EXPECT_EQ(names("a-Q8_0"), std::vector<std::string>{"a-Q8_0.gguf"});
}

TEST(Names, OfModelsAndFiles) {
  EXPECT_EQ(store_name_from("Some Model (v2)"), "Some-Model-v2");
  EXPECT_EQ(store_name_from("../../etc"), "etc");
  EXPECT_EQ(store_name_from("///"), "");
  EXPECT_TRUE(is_plain_file_name("model (1).gguf"));
  for (const std::string_view bad : {"", ".", "..", ".x", "a/b", "a\nb", "a\x1b[0m", "a\x7f"})
    EXPECT_FALSE(is_plain_file_name(bad)) << bad;
  EXPECT_FALSE(is_plain_file_name(std::string_view("a\0b", 3)));
  EXPECT_FALSE(is_plain_file_name(std::string(256, 'a')));
  EXPECT_EQ(parse_split_name("x/m-00002-of-00005.gguf").parts, 5u);
  EXPECT_EQ(parse_split_name("x/m-00002-of-00005.gguf").part(1), "x/m-00001-of-00005.gguf");
  for (const std::string_view whole :
       {"m.gguf", "m-00006-of-00005.gguf", "m-00000-of-00005.gguf", "m-0001-of-0005.gguf",
        "-00001-of-00001.gguf", "m-+0001-of-00005.gguf"})
    EXPECT_EQ(parse_split_name(whole).parts, 0u) << whole;
}

TEST(Urls, OriginsAreComparedAsTheLibraryUnderstandsThem) {
  const auto origin = [](std::string_view url) { return url_origin(url).value(); };
  EXPECT_EQ(origin("https://Hub.example/a"), origin("https://hub.example:443/b?c#d"));
  EXPECT_NE(origin("https://hub.example/"), origin("http://hub.example/"));
  EXPECT_NE(origin("https://hub.example/"), origin("https://hub.example:444/"));
  EXPECT_NE(origin("https://hub.example/"), origin("https://hub.example.evil/"));
  EXPECT_EQ(origin("http://localhost:80/").is_private(), true);
  EXPECT_EQ(origin("http://127.0.0.1/").is_private(), true);
  EXPECT_EQ(origin("http://hub.example/").is_private(), false);
  EXPECT_EQ(origin("http://127.evil.example/").is_private(), false);
  for (const std::string_view bad : {"", "x", "file:///etc/passwd", "ftp://h/", "http://",
                                     "https://u:p@hub.example/", "http://hub.example@evil/", "gopher://x/"})
    EXPECT_FALSE(url_origin(bad)) << bad;
}

TEST(Urls, JoinEscapeAndShow) {
  EXPECT_EQ(url_join("https://a/b/c?d", "/x").value(), "https://a/x");
  EXPECT_EQ(url_join("https://a/b/c?d", "https://e/f").value(), "https://e/f");
  EXPECT_FALSE(url_join("https://a/b", "file:///etc/passwd"));
  EXPECT_EQ(url_escape_path("a b/ü?#%"), "a%20b/%C3%BC%3F%23%25");
  EXPECT_EQ(url_file_name("https://a/b%20c.gguf?x=/y#z"), "b c.gguf");
  EXPECT_EQ(url_file_name("https://a/..%2Fx"), "../x");
  EXPECT_EQ(url_host("https://user:secret@host:8/x?signature=y"), "host:8");
}

}  // namespace
}  // namespace atelier
