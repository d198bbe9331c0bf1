"""Checks with the real MindSpore that a checkpoint which tinyrun wrote is the one that it read:

    tinyrun export A.ckpt --format mindspore -o B.ckpt
    python scripts/check_with_mindspore.py A.ckpt B.ckpt

Both must have the same parameters, equal in name, shape, type and every number; what training kept
beside the weights (scalars, strings, integers) may be missing from B. Needs mindspore 2.10.0.
"""

import sys

import mindspore
import numpy as np


def main(original, written):
    original, written = map(mindspore.load_checkpoint, (original, written))
    floats = (mindspore.float16, mindspore.float32, mindspore.float64, mindspore.bfloat16)
    wanted = {
        name: value
        for name, value in original.items()
        if hasattr(value, "dtype") and value.dtype in floats and value.size > 1
    }
    faults = [f"missing: {name}" for name in wanted.keys() - written.keys()]
    faults += [f"unknown: {name}" for name in written.keys() - wanted.keys()]
    for name in wanted.keys() & written.keys():
        ours, theirs = written[name].asnumpy(), wanted[name].asnumpy()
        if ours.shape != theirs.shape or not np.array_equal(ours, theirs):
            faults.append(f"different: {name}")
    for fault in faults:
        print(fault)
    print(f"{len(written)} parameters, {len(faults)} faults")
    return 1 if faults or not written else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
