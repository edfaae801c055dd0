#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>

#include "formats/encode.h"
#include "io/checkpoint.h"
#include "io/gguf_writer.h"
#include "io/safetensors_writer.h"
#include "tests/io/store_fixture.h"

namespace atelier::testing {
namespace {

namespace fs = std::filesystem;

// A byte that tells where in which tensor it stands.
std::byte pattern(std::string_view name, uint64_t at) {
  return static_cast<std::byte>(std::hash<std::string_view>()(name) + at * 31 + (at >> 8));
}

Status fill_pattern(const TensorSpec& tensor, uint64_t first_row, std::span<std::byte> rows) {
  const uint64_t base = first_row * *row_bytes(tensor.dtype, tensor.shape.cols());
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = pattern(tensor.name, base + i);
  return {};
}

void expect_pattern(const TensorView& tensor) {
  for (size_t i = 0; i < tensor.bytes.size(); ++i)
    ASSERT_EQ(tensor.bytes[i], pattern(tensor.name, i)) << tensor.name << " byte " << i;
}

size_t entries_in(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(GgufWriter, EveryFormatAndTypeReadsBack) {
  const TempFolder folder;
  GgufWriter writer({.alignment = 64});
  writer.set("general.architecture", "llama");
  writer.set("u8", uint8_t{255});
  writer.set("i16", int16_t{-7});
  writer.set("u64", UINT64_MAX);
  writer.set("bool", true);
  writer.set("f32", 0.25f);
  writer.set("f64", -1e300);
  writer.set_array("strings", std::vector<std::string>{"", "b", std::string("c\0d", 3)});
  writer.set_array<float>("floats", std::vector<float>{1, 2, 3});
  writer.set_array<int32_t>("none", std::vector<int32_t>{});
  for (int i = 0; i <= static_cast<int>(DType::kBool); ++i)
    if (const DTypeInfo& info = dtype_info(static_cast<DType>(i)); dtype_to_gguf(info.dtype))
      writer.add_tensor(
          {std::string("t.") + std::string(info.name), info.dtype, {3, 2, info.block_elems * 3}});
  ASSERT_GT(writer.tensors().size(), 20u);
  const fs::path path = folder / "x.gguf";
  const Status written = writer.write(path, fill_pattern);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(entries_in(folder.path()), 1u);
  EXPECT_EQ(fs::file_size(path) % 64, 0u);

  const Result<Checkpoint> back = Checkpoint::open(path);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->architecture(), "llama");
  EXPECT_EQ(back->tensors().size(), writer.tensors().size());
  for (const TensorSpec& spec : writer.tensors()) {
    const TensorView* tensor = back->find(spec.name);
    ASSERT_NE(tensor, nullptr) << spec.name;
    EXPECT_EQ(tensor->dtype, spec.dtype);
    EXPECT_EQ(tensor->shape, spec.shape);
    expect_pattern(*tensor);
  }
  const GgufMetadata& m = *back->gguf();
  EXPECT_EQ(m.uint("u8"), 255u);
  EXPECT_EQ(m.integer("i16"), -7);
  EXPECT_EQ(m.uint("u64"), UINT64_MAX);
  EXPECT_EQ(m.boolean("bool"), true);
  EXPECT_EQ(m.number("f32"), 0.25);
  EXPECT_EQ(m.number("f64"), -1e300);
  const GgufStrings strings = *m.strings("strings");
  EXPECT_EQ(std::vector<std::string>(strings.begin(), strings.end()),
            (std::vector<std::string>{"", "b", std::string("c\0d", 3)}));
  EXPECT_EQ((*m.floats("floats"))[2], 3.0);
  EXPECT_EQ(m.integers("none")->size(), 0u);
}

TEST(GgufWriter, LargeTensorsArriveInChunksOfWholeRows) {
  const TempFolder folder;
  GgufWriter writer;
  writer.add_tensor({"long.rows", DType::kF32, {3, 5'000'000}});  // a row is larger than a chunk
  writer.add_tensor({"many.rows", DType::kQ8_0, {30'011, 512}});
  size_t calls = 0;
  uint64_t next_row = 0;
  std::string current;
  const Status written = writer.write(
      folder / "x.gguf", [&](const TensorSpec& tensor, uint64_t first_row, std::span<std::byte> rows) {
        if (tensor.name != std::exchange(current, tensor.name)) next_row = 0;
        EXPECT_EQ(first_row, next_row);
        const size_t row = *row_bytes(tensor.dtype, tensor.shape.cols());
        EXPECT_EQ(rows.size() % row, 0u);
        EXPECT_LE(rows.size(), std::max(row, kWriteChunkBytes));
        next_row += rows.size() / row;
        ++calls;
        return fill_pattern(tensor, first_row, rows);
      });
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(calls, 3u + 2u);
  const Result<Checkpoint> back = Checkpoint::open(folder / "x.gguf");
  ASSERT_TRUE(back) << back.error().message;
  const TensorView* tensor = back->find("many.rows");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->bytes.back(), pattern("many.rows", tensor->bytes.size() - 1));
  EXPECT_EQ(tensor->bytes[9'000'000], pattern("many.rows", 9'000'000));
}

TEST(GgufWriter, WhatCannotBeWrittenIsRefusedAndLeavesNothing) {
  const TempFolder folder;
  const auto refused = [&](auto&& prepare, std::string_view part) {
    GgufWriter writer;
    prepare(writer);
    const Status written = writer.write(folder / "x.gguf", fill_pattern);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(written.error().message.find(part), std::string::npos) << written.error().message;
    EXPECT_EQ(entries_in(folder.path()), 0u);
  };
  refused([](GgufWriter& w) { w.add_tensor({"t", DType::kF8E4M3, {32}}); }, "a format GGUF has");
  refused([](GgufWriter& w) { w.add_tensor({"t", DType::kQ4_0, {33}}); }, "whole Q4_0 blocks");
  refused([](GgufWriter& w) { w.add_tensor({"a\nb", DType::kF32, {1}}); }, "printable");
  refused([](GgufWriter& w) { w.add_tensor({"t", DType::kF32, {1ull << 40, 1ull << 40}}); }, "2^64");
  refused([](GgufWriter& w) { w.add_tensor({"t", DType::kF32, {0}}); }, "at least one element");
  refused(
      [](GgufWriter& w) {
        w.add_tensor({"t", DType::kF32, {1}});
        w.add_tensor({"t", DType::kF32, {1}});
      },
      "found two");
  refused(
      [](GgufWriter& w) {
        w.set("k", 1);
        w.set("k", 2);
      },
      "set once");
}

TEST(GgufWriter, AnErrorOfTheSourceEndsItAndLeavesTheOldFile) {
  const TempFolder folder;
  const fs::path path = write(folder / "x.gguf", "old");
  GgufWriter writer;
  writer.add_tensor({"t", DType::kF32, {4}});
  const Status written = writer.write(path, [](const TensorSpec&, uint64_t, std::span<std::byte>) -> Status {
    return fail(ErrorCode::kInterrupted, "stopped here");
  });
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().message, "stopped here");
  EXPECT_EQ(read(path), "old");
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

// A full disk, as far as a test may make one: the process's limit on file sizes.
TEST(GgufWriter, ADiskThatFillsIsAnErrorAndLeavesNothing) {
  const TempFolder folder;
  GgufWriter writer;
  writer.add_tensor({"t", DType::kF32, {1 << 20}});
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1 << 20, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status written = writer.write(folder / "x.gguf", fill_pattern);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, ErrorCode::kIo);
  EXPECT_EQ(entries_in(folder.path()), 0u);
}

TEST(SafetensorsWriter, EveryDtypeReadsBackAligned) {
  const TempFolder folder;
  SafetensorsWriter writer;
  for (int i = static_cast<int>(DType::kBool); i >= 0; --i)
    if (const DTypeInfo& info = dtype_info(static_cast<DType>(i)); dtype_to_safetensors(info.dtype))
      writer.add_tensor({std::string("t.\"") + std::string(info.name), info.dtype, {3, 5}});
  writer.add_tensor({"empty", DType::kF32, {0, 4}});
  writer.add_tensor({"scalar", DType::kBF16, {}});
  const fs::path path = folder / "x.safetensors";
  const Status written = writer.write(path, fill_pattern);
  ASSERT_TRUE(written) << written.error().message;
  const Result<Checkpoint> back = Checkpoint::open(path);
  ASSERT_TRUE(back) << back.error().message;
  ASSERT_EQ(back->tensors().size(), writer.tensors().size());
  for (const TensorSpec& spec : writer.tensors()) {
    const TensorView* tensor = back->find(spec.name);
    ASSERT_NE(tensor, nullptr) << spec.name;
    EXPECT_EQ(tensor->dtype, spec.dtype);
    EXPECT_EQ(tensor->shape, spec.shape);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor->bytes.data()) % dtype_info(spec.dtype).block_bytes, 0u);
    expect_pattern(*tensor);
  }
}

TEST(SafetensorsWriter, ShardsWhatIsTooLarge) {
  const TempFolder folder;
  write(folder / "config.json", R"({"model_type":"llama"})");
  SafetensorsWriter writer;
  for (int i = 0; i < 7; ++i)
    writer.add_tensor({fmt::format("t{}", i), DType::kF32, {static_cast<uint64_t>(i) + 1, 25}});
  // 100, 200, … 700 bytes: [100 200] [300] [400] [500] [600] [700]
  const Status written = writer.write_folder(folder.path(), 500, fill_pattern);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_TRUE(fs::exists(folder / "model-00006-of-00006.safetensors"));
  EXPECT_EQ(entries_in(folder.path()), 1u + 6u + 1u);
  const Result<Checkpoint> back = Checkpoint::open(folder.path());
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->files().size(), 6u);
  EXPECT_EQ(back->total_tensor_bytes(), 2800u);
  for (const TensorView& tensor : back->tensors()) expect_pattern(tensor);
}

TEST(SafetensorsWriter, RefusesWhatTheFormatLacks) {
  const TempFolder folder;
  for (const TensorSpec& bad :
       {TensorSpec{"t", DType::kQ8_0, {32}}, TensorSpec{"__metadata__", DType::kF32, {1}},
        TensorSpec{"", DType::kF32, {1}}}) {
    SafetensorsWriter writer;
    writer.add_tensor(bad);
    const Status written = writer.write(folder / "x", fill_pattern);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(entries_in(folder.path()), 0u);
}

}  // namespace
}  // namespace atelier::testing
