// Patches in what models wrap them in, and commands that are not patches.
#include <gtest/gtest.h>

#include "agent/patch/patch.h"
#include "agent/patch/unwrap.h"

namespace atelier::agent {
namespace {

const std::string kBarePatch = "*** Begin Patch\n*** Add File: a\n+it's \"$x\" `y` \\n\n*** End Patch";

// What the patch inside says, after all wrappers.
void expect_patch(const Result<PatchText>& text, const std::string& workdir = {}) {
  ASSERT_TRUE(text.has_value()) << text.error().message;
  EXPECT_EQ(text->workdir, workdir);
  const auto patch = parse_patch(text->text);
  ASSERT_TRUE(patch.has_value()) << patch.error().message << "\nin: " << text->text;
  EXPECT_EQ(patch->sections[0].lines[0], "it's \"$x\" `y` \\n");
}

void expect_patch(const Result<std::optional<PatchText>>& text, const std::string& workdir = {}) {
  ASSERT_TRUE(text.has_value()) << text.error().message;
  ASSERT_TRUE(text->has_value());
  expect_patch(Result<PatchText>(**text), workdir);
}

std::string json_string(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

TEST(PatchUnwrap, TheToolsArgument) {
  expect_patch(unwrap_patch(kBarePatch));
  expect_patch(unwrap_patch("\n \n" + kBarePatch + "\n\n"));
  expect_patch(unwrap_patch("\xef\xbb\xbf" + kBarePatch + "\n"));
  expect_patch(unwrap_patch("<<'EOF'\n" + kBarePatch + "\nEOF\n"));
  expect_patch(unwrap_patch("<<EOF\n" + kBarePatch + "\nEOF"));
  expect_patch(unwrap_patch("<<\"PATCH\"\n" + kBarePatch + "\nPATCH\n"));
  expect_patch(unwrap_patch("apply_patch <<'EOF'\n" + kBarePatch + "\nEOF\n"));
  expect_patch(unwrap_patch("apply_patch << 'EOF'\n" + kBarePatch + "\nEOF\n"));
  expect_patch(unwrap_patch("apply_patch <<'EOF'\n" + kBarePatch + "\n"));  // the delimiter forgotten
  expect_patch(unwrap_patch("cd sub/dir && apply_patch <<'EOF'\n" + kBarePatch + "\nEOF\n"), "sub/dir");
  expect_patch(unwrap_patch("```diff\n" + kBarePatch + "\n```\n"));
  expect_patch(unwrap_patch("```\n" + kBarePatch + "\n```"));
}

TEST(PatchUnwrap, Json) {
  const std::string text = json_string(kBarePatch);
  expect_patch(unwrap_patch(text));
  expect_patch(unwrap_patch("{\"patch\": " + text + "}"));
  expect_patch(unwrap_patch("{\"input\": " + text + "}\n"));
  expect_patch(unwrap_patch("[\"apply_patch\", " + text + "]"));
  expect_patch(unwrap_patch("{\"cmd\": [\"apply_patch\", " + text + "]}"));
  expect_patch(unwrap_patch("{\"command\":[\"bash\",\"-lc\"," +
                            json_string("cd w && apply_patch <<'EOF'\n" + kBarePatch + "\nEOF\n") + "]}"),
               "w");
  expect_patch(unwrap_patch(json_string("{\"patch\": " + text + "}")));  // encoded twice
  expect_patch(unwrap_patch("{\"a\": {\"b\": " + text + "}}"));
}

TEST(PatchUnwrap, Commands) {
  const auto command = [](std::vector<std::string> argv) { return unwrap_command(argv); };
  expect_patch(command({"apply_patch", kBarePatch}));
  expect_patch(command({"applypatch", "<<'EOF'\n" + kBarePatch + "\nEOF\n"}));
  expect_patch(command({"bash", "-lc", "apply_patch <<'EOF'\n" + kBarePatch + "\nEOF\n"}));
  expect_patch(command({"/bin/sh", "-c", "apply_patch <<EOF\n" + kBarePatch + "\nEOF\n"}));
  expect_patch(command({"bash", "-lc", "cd 'my dir' && apply_patch <<'EOF'\n" + kBarePatch + "\nEOF\n"}),
               "my dir");
  expect_patch(command({"bash", "-lc", "cd /abs/dir &&\napply_patch <<'EOF'\n" + kBarePatch + "\nEOF\n"}),
               "/abs/dir");
  expect_patch(command({"bash", "-lc", "cat <<'EOF' | apply_patch\n" + kBarePatch + "\nEOF\n"}));
  expect_patch(command({"bash", "-lc", "apply_patch <<-'EOF'\n" + kBarePatch + "\n\t\tEOF\n"}));
  std::string single = kBarePatch;
  single.replace(single.find('\''), 1, "'\\''");
  expect_patch(command({"bash", "-lc", "apply_patch '" + single + "'"}));
  expect_patch(command(
      {"bash", "-lc",
       "apply_patch \"*** Begin Patch\n*** Add File: a\n+it's \\\"\\$x\\\" \\`y\\` \\\\n\n*** End Patch\""}));
  expect_patch(command(
      {"bash", "-lc",
       "apply_patch $'*** Begin Patch\\n*** Add File: a\\n+it\\'s \"$x\" `y` \\\\n\\n*** End Patch'"}));
}

// Whatever else a command does, it is not ours to leave out.
TEST(PatchUnwrap, OtherCommandsAreTheShells) {
  const std::string document = "<<'EOF'\n" + kBarePatch + "\nEOF\n";
  for (const std::string& script : std::initializer_list<std::string>{
           "ls -la", "make && apply_patch " + document, "apply_patch " + document + "make test\n",
           "cd a; apply_patch " + document, "cd $HOME && apply_patch " + document,
           "cd a b && apply_patch " + document, "apply_patch_now " + document, "cat " + document,
           "cat <<'EOF' > f\nx\nEOF\n", "apply_patch <<'EOF' && rm x\n" + kBarePatch + "\nEOF\n",
           "sudo apply_patch " + document, std::string("apply_patch $PATCH"),
           std::string("apply_patch file.patch; ls"), std::string()}) {
    const auto patch = unwrap_command(std::vector<std::string>{"bash", "-lc", script});
    ASSERT_TRUE(patch.has_value()) << script << ": " << patch.error().message;
    EXPECT_FALSE(patch->has_value()) << script;
  }
  for (const std::vector<std::string>& argv : {std::vector<std::string>{},
                                               {"ls"},
                                               {"python3", "-c", "apply_patch"},
                                               {"bash", "-x", "apply_patch"},
                                               {"apply_patch"}}) {
    const auto patch = unwrap_command(argv);
    ASSERT_TRUE(patch.has_value());
    EXPECT_FALSE(patch->has_value());
  }
}

TEST(PatchUnwrap, BrokenOnesSayWhy) {
  const auto refusal = [](std::string_view text) {
    const auto patch = unwrap_patch(text);
    EXPECT_FALSE(patch.has_value()) << text;
    return patch ? std::string() : patch.error().message;
  };
  EXPECT_NE(refusal("").find("found nothing"), std::string::npos);
  EXPECT_NE(refusal("Here is the patch:\n" + kBarePatch).find("found \"Here is the patch:\""),
            std::string::npos);
  EXPECT_NE(refusal("{\"patch\": \"x\", \"path\": \"y\"}").find("one key, found 2"), std::string::npos);
  EXPECT_NE(refusal("[1, 2]").find("other things than strings"), std::string::npos);
  EXPECT_NE(refusal("[\"ls\", \"-l\"]").find("found \"ls\""), std::string::npos);
  EXPECT_NE(refusal("apply_patch <<'EOF'\n*** Begin Patch\n+x\n").find("at the end of the here-document"),
            std::string::npos);
  EXPECT_NE(refusal("apply_patch '*** Begin Patch\n").find("expected a quoted patch or a here-document"),
            std::string::npos);
  EXPECT_NE(refusal(std::string(100000, '[')).find("expected"), std::string::npos);
  std::string deep = json_string(kBarePatch);
  for (int i = 0; i < 8; ++i) deep = "{\"a\":" + deep + "}";
  EXPECT_NE(refusal(deep).find("nested too deeply"), std::string::npos);
}

}  // namespace
}  // namespace atelier::agent
