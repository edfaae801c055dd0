#!/usr/bin/env python3
"""Writes a GGUF file with every weight decoded to float32: tools/float32_gguf.py MODEL.gguf OUT.gguf

Engines round activations differently before they meet quantised weights, so that their answers to the same quantised
file differ. With the weights in float32 nothing is rounded: what is left is how the model is computed. Give the
result to `tools/fidelity.py greedy` and `perplexity`. Needs PyPI's gguf, whose decoding of each format is the reference.
"""
import argparse
import pathlib

import gguf
import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    options = parser.parse_args()
    reader = gguf.GGUFReader(options.model)
    writer = gguf.GGUFWriter(options.out, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == "general.architecture":
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        value = int(gguf.LlamaFileType.ALL_F32) if field.name == "general.file_type" else field.contents()
        writer.add_key_value(field.name, value, kind, sub_type=element)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
