#include "io/hub/repository.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "io/hub/url.h"
#include "io/json_text.h"

namespace atelier {
namespace {

constexpr JsonLimits kListingLimits{.max_bytes = size_t{64} << 20, .max_depth = 64, .max_values = 2'000'000};
constexpr size_t kMaxRepoFiles = 100'000;
constexpr std::array<std::string_view, 5> kPrefixes = {"hf:", "https://huggingface.co/", "https://hf.co/",
                                                       "huggingface.co/", "hf.co/"};

bool is_part_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' ||
         c == '_';
}

bool is_repo_part(std::string_view part) {
  return !part.empty() && part.size() <= 96 && part.front() != '.' &&
         part.find("..") == std::string_view::npos && std::all_of(part.begin(), part.end(), is_part_char);
}

// A branch ("refs/pr/1"), a tag or a commit.
bool is_revision(std::string_view revision) {
  return !revision.empty() && revision.size() <= 200 && revision.front() != '/' && revision.front() != '.' &&
         revision.find("..") == std::string_view::npos &&
         std::all_of(revision.begin(), revision.end(), [](char c) { return is_part_char(c) || c == '/'; });
}

bool is_choice(std::string_view choice) {
  return !choice.empty() && choice.size() <= 200 &&
         std::all_of(choice.begin(), choice.end(), [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
}

// The text up to `end`, which is taken off with it.
std::string_view take_until(std::string_view& text, char end) {
  const std::string_view taken = text.substr(0, text.find(end));
  text.remove_prefix(std::min(text.size(), taken.size() + 1));
  return taken;
}

// "resolve/REVISION/FILE", "blob/…", "raw/…", "tree/REVISION", as web addresses go on.
bool parse_web_path(std::string_view rest, RepoReference& reference) {
  if (rest.empty()) return true;
  const std::string_view kind = take_until(rest, '/');
  if (kind != "resolve" && kind != "blob" && kind != "raw" && kind != "tree") return false;
  reference.revision = take_until(rest, '/');
  reference.choice = rest.substr(0, rest.find('?'));
  return kind != "tree" || reference.choice.empty();
}

std::string hex_text(const nlohmann::json& object, const char* key, size_t digits) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return {};
  std::string text = found->get<std::string>();
  const bool hex = text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
                     return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                   });
  return hex ? text : std::string();
}

std::optional<uint64_t> number(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<uint64_t>();
}

Result<RepoFile> parse_sibling(const nlohmann::json& entry) {
  RepoFile file;
  if (entry.is_object())
    if (const auto name = entry.find("rfilename"); name != entry.end() && name->is_string())
      file.path = name->get<std::string>();
  if (file.path.empty()) return fail(ErrorCode::kCorrupt, "expected files with names, found one without");
  file.bytes = number(entry, "size");
  file.git_sha1 = hex_text(entry, "blobId", 40);
  if (const auto lfs = entry.find("lfs"); lfs != entry.end() && lfs->is_object()) {
    // Here git holds a pointer: its name says nothing of the content.
    file.git_sha1.clear();
    file.sha256 = hex_text(*lfs, "sha256", 64);
    if (const auto bytes = number(*lfs, "size")) file.bytes = bytes;
  }
  return file;
}

}  // namespace

std::optional<RepoReference> parse_repo_reference(std::string_view text) {
  RepoReference reference;
  bool prefixed = false;
  for (const std::string_view prefix : kPrefixes) {
    if (!text.starts_with(prefix)) continue;
    text.remove_prefix(prefix.size());
    prefixed = true;
    break;
  }
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view owner = text.substr(0, slash);
  std::string_view rest = text.substr(slash + 1);
  const std::string_view name = rest.substr(0, rest.find_first_of("@:/"));
  rest.remove_prefix(name.size());
  if (!is_repo_part(owner) || !is_repo_part(name)) return std::nullopt;
  reference.id = std::string(owner) + "/" + std::string(name);
  if (prefixed && rest.starts_with('/')) {
    if (!parse_web_path(rest.substr(1), reference)) return std::nullopt;
  } else {
    if (rest.starts_with('@')) {
      rest.remove_prefix(1);
      reference.revision = rest.substr(0, rest.find(':'));
      rest.remove_prefix(reference.revision.size());
      if (reference.revision.empty()) return std::nullopt;
    }
    if (rest.starts_with(':')) {
      reference.choice = rest.substr(1);
      if (reference.choice.empty()) return std::nullopt;
    } else if (!rest.empty()) {
      return std::nullopt;
    }
  }
  if (reference.revision.empty()) reference.revision = "main";
  if (!is_revision(reference.revision)) return std::nullopt;
  if (!reference.choice.empty() && !is_choice(reference.choice)) return std::nullopt;
  return reference;
}

Result<RepoListing> parse_repo_listing(std::string_view json) {
  ATELIER_TRY(const nlohmann::json answer, parse_json(json, kListingLimits));
  RepoListing listing;
  if (answer.is_object()) listing.commit = hex_text(answer, "sha", 40);
  if (listing.commit.empty()) return fail(ErrorCode::kCorrupt, "expected a commit (\"sha\"), found none");
  const auto siblings = answer.find("siblings");
  if (siblings == answer.end() || !siblings->is_array())
    return fail(ErrorCode::kCorrupt, "expected a list of files (\"siblings\"), found none");
  if (siblings->size() > kMaxRepoFiles)
    return fail(ErrorCode::kLimit, "expected at most {} files, found {}", kMaxRepoFiles, siblings->size());
  for (const nlohmann::json& entry : *siblings) {
    ATELIER_TRY(RepoFile file, parse_sibling(entry));
    listing.files.push_back(std::move(file));
  }
  return listing;
}

}  // namespace atelier
