#!/usr/bin/env python3
"""Writes 64 images of 3 x 3 random pixels in ten classes in the format of MNIST, for checks of methods whose work or
memory grows with the square of the coordinates:

    python3 tests/small_images.py FOLDER
    tests/check_sweep.sh --on mlp data=FOLDER hidden=2 --only '^optimizer cma_es$' build/dev
"""
import pathlib
import random
import struct
import sys

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
draw = random.Random(1)
for part in ("train", "t10k"):
    pixels = bytes(draw.randrange(256) for _ in range(64 * 9))
    (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 0x803, 64, 3, 3) + pixels)
    labels = bytes(i % 10 for i in range(64))
    (folder / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, 64) + labels)
