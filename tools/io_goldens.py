#!/usr/bin/env python3
"""Writes tests/data/io/: small model files as other people's writers make them.

  pip install gguf==0.19.0 safetensors==0.8.0 numpy; python3 tools/io_goldens.py

  every_type.gguf              one key of every type, tensors of ranks 1 to 3
  split-0000N-of-00003.gguf    three tensors, one a part
  three_tensors.safetensors    F32, U8 and an F16 scalar; metadata with escapes
"""
import pathlib

import numpy as np
from gguf import GGUFValueType, GGUFWriter, GGMLQuantizationType
from gguf.quants import quantize
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "io"


def every_type() -> None:
    writer = GGUFWriter(OUT / "every_type.gguf", "llama")
    writer.add_uint8("test.u8", 200)
    writer.add_int8("test.i8", -100)
    writer.add_uint16("test.u16", 60000)
    writer.add_int16("test.i16", -30000)
    writer.add_uint32("test.u32", 4_000_000_000)
    writer.add_int32("test.i32", -2_000_000_000)
    writer.add_float32("test.f32", 0.1)
    writer.add_bool("test.bool", True)
    writer.add_string("test.string", "naïve 字")
    writer.add_uint64("test.u64", 2**64 - 1)
    writer.add_int64("test.i64", -(2**63))
    writer.add_float64("test.f64", 0.1)
    writer.add_array("test.strings", ["", "a", "two words", "字"])
    writer.add_key_value("test.ints", [1, -2, 3], GGUFValueType.ARRAY, sub_type=GGUFValueType.INT32)
    writer.add_key_value("test.floats", [0.5, -1.5], GGUFValueType.ARRAY, sub_type=GGUFValueType.FLOAT32)
    writer.add_key_value("test.bools", [True, False, True], GGUFValueType.ARRAY, sub_type=GGUFValueType.BOOL)
    writer.add_array("tokenizer.ggml.tokens", ["x", "y"])
    writer.add_tensor("vector", np.arange(5, dtype=np.float32))
    writer.add_tensor("cube", np.arange(24, dtype=np.float16).reshape(2, 3, 4))
    packed = quantize(np.arange(128, dtype=np.float32).reshape(2, 64), GGMLQuantizationType.Q8_0)
    writer.add_tensor("packed", packed, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def split() -> None:
    writer = GGUFWriter(OUT / "split.gguf", "llama", split_max_tensors=1)
    writer.add_uint32("llama.block_count", 1)
    for i, name in enumerate(["first", "second", "third"]):
        writer.add_tensor(name, np.full((2, 8), i + 1, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    every_type()
    split()
    save_file({"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([7, 8, 9], dtype=np.uint8),
               "scalar": np.array(2.5, dtype=np.float16)},
              OUT / "three_tensors.safetensors", metadata={"format": "np", "note": "quote \" and 字"})


if __name__ == "__main__":
    main()
