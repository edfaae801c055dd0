// Runs models without the engine, and says how far their logits lie from a golden's.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/threads.h"
#include "models/model.h"

namespace atelier::testing {

struct Matrix {
  size_t rows = 0;
  size_t cols = 0;
  std::vector<float> values;  // [rows, cols]
  std::span<const float> row(size_t r) const { return std::span(values).subspan(r * cols, cols); }
};

// A case of tests/data/models: see the README there.
struct Golden {
  std::filesystem::path checkpoint;
  std::vector<TokenId> tokens;
  std::vector<size_t> positions;  // whose logits are kept
  Matrix logits;                  // [positions, vocab]
};
Golden read_golden(const std::string& name);

Result<std::unique_ptr<Model>> open_model(const std::filesystem::path& path);

struct RunOptions {
  Numerics numerics = Numerics::kReference;
  size_t n_threads = 1;
  size_t chunk = 512;  // tokens in one pass
  // Keys and values as the engine keeps them: F32 for the reference, F16 for the fast path.
  KvType kv_type() const { return numerics == Numerics::kReference ? KvType::kF32 : KvType::kF16; }
};

// Logits of every position, [tokens, vocab]. Packs the model if the numerics need it.
Matrix run_model(Model& model, std::span<const TokenId> tokens, const RunOptions& options);
// The rows that a golden keeps.
Matrix rows_at(const Matrix& logits, std::span<const size_t> positions);

// Standard deviation of all values.
double deviation(const Matrix& m);
// Largest |a − b|, in units of the deviation of b.
double max_difference(const Matrix& a, const Matrix& b);
// Mean over rows of KL(softmax(golden) ‖ softmax(found)), in nats, and the share of rows with the same
// argmax.
struct Agreement {
  double mean_kl = 0;
  double top1 = 0;
};
Agreement compare(const Matrix& found, const Matrix& golden);

}  // namespace atelier::testing
