// Binding logical weights to whatever layout a publisher chose, and saying what is wrong where it does not
// fit.
#include "models/weight_table.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <map>

#include "formats/decode.h"
#include "formats/encode.h"
#include "io/gguf_writer.h"
#include "io/safetensors_writer.h"

namespace atelier {
namespace {

namespace fs = std::filesystem;

// A checkpoint of one architecture nobody has, with tensors whose values are 0, 1, 2, …
class WeightTableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::path(::testing::TempDir()) / (std::string("weights_") + info->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // F32 and U8 tensors alike count up from 0.
  static Status count_up(const TensorSpec& tensor, uint64_t first_row, std::span<std::byte> rows) {
    const uint64_t first = first_row * tensor.shape.cols();
    if (tensor.dtype == DType::kU8) {
      for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::byte>(first + i);
      return {};
    }
    std::vector<float> values(rows.size() / *row_bytes(tensor.dtype, tensor.shape.cols()) *
                              tensor.shape.cols());
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(first + i);
    encode_row(tensor.dtype, values, rows);
    return {};
  }

  Checkpoint open(Dialect dialect, const std::vector<TensorSpec>& tensors) {
    if (dialect == Dialect::kGguf) {
      GgufWriter writer;
      writer.set("general.architecture", "nobody");
      for (const TensorSpec& tensor : tensors) writer.add_tensor(tensor);
      EXPECT_TRUE(writer.write(folder_ / "model.gguf", count_up));
      return *Checkpoint::open(folder_ / "model.gguf");
    }
    std::ofstream(folder_ / "config.json")
        << (dialect == Dialect::kHf ? R"({"model_type": "nobody"})"
                                    : R"({"num_experts": 1, "experts_per_token": 1, "swiglu_limit": 7})");
    SafetensorsWriter writer;
    for (const TensorSpec& tensor : tensors) writer.add_tensor(tensor);
    EXPECT_TRUE(writer.write(folder_ / "model.safetensors", count_up));
    return *Checkpoint::open(folder_);
  }

  Status load(const WeightTable& table, const Checkpoint& checkpoint) {
    return table.load(checkpoint, owned_);
  }

  static std::vector<float> decoded(const Weight& weight) {
    std::vector<float> values(weight.rows() * weight.cols());
    for (size_t r = 0; r < weight.rows(); ++r)
      weight.decode_row(r, std::span(values).subspan(r * weight.cols(), weight.cols()));
    return values;
  }

  fs::path folder_;
  std::vector<RawBuffer> owned_;
};

TEST_F(WeightTableTest, PlainMatrixAndVector) {
  Weight weight;
  std::vector<float> vector;
  WeightTable table;
  table.matrix(weight, {"w", "w", "w"}, 2, 3);
  table.vector(vector, {"v", "v", "v"}, 4);
  const Checkpoint checkpoint =
      open(Dialect::kGguf, {{"w", DType::kF32, Shape{2, 3}}, {"v", DType::kF32, Shape{4}}});
  ASSERT_TRUE(load(table, checkpoint));
  EXPECT_EQ(decoded(weight), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(vector, (std::vector<float>{0, 1, 2, 3}));
}

TEST_F(WeightTableTest, FusedAndAlternatingRows) {
  Weight q, k, gate, up;
  std::vector<float> up_bias;
  WeightTable table;
  table.matrix(q, {{}, Source("qk", 0, 1, 3), {}}, 2, 2);
  table.matrix(k, {{}, Source("qk", 2, 1, 3), {}}, 1, 2);
  table.matrix(gate, {{}, Source("mlp", 0, 2, 4), {}}, 2, 1);
  table.matrix(up, {{}, Source("mlp", 1, 2, 4), {}}, 2, 1);
  table.vector(up_bias, {{}, Source("bias", 1, 2, 4), {}}, 2);
  const Checkpoint checkpoint = open(
      Dialect::kHf,
      {{"qk", DType::kF32, Shape{3, 2}}, {"mlp", DType::kF32, Shape{4, 1}}, {"bias", DType::kF32, Shape{4}}});
  const Status loaded = load(table, checkpoint);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(decoded(q), (std::vector<float>{0, 1, 2, 3}));
  EXPECT_EQ(decoded(k), (std::vector<float>{4, 5}));
  EXPECT_EQ(decoded(gate), (std::vector<float>{0, 2}));
  EXPECT_EQ(decoded(up), (std::vector<float>{1, 3}));
  EXPECT_EQ(up_bias, (std::vector<float>{1, 3}));
}

TEST_F(WeightTableTest, TransposedSlicesInEveryPlainFormat) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    Weight q, v;
    WeightTable table;
    // [2 columns, 3 rows fused of 1 + 1 + 1]
    table.matrix(q, {{}, Source("c_attn", 0, 1, 3), {}}, 1, 2, {.transposed = true});
    table.matrix(v, {{}, Source("c_attn", 1, 1, 3), {}}, 2, 2, {.transposed = true});
    const Checkpoint checkpoint = open(Dialect::kHf, {{"c_attn", dtype, Shape{2, 3}}});
    ASSERT_TRUE(load(table, checkpoint));
    EXPECT_EQ(q.dtype(), dtype);
    EXPECT_EQ(decoded(q), (std::vector<float>{0, 3}));
    EXPECT_EQ(decoded(v), (std::vector<float>{1, 4, 2, 5}));
  }
}

TEST_F(WeightTableTest, TransposedStacksOfExperts) {
  std::vector<Weight> gate, up;
  WeightTable table;
  table.expert_matrices(gate, {{}, Source("gate_up", 0, 2, 4), {}}, 2, 2, 3, {.transposed = true});
  table.expert_matrices(up, {{}, Source("gate_up", 1, 2, 4), {}}, 2, 2, 3, {.transposed = true});
  const Checkpoint checkpoint = open(Dialect::kHf, {{"gate_up", DType::kF32, Shape{2, 3, 4}}});
  ASSERT_TRUE(load(table, checkpoint));
  ASSERT_EQ(gate.size(), 2u);
  EXPECT_EQ(decoded(gate[0]), (std::vector<float>{0, 4, 8, 2, 6, 10}));
  EXPECT_EQ(decoded(up[1]), (std::vector<float>{13, 17, 21, 15, 19, 23}));
}

TEST_F(WeightTableTest, LargeTransposedMatrixCrossesTiles) {
  constexpr uint64_t kRows = 67, kCols = 41;
  Weight weight;
  WeightTable table;
  table.matrix(weight, {{}, "w", {}}, kRows, kCols, {.transposed = true});
  const Checkpoint checkpoint = open(Dialect::kHf, {{"w", DType::kF32, Shape{kCols, kRows}}});
  ASSERT_TRUE(load(table, checkpoint));
  const std::vector<float> values = decoded(weight);
  for (uint64_t r = 0; r < kRows; ++r)
    for (uint64_t c = 0; c < kCols; ++c)
      ASSERT_EQ(values[r * kCols + c], static_cast<float>(c * kRows + r)) << r << ", " << c;
}

TEST_F(WeightTableTest, RotaryRowsBecomeHalves) {
  for (const Dialect dialect : {Dialect::kGguf, Dialect::kHf}) {
    Weight weight;
    std::vector<float> bias;
    WeightTable table;
    table.matrix(weight, {"w", "w", "w"}, 8, 1, {.order = RowOrder::kRotary, .head_dim = 4});
    table.vector(bias, {"b", "b", "b"}, 8, {.order = RowOrder::kRotary, .head_dim = 4});
    const Checkpoint checkpoint =
        open(dialect, {{"w", DType::kF32, Shape{8, 1}}, {"b", DType::kF32, Shape{8}}});
    ASSERT_TRUE(load(table, checkpoint));
    const std::vector<float> want = dialect == Dialect::kHf ? std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7}
                                                            : std::vector<float>{0, 2, 1, 3, 4, 6, 5, 7};
    EXPECT_EQ(decoded(weight), want);
    EXPECT_EQ(bias, want);
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
}

TEST_F(WeightTableTest, RowAtIsTheInverseOfPublishedRow) {
  Weight a, b;
  WeightTable table;
  table.matrix(a, {Source("w", 3, 2, 40), {}, {}}, 16, 1, {.order = RowOrder::kRotary, .head_dim = 8});
  table.matrix(b, {Source("w", 0, 1, 40), {}, {}}, 3, 1);
  std::map<uint64_t, int> owners;
  for (const WeightSpec& spec : table.specs())
    for (uint64_t row = 0; row < spec.rows; ++row) {
      const uint64_t published = spec.published_row(row, Dialect::kGguf);
      EXPECT_EQ(spec.row_at(published, Dialect::kGguf), row);
      ++owners[published];
    }
  for (const auto& [row, n] : owners) EXPECT_EQ(n, 1) << row;
  EXPECT_FALSE(table.specs()[0].row_at(2, Dialect::kGguf));
  EXPECT_FALSE(table.specs()[0].row_at(4, Dialect::kGguf));
  EXPECT_FALSE(table.specs()[0].row_at(35, Dialect::kGguf));
}

TEST_F(WeightTableTest, SplitMxfp4OfExperts) {
  std::vector<Weight> gate;
  WeightTable table;
  table.expert_matrices(gate, {{}, Source("mlp1", 1, 2, 4), Source("mlp1", 1, 2, 4)}, 2, 2, 64);
  for (const Dialect dialect : {Dialect::kHf, Dialect::kOriginal}) {
    const std::string separator = dialect == Dialect::kHf ? "_" : ".";
    const Checkpoint checkpoint =
        open(dialect, {{"mlp1" + separator + "blocks", DType::kU8, Shape{2, 4, 2, 16}},
                       {"mlp1" + separator + "scales", DType::kU8, Shape{2, 4, 2}}});
    const Status loaded = load(table, checkpoint);
    ASSERT_TRUE(loaded) << loaded.error().message;
    ASSERT_EQ(gate.size(), 2u);
    EXPECT_EQ(gate[0].dtype(), DType::kMXFP4);
    // Expert 1, row 0 is published row 4 + 1: bytes from 5 · 32, scales from 5 · 2.
    EXPECT_EQ(gate[1].source().rows[0].data[0], std::byte{160});
    EXPECT_EQ(gate[1].source().rows[0].scales[1], std::byte{11});
    EXPECT_EQ(gate[1].source().rows[1].data[0], std::byte{224});
  }
}

TEST_F(WeightTableTest, ErrorsNameTensorExpectedAndFound) {
  Weight weight;
  std::vector<float> vector;
  std::vector<Weight> experts;
  WeightTable table;
  table.matrix(weight, {"w", "w", "w"}, 2, 3);
  const auto message = [&](const WeightTable& t, const std::vector<TensorSpec>& tensors, ErrorCode code) {
    const Checkpoint checkpoint = open(Dialect::kHf, tensors);
    const Status loaded = load(t, checkpoint);
    EXPECT_FALSE(loaded);
    if (loaded) return std::string();
    EXPECT_EQ(loaded.error().code, code);
    return loaded.error().message;
  };
  EXPECT_EQ(message(table, {{"x", DType::kF32, Shape{2, 3}}}, ErrorCode::kNotFound),
            "tensor w: expected shape [2, 3], found no such tensor");
  EXPECT_EQ(message(table, {{"w", DType::kF32, Shape{3, 2}}}, ErrorCode::kCorrupt),
            "tensor w: expected shape [2, 3], found [3, 2]");
  EXPECT_EQ(message(table, {{"w", DType::kU8, Shape{2, 3}}}, ErrorCode::kUnsupported),
            "tensor w: expected a weight format, found U8");

  WeightTable stacked;
  stacked.expert_matrices(experts, {"w", "w", "w"}, 2, 4, 64);
  EXPECT_EQ(message(stacked,
                    {{"w_blocks", DType::kU8, Shape{2, 4, 2, 16}}, {"w_scales", DType::kU8, Shape{2, 4, 1}}},
                    ErrorCode::kCorrupt),
            "tensor w_scales: expected U8 [2, 4, 2], found U8 [2, 4, 1]");
  EXPECT_EQ(message(stacked, {{"w_blocks", DType::kU8, Shape{2, 4, 2, 16}}}, ErrorCode::kNotFound),
            "tensor w: expected shape [2, 4, 64], found no such tensor");

  WeightTable bias;
  bias.vector(vector, {"v", "v", "v"}, 5);
  EXPECT_EQ(message(bias, {{"v", DType::kF32, Shape{4}}}, ErrorCode::kCorrupt),
            "tensor v: expected shape [5], found [4]");

  WeightTable unpublished;
  unpublished.matrix(weight, {"only_in_gguf", {}, {}}, 2, 3);
  EXPECT_EQ(message(unpublished, {{"w", DType::kF32, Shape{2, 3}}}, ErrorCode::kUnsupported),
            "hf checkpoints of this architecture are not published with tensor only_in_gguf");
}

TEST_F(WeightTableTest, OptionalEntriesStayEmpty) {
  Weight head;
  std::vector<float> bias;
  WeightTable table;
  table.matrix(head, {"head", "head", {}}, 2, 3, {.presence = Presence::kOptional});
  table.vector(bias, {"bias", {}, {}}, 2, {.presence = Presence::kOptional});
  const Checkpoint checkpoint = open(Dialect::kHf, {{"w", DType::kF32, Shape{2, 3}}});
  ASSERT_TRUE(load(table, checkpoint));
  EXPECT_TRUE(head.empty());
  EXPECT_TRUE(bias.empty());
}

TEST_F(WeightTableTest, OffsetOfHfVectors) {
  std::vector<float> norm;
  WeightTable table;
  table.vector(norm, {"n", "n", {}}, 2, {.hf_offset = 1});
  ASSERT_TRUE(load(table, open(Dialect::kHf, {{"n", DType::kF32, Shape{2}}})));
  EXPECT_EQ(norm, (std::vector<float>{1, 2}));
  ASSERT_TRUE(load(table, open(Dialect::kGguf, {{"n", DType::kF32, Shape{2}}})));
  EXPECT_EQ(norm, (std::vector<float>{0, 1}));
}

}  // namespace
}  // namespace atelier
