#include "models/synth.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/threads.h"
#include "io/gguf_writer.h"
#include "io/safetensors_writer.h"
#include "models/registry.h"
#include "models/synth_plan.h"
#include "models/synth_tensors.h"
#include "models/synth_tokenizer.h"

namespace atelier {
namespace {

namespace fs = std::filesystem;

struct FormatName {
  std::string_view name;
  SynthFormat format;
  uint32_t gguf_file_type;  // general.file_type (llama.cpp's llama_ftype)
};
constexpr std::array kFormats = {
    FormatName{"as-published", SynthFormat::kAsPublished, 32},
    FormatName{"f32", SynthFormat::kF32, 0},
    FormatName{"f16", SynthFormat::kF16, 1},
    FormatName{"bf16", SynthFormat::kBF16, 32},
    FormatName{"q8_0", SynthFormat::kQ8_0, 7},
    FormatName{"q4_0", SynthFormat::kQ4_0, 2},
    FormatName{"q4_1", SynthFormat::kQ4_1, 3},
    FormatName{"q4_k_m", SynthFormat::kQ4_K_M, 15},
};
constexpr uint32_t kFileTypeMxfp4Moe = 38;

// As Hugging Face cuts its uploads.
constexpr uint64_t kShardBytes = 5'000'000'000;

const SynthArchitecture* find_architecture(std::string_view name) {
  for (const Architecture& architecture : architectures())
    if (architecture.synth != nullptr && architecture.synth().name == name) return &architecture.synth();
  return nullptr;
}

// One checkpoint on its way to disk.
class Synthesis {
 public:
  Synthesis(const SynthOptions& options, const SynthProgress& progress)
      : options_(options), progress_(progress), pool_(options.n_threads) {}

  Result<uint64_t> run() {
    const SynthArchitecture* architecture = find_architecture(options_.architecture);
    if (architecture == nullptr)
      return fail(ErrorCode::kInvalidArgument, "synth: architecture: expected one of {}, found '{}'",
                  fmt::join(synth_architectures(), ", "), options_.architecture);
    ATELIER_CHECK_OK(make_plan(*architecture));
    ATELIER_TRY(tensors_, published_tensors(plan_, options_.dialect, options_.format));
    for (const PublishedTensor& tensor : tensors_) {
      by_name_.emplace(tensor.file.name, &tensor);
      ATELIER_TRY(const uint64_t bytes, checked_tensor_bytes(tensor.file));
      total_ += bytes;
    }
    ATELIER_CHECK_OK(check_destination());
    filler_.emplace(plan_, options_.dialect, options_.seed, pool_);
    if (options_.dialect == Dialect::kGguf) {
      ATELIER_CHECK_OK(write_gguf());
    } else {
      ATELIER_CHECK_OK(write_folder());
    }
    return size_on_disk();
  }

 private:
  Status make_plan(const SynthArchitecture& architecture) {
    const SynthTokens tokens = architecture.tokens();
    const bool generated = options_.tokenizer.empty();
    if (!generated) {
      ATELIER_TRY(vocabulary_, read_vocabulary(options_.tokenizer, tokens));
    }
    const uint64_t needed = generated ? min_generated_size(tokens) : vocabulary_.tokens.size();
    ATELIER_TRY(plan_, architecture.plan(options_, needed));
    if (generated) vocabulary_ = generate_vocabulary(plan_.vocab_size, tokens);
    return {};
  }

  Status check_destination() const {
    std::error_code error;
    if (options_.out.empty()) return fail(ErrorCode::kInvalidArgument, "synth: no place to write to");
    if (fs::exists(options_.out, error))
      return fail(ErrorCode::kInvalidArgument, "{}: expected nothing there yet, found a file or folder",
                  options_.out.string());
    const fs::path parent = options_.out.has_parent_path() ? options_.out.parent_path() : fs::path(".");
    const fs::space_info space = fs::space(parent, error);
    if (error) return tl::unexpected<Error>(errno_error(parent, error.value()));
    constexpr uint64_t kSideBytes = 64 << 20;  // tokenizer and headers
    if (space.available < total_ + kSideBytes)
      return fail(ErrorCode::kIo, "{}: needed {} MiB of free space, available {} MiB", parent.string(),
                  (total_ + kSideBytes) >> 20, space.available >> 20);
    return {};
  }

  FillRows fill_rows() {
    return [this](const TensorSpec& tensor, uint64_t first_row, std::span<std::byte> rows) -> Status {
      if (options_.cancel != nullptr && options_.cancel->load())
        return fail(ErrorCode::kInterrupted, "synth: interrupted");
      filler_->fill(*by_name_.find(tensor.name)->second, first_row, rows);
      done_ += rows.size();
      if (progress_) progress_(done_, total_);
      return {};
    };
  }

  Status write_gguf() {
    GgufWriter writer;
    for (const auto& [key, value] : plan_.config.items()) set_key(writer, key, value);
    writer.set("general.file_type", file_type());
    writer.set("general.quantization_version", uint32_t{2});
    set_tokenizer_keys(vocabulary_, plan_.vocab_size, writer);
    for (const PublishedTensor& tensor : tensors_) writer.add_tensor(tensor.file);
    return writer.write(options_.out, fill_rows());
  }

