#include "tests/models/model_runner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

#include "base/buffer.h"
#include "base/checked.h"

namespace atelier::testing {
namespace {

namespace fs = std::filesystem;

std::string read_all(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

// float32 [rows, cols] in C order, as numpy.save writes version 1.0.
Matrix read_npy(const fs::path& path) {
  const std::string file = read_all(path);
  constexpr size_t kPreamble = 10;  // magic, version, length of the header
  const size_t header_bytes = static_cast<uint8_t>(file[8]) + size_t{256} * static_cast<uint8_t>(file[9]);
  const std::string header = file.substr(kPreamble, header_bytes);
  EXPECT_NE(header.find("'<f4'"), std::string::npos) << header;
  EXPECT_NE(header.find("'fortran_order': False"), std::string::npos) << header;
  Matrix m;
  const size_t shape = header.find("'shape': (") + std::strlen("'shape': (");
  EXPECT_EQ(std::sscanf(header.c_str() + shape, "%zu, %zu", &m.rows, &m.cols), 2);
  m.values.resize(m.rows * m.cols);
  EXPECT_EQ(file.size(), kPreamble + header_bytes + m.values.size() * sizeof(float));
  std::memcpy(m.values.data(), file.data() + kPreamble + header_bytes, m.values.size() * sizeof(float));
  return m;
}

// Pages of every layer for one sequence, none ever given back.
class Pages {
 public:
  Pages(std::span<const LayerCache> layers, size_t n_tokens, KvType type) : pages_(layers.size()) {
    const size_t n_pages = ceil_div(n_tokens, kKvPageTokens);
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      KvGeometry geometry = layers[layer].geometry;
      geometry.type = type;
      const size_t bytes = round_up(geometry.page_bytes(), kCacheLineBytes);
      const RawBuffer& memory = memory_.emplace_back(n_pages * bytes);
      std::memset(memory.data(), 0xff, memory.size());  // NaN where nothing was written
      for (size_t page = 0; page < n_pages; ++page) pages_[layer].push_back(memory.data() + page * bytes);
    }
  }
  ops::AttentionSequence sequence(size_t layer, size_t first_position, size_t n_rows) const {
    return {.pages = pages_[layer], .n_rows = n_rows, .first_position = first_position};
  }

 private:
  std::vector<RawBuffer> memory_;
  std::vector<std::vector<std::byte*>> pages_;
};

double log_sum_exp(std::span<const float> row) {
  const double largest = *std::ranges::max_element(row);
  double sum = 0;
  for (const float value : row) sum += std::exp(value - largest);
  return largest + std::log(sum);
}

}  // namespace

Golden read_golden(const std::string& name) {
  const fs::path folder = fs::path(ATELIER_TEST_DATA) / "models" / name;
  Golden golden;
  golden.checkpoint = folder;
  golden.tokens = nlohmann::json::parse(read_all(folder / "tokens.json")).get<std::vector<TokenId>>();
  golden.positions = nlohmann::json::parse(read_all(folder / "positions.json")).get<std::vector<size_t>>();
  golden.logits = read_npy(folder / "logits.npy");
  EXPECT_EQ(golden.logits.rows, golden.positions.size());
  return golden;
}

Result<std::unique_ptr<Model>> open_model(const fs::path& path) {
  ATELIER_TRY(Checkpoint checkpoint, Checkpoint::open(path));
  return load_model(std::make_shared<const Checkpoint>(std::move(checkpoint)));
}

Matrix run_model(Model& model, std::span<const TokenId> tokens, const RunOptions& options) {
  const ModelInfo& info = model.info();
  ThreadPool pool(options.n_threads);
  Context ctx(pool, options.numerics);
  if (options.numerics != Numerics::kReference) model.pack(pool);
  const Pages pages(info.cache, tokens.size(), options.kv_type());
  Matrix logits{tokens.size(), info.vocab_size, std::vector<float>(tokens.size() * info.vocab_size, NAN)};
  for (size_t first = 0; first < tokens.size(); first += options.chunk) {
    const size_t n = std::min(options.chunk, tokens.size() - first);
    std::vector<int32_t> positions(n);
    std::iota(positions.begin(), positions.end(), static_cast<int32_t>(first));
    std::vector<uint32_t> rows(n);
    std::iota(rows.begin(), rows.end(), 0);
    std::vector<ops::AttentionSequence> sequences;
    for (size_t layer = 0; layer < info.n_layers; ++layer)
      sequences.push_back(pages.sequence(layer, first, n));
    std::vector<std::span<const ops::AttentionSequence>> kv;
    for (const ops::AttentionSequence& sequence : sequences) kv.emplace_back(&sequence, 1);
    model.forward(ctx,
                  {.tokens = tokens.subspan(first, n),
                   .positions = positions,
                   .logit_rows = rows,
                   .kv = kv,
                   .kv_type = options.kv_type()},
                  {logits.values.data() + first * info.vocab_size, n, info.vocab_size});
  }
  return logits;
}

Matrix rows_at(const Matrix& logits, std::span<const size_t> positions) {
  Matrix m{positions.size(), logits.cols, {}};
  for (const size_t position : positions) {
    const auto row = logits.row(position);
    m.values.insert(m.values.end(), row.begin(), row.end());
  }
  return m;
}

double deviation(const Matrix& m) {
  double sum = 0, squares = 0;
  for (const float value : m.values) {
    sum += value;
    squares += double{value} * value;
  }
  const auto n = static_cast<double>(m.values.size());
  return std::sqrt(squares / n - sum / n * sum / n);
}

double max_difference(const Matrix& a, const Matrix& b) {
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.cols, b.cols);
  double largest = 0;
  for (size_t i = 0; i < b.values.size(); ++i) {
    const double difference = std::abs(double{a.values[i]} - b.values[i]);
    if (std::isnan(difference)) return difference;
    largest = std::max(largest, difference);
  }
  return largest / deviation(b);
}

Agreement compare(const Matrix& found, const Matrix& golden) {
  EXPECT_EQ(found.rows, golden.rows);
  EXPECT_EQ(found.cols, golden.cols);
  Agreement agreement;
  size_t n_same = 0;
  for (size_t r = 0; r < golden.rows; ++r) {
    const auto p = golden.row(r), q = found.row(r);
    const double log_p = log_sum_exp(p), log_q = log_sum_exp(q);
    double kl = 0;
    for (size_t i = 0; i < p.size(); ++i) kl += std::exp(p[i] - log_p) * ((p[i] - log_p) - (q[i] - log_q));
    agreement.mean_kl += kl / static_cast<double>(golden.rows);
    if (std::ranges::max_element(p) - p.begin() == std::ranges::max_element(q) - q.begin()) ++n_same;
  }
  agreement.top1 = static_cast<double>(n_same) / static_cast<double>(golden.rows);
  return agreement;
}

}  // namespace atelier::testing
