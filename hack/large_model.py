#!/usr/bin/env python3
"""Writes an ONNX model as large as you like (below 2 GiB), for figures on loading: hack/large_model.py 512 model.onnx

A chain of matrix products over FP32 weights that do not compress; the same arguments give the same bytes. It is written
as a stream, so it takes no more memory than one matrix. Input `x` and output `y` are [n, 4096].
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from onnx_bytes import FLOAT, data, given, node, number, opset, result, varint

WIDTH = 4096
MATRIX_BYTES = WIDTH * WIDTH * 4
LARGEST_MIB = 1984
"""Protocol buffers end at 2 GiB."""
# The high byte of each float: its sign and most of its exponent, for magnitudes of 0.008 to 0.03.
_HIGH_BYTE = bytes(0x3C if value < 128 else 0xBC for value in range(256))


def write(path: Path, mebibytes: int) -> int:
    """Write a model with at least so many MiB of weights; the bytes of the file. Raises ValueError."""
    if not 1 <= mebibytes <= LARGEST_MIB:
        raise ValueError(f"{mebibytes} MiB: a model in one file has 1 to {LARGEST_MIB}")
    layers = -(-mebibytes * 2**20 // MATRIX_BYTES)
    names = ["x", *(f"h{layer}" for layer in range(1, layers)), "y"]
    nodes = b"".join(node("MatMul", [names[layer], f"w{layer}"], [names[layer + 1]]) for layer in range(layers))
    small = data(2, "large") + nodes + given("x", _matrix_type()) + result("y", _matrix_type())
    beginnings = [_tensor_beginning(layer) for layer in range(layers)]
    graph_bytes = len(small) + sum(map(len, beginnings)) + layers * MATRIX_BYTES
    with path.open("wb") as file:
        file.write(number(1, 9) + data(2, "hack/large_model.py") + varint(7 << 3 | 2) + varint(graph_bytes) + small)
        for beginning, weights in zip(beginnings, _weights(layers), strict=True):
            file.write(beginning)
            file.write(weights)
        file.write(opset("", 17))
        return file.tell()


def _tensor_beginning(layer: int) -> bytes:
    """An initializer of a graph up to its raw data."""
    fields = number(1, WIDTH) + number(1, WIDTH) + number(2, FLOAT) + data(8, f"w{layer}")
    fields += varint(9 << 3 | 2) + varint(MATRIX_BYTES)
    return varint(5 << 3 | 2) + varint(len(fields) + MATRIX_BYTES) + fields


def _weights(layers: int) -> Iterator[bytearray]:
    generator = random.Random(0)  # noqa: S311 (weights, not keys)
    for _ in range(layers):
        weights = bytearray(generator.randbytes(MATRIX_BYTES))
        weights[3::4] = weights[3::4].translate(_HIGH_BYTE)
        yield weights


def _matrix_type() -> bytes:
    shape = data(1, data(2, "n")) + data(1, number(1, WIDTH))
    return data(1, number(1, FLOAT) + data(2, shape))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mebibytes", type=int, help=f"of weights, in steps of {MATRIX_BYTES >> 20}, to {LARGEST_MIB}")
    parser.add_argument("path", type=Path, help="file to write")
    arguments = parser.parse_args()
    try:
        size = write(arguments.path, arguments.mebibytes)
    except ValueError as error:
        parser.error(str(error))
    print(f"{arguments.path}: {size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
