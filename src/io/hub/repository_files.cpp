// Which files of a repository a model needs.
#include <algorithm>
#include <array>
#include <map>

#include "io/hub/repository.h"
#include "io/model_names.h"
#include "io/safetensors.h"

namespace atelier {
namespace {

// What beside the weights is read: hyper-parameters, tokenizer, chat template.
constexpr std::array<std::string_view, 4> kSideFiles = {"generation_config.json", "tokenizer.json",
                                                        "tokenizer_config.json", "chat_template.jinja"};
// Of several GGUF files without a choice: what gpt-oss was trained in, then what most people want.
constexpr std::array<std::string_view, 3> kUsualQuantisations = {"MXFP4", "Q4_K_M", "Q4_0"};

std::string upper(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  return result;
}

std::string_view file_name_of(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// "Q4_K_M", "IQ4_XS", "TQ1_0", "F16", "FP16", "BF16", "F32", "MXFP4", "MXFP4_MOE", in capitals.
bool is_quantisation(std::string_view text) {
  constexpr std::array<std::string_view, 6> kWhole = {"F16", "FP16", "BF16", "F32", "MXFP4", "MXFP4_MOE"};
  if (std::find(kWhole.begin(), kWhole.end(), text) != kWhole.end()) return true;
  const size_t digit = text.find('Q') + 1;
  if (digit == 0 || digit > 2 || digit >= text.size()) return false;
  if (digit == 2 && text[0] != 'I' && text[0] != 'T') return false;
  if (text[digit] < '1' || text[digit] > '8') return false;
  return text.size() == digit + 1 || text[digit + 1] == '_';
}

// The quantisation a word ends with: all of it, or what follows one of its underscores.
std::string_view quantisation_in(std::string_view word) {
  for (size_t begin = 0; begin < word.size();) {
    if (is_quantisation(word.substr(begin))) return word.substr(begin);
    const size_t underscore = word.find('_', begin);
    if (underscore == std::string_view::npos) break;
    begin = underscore + 1;
  }
  return {};
}

const RepoFile* find_file(const RepoListing& listing, std::string_view path) {
  const auto found = std::find_if(listing.files.begin(), listing.files.end(),
                                  [path](const RepoFile& file) { return file.path == path; });
  return found == listing.files.end() ? nullptr : &*found;
}

// One GGUF model: a file, or all parts of a split one.
struct Gguf {
  std::string stem;  // path without part number and extension
  std::string label;
  unsigned int parts = 0;  // 0: a single file
  std::vector<const RepoFile*> files;
};

std::vector<Gguf> ggufs_of(const RepoListing& listing) {
  std::map<std::pair<std::string, unsigned int>, Gguf> found;
  for (const RepoFile& file : listing.files) {
    const std::string_view name = file_name_of(file.path);
    if (!name.ends_with(".gguf")) continue;
    // The eyes of models that see, and statistics for quantising: no models.
    if (name.starts_with("mmproj") || name.find("imatrix") != std::string_view::npos) continue;
    const SplitName split = parse_split_name(file.path);
    Gguf& gguf = found[{split.stem, split.parts}];
    gguf.stem = split.stem;
    gguf.label = quantisation_of(name);
    gguf.parts = split.parts;
    gguf.files.push_back(&file);
  }
  std::vector<Gguf> ggufs;
  for (auto& [key, gguf] : found) ggufs.push_back(std::move(gguf));
  return ggufs;
}

std::string names_of(const std::vector<Gguf>& ggufs) {
  constexpr size_t kMaxNamed = 40;
  std::string names;
  for (size_t i = 0; i < std::min(ggufs.size(), kMaxNamed); ++i) {
    const std::string_view stem = file_name_of(ggufs[i].stem);
    names += (names.empty() ? "" : ", ") + (ggufs[i].label.empty() ? std::string(stem) : ggufs[i].label);
  }
  return ggufs.size() > kMaxNamed ? names + ", …" : names;
}

Result<RepoSelection> select_gguf_parts(const Gguf& gguf) {
  RepoSelection selection{.files = {}, .label = gguf.label};
  for (const RepoFile* file : gguf.files) selection.files.push_back(*file);
  std::sort(selection.files.begin(), selection.files.end(),
            [](const RepoFile& a, const RepoFile& b) { return a.path < b.path; });
  const size_t expected = std::max(gguf.parts, 1U);
  if (selection.files.size() != expected)
    return fail(ErrorCode::kNotFound, "{}: expected {} parts in the repository, found {}",
                file_name_of(gguf.stem), expected, selection.files.size());
  return selection;
}

bool is_chosen(const Gguf& gguf, std::string_view choice) {
  for (const RepoFile* file : gguf.files)
    if (file->path == choice || file_name_of(file->path) == choice) return true;
  return file_name_of(gguf.stem) == choice || (!gguf.label.empty() && gguf.label == upper(choice));
}

Result<RepoSelection> select_gguf(const std::vector<Gguf>& ggufs, std::string_view choice) {
  std::vector<const Gguf*> chosen;
  for (const Gguf& gguf : ggufs)
    if (is_chosen(gguf, choice)) chosen.push_back(&gguf);
  if (chosen.empty())  // "Q4_K_XL" may stand for "UD-Q4_K_XL"
    for (const Gguf& gguf : ggufs)
      if (gguf.label.ends_with("-" + upper(choice))) chosen.push_back(&gguf);
  if (chosen.size() == 1) return select_gguf_parts(*chosen.front());
  if (chosen.empty())
    return fail(ErrorCode::kNotFound, "expected a GGUF {}, found {}", choice,
                ggufs.empty() ? "none at all" : names_of(ggufs));
  return fail(ErrorCode::kInvalidArgument, "{}: {} files are that: name one of them, such as {}", choice,
              chosen.size(), chosen.front()->files.front()->path);
}

Result<RepoSelection> select_usual_gguf(const std::vector<Gguf>& ggufs) {
  if (ggufs.size() == 1) return select_gguf_parts(ggufs.front());
  for (const std::string_view usual : kUsualQuantisations) {
    const auto fits = [usual](const Gguf& gguf) { return gguf.label == usual; };
    if (std::count_if(ggufs.begin(), ggufs.end(), fits) == 1)
      return select_gguf_parts(*std::find_if(ggufs.begin(), ggufs.end(), fits));
  }
  return fail(ErrorCode::kInvalidArgument, "expected one GGUF to be chosen with \":NAME\", found {}",
              names_of(ggufs));
}

// `stem`.safetensors, or its shards as the index names them, or as they are numbered.
Result<std::vector<RepoFile>> weight_files(const RepoListing& listing, const std::string& stem,
                                           const ReadRepoFile& read) {
  std::vector<RepoFile> files;
  if (const RepoFile* index = find_file(listing, stem + ".safetensors.index.json")) {
    ATELIER_TRY(const std::string text, read(*index));
    ATELIER_TRY(const SafetensorsIndex parsed, SafetensorsIndex::parse(text, index->path));
    files.push_back(*index);
    for (const std::string& shard : parsed.shards()) {
      const RepoFile* file = find_file(listing, shard);
      if (file == nullptr)
        return fail(ErrorCode::kNotFound, "{}: expected the shard {}, which is not in the repository",
                    index->path, shard);
      files.push_back(*file);
    }
    return files;
  }
  if (const RepoFile* whole = find_file(listing, stem + ".safetensors")) return std::vector{*whole};
  for (const RepoFile& file : listing.files)
    if (file.path.find('/') == std::string::npos && file.path.starts_with(stem) &&
        file.path.ends_with(".safetensors"))
      files.push_back(file);
  return files;
}

// Empty where the repository has not this layout.
Result<RepoSelection> select_safetensors(const RepoListing& listing, std::string_view config,
                                         const std::string& stem, const ReadRepoFile& read) {
  RepoSelection selection;
  const RepoFile* described = find_file(listing, config);
  if (described == nullptr) return selection;
  ATELIER_TRY(std::vector<RepoFile> weights, weight_files(listing, stem, read));
  if (weights.empty()) return selection;
  selection.files.push_back(*described);
  for (const std::string_view side : kSideFiles)
    if (const RepoFile* file = find_file(listing, side)) selection.files.push_back(*file);
  if (find_file(listing, "tokenizer.json") == nullptr)
    return fail(ErrorCode::kUnsupported, "expected a tokenizer.json beside the weights, found none");
  selection.files.insert(selection.files.end(), weights.begin(), weights.end());
  return selection;
}

Result<RepoSelection> select_unchecked(const RepoListing& listing, std::string_view choice,
                                       const ReadRepoFile& read) {
  const std::vector<Gguf> ggufs = ggufs_of(listing);
  if (!choice.empty() && choice != "latest") return select_gguf(ggufs, choice);
  for (const auto& [config, stem] :
       {std::pair("config.json", "model"), std::pair("params.json", "consolidated")}) {
    ATELIER_TRY(RepoSelection selection, select_safetensors(listing, config, stem, read));
    if (!selection.files.empty()) return selection;
  }
  if (!ggufs.empty()) return select_usual_gguf(ggufs);
  const bool pickled = std::any_of(listing.files.begin(), listing.files.end(), [](const RepoFile& file) {
    return file.path.ends_with(".bin") || file.path.ends_with(".pth") || file.path.ends_with(".pt");
  });
  if (pickled)
    return fail(ErrorCode::kUnsupported,
                "expected safetensors or a GGUF, found only pickled weights, which are not read");
  return fail(ErrorCode::kNotFound,
              "expected config.json with *.safetensors, or a GGUF; found neither among {} files",
              listing.files.size());
}

}  // namespace

std::string quantisation_of(std::string_view file_name) {
  std::string stem = upper(parse_split_name(file_name).stem);
  std::string_view rest = stem;
  while (!rest.empty()) {
    const size_t separator = rest.find_last_of("-.");
    const std::string_view word = separator == std::string_view::npos ? rest : rest.substr(separator + 1);
    rest = separator == std::string_view::npos ? std::string_view() : rest.substr(0, separator);
    const std::string_view found = quantisation_in(word);
    if (found.empty()) continue;
    const bool dynamic = found == word && (rest == "UD" || rest.ends_with("-UD") || rest.ends_with(".UD"));
    return (dynamic ? "UD-" : "") + std::string(found);
  }
  return {};
}

Result<RepoSelection> select_repo_files(const RepoListing& listing, std::string_view choice,
                                        const ReadRepoFile& read) {
  ATELIER_TRY(RepoSelection selection, select_unchecked(listing, choice, read));
  for (const RepoFile& file : selection.files)
    if (!is_plain_file_name(file_name_of(file.path)))
      return fail(ErrorCode::kCorrupt, "expected plain file names in the repository, found {}",
                  shown(file.path));
  return selection;
}

}  // namespace atelier