  static void set_key(GgufWriter& writer, const std::string& key, const nlohmann::json& value) {
    if (value.is_string()) {
      writer.set(key, value.get_ref<const std::string&>());
    } else if (value.is_boolean()) {
      writer.set(key, value.get<bool>());
    } else if (value.is_number_float()) {
      writer.set(key, value.get<float>());
    } else {
      writer.set(key, value.get<uint32_t>());
    }
  }

  uint32_t file_type() const {
    if (options_.format == SynthFormat::kAsPublished && plan_.experts == DType::kMXFP4)
      return kFileTypeMxfp4Moe;
    return std::ranges::find(kFormats, options_.format, &FormatName::format)->gguf_file_type;
  }

  // Everything goes into a folder of another name, which takes its own once it is complete.
  Status write_folder() {
    const fs::path draft = options_.out.string() + fmt::format(".partial-{}", getpid());
    std::error_code error;
    fs::remove_all(draft, error);
    if (!fs::create_directory(draft, error)) return tl::unexpected<Error>(errno_error(draft, error.value()));
    Status written = write_files(draft);
    if (written) {
      fs::rename(draft, options_.out, error);
      if (error) written = tl::unexpected<Error>(errno_error(options_.out, error.value()));
    }
    if (!written) {
      fs::remove_all(draft, error);
      return written;
    }
    return sync_folder(options_.out.has_parent_path() ? options_.out.parent_path() : fs::path("."));
  }

  Status write_files(const fs::path& folder) {
    const auto write = [&](const std::string& name, const std::string& text) {
      return write_file_atomically(folder / name, text);
    };
    const auto write_json = [&](const std::string& name, const nlohmann::json& json) {
      return write(name, json.dump(2) + "\n");
    };
    nlohmann::json config = plan_.config;
    if (options_.dialect == Dialect::kHf) {
      nlohmann::json ids = nlohmann::json::object();
      if (vocabulary_.bos) ids["bos_token_id"] = *vocabulary_.bos;
      if (!vocabulary_.ends.empty()) {
        config["eos_token_id"] = vocabulary_.ends.front();
        ids["eos_token_id"] = vocabulary_.ends;
      }
      if (vocabulary_.bos) config["bos_token_id"] = *vocabulary_.bos;
      ATELIER_CHECK_OK(write_json("generation_config.json", ids));
    }
    ATELIER_CHECK_OK(write_json(plan_.config_name, config));
    if (plan_.lists_dtypes) ATELIER_CHECK_OK(write_json("dtypes.json", dtypes_json()));
    ATELIER_CHECK_OK(write("tokenizer.json", vocabulary_.json));
    ATELIER_CHECK_OK(write("tokenizer_config.json", vocabulary_.config_json));
    SafetensorsWriter writer;
    for (const PublishedTensor& tensor : tensors_) writer.add_tensor(tensor.file);
    if (options_.dialect == Dialect::kHf) return writer.write_folder(folder, kShardBytes, fill_rows());
    return writer.write(folder / (plan_.weights_stem + ".safetensors"), fill_rows());
  }

  // "BF16" for whole tensors; the parts of MXFP4 are FP4 and UE8 to OpenAI.
  nlohmann::json dtypes_json() const {
    nlohmann::json dtypes = nlohmann::json::object();
    for (const PublishedTensor& tensor : tensors_)
      dtypes[tensor.file.name] = tensor.part == PublishedTensor::Part::kBlocks ? "FP4"
                                 : tensor.part == PublishedTensor::Part::kScales
                                     ? "UE8"
                                     : dtype_info(tensor.dtype).name;
    return dtypes;
  }

  Result<uint64_t> size_on_disk() const {
    std::error_code error;
    if (fs::is_regular_file(options_.out, error)) return fs::file_size(options_.out, error);
    uint64_t bytes = 0;
    for (const fs::directory_entry& entry : fs::directory_iterator(options_.out, error))
      bytes += entry.file_size(error);
    if (error) return tl::unexpected<Error>(errno_error(options_.out, error.value()));
    return bytes;
  }

  const SynthOptions& options_;
  const SynthProgress& progress_;
  ThreadPool pool_;
  SynthVocabulary vocabulary_;
  SynthPlan plan_;
  std::vector<PublishedTensor> tensors_;
  std::map<std::string_view, const PublishedTensor*> by_name_;
  std::optional<TensorFiller> filler_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
};

}  // namespace

Result<SynthFormat> parse_synth_format(std::string_view name) {
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto found = std::ranges::find(kFormats, lower, &FormatName::name);
  if (found != kFormats.end()) return found->format;
  return fail(ErrorCode::kInvalidArgument, "synth: format: expected one of {}, found '{}'",
              fmt::join(synth_format_names(), ", "), name);
}

std::vector<std::string_view> synth_format_names() {
  std::vector<std::string_view> names;
  for (const FormatName& format : kFormats) names.push_back(format.name);
  return names;
}

std::vector<std::string_view> synth_architectures() {
  std::vector<std::string_view> names;
  for (const Architecture& architecture : architectures())
    if (architecture.synth != nullptr) names.push_back(architecture.synth().name);
  return names;
}

std::vector<std::string_view> synth_presets(std::string_view architecture) {
  const SynthArchitecture* found = find_architecture(architecture);
  return found == nullptr ? std::vector<std::string_view>{} : found->presets();
}

Result<uint64_t> synthesize(const SynthOptions& options, const SynthProgress& progress) {
  return Synthesis(options, progress).run();
}

}  // namespace atelier
