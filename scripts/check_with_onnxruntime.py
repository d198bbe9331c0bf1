#!/usr/bin/env python3
"""Runs an exported `model.onnx` with onnxruntime on a table, in fp32 and quantized to int8.

    check_with_onnxruntime.py FOLDER TABLE.tsv [--predictions predictions-student.csv]

Prints for each file its size, how many rows of the table (columns as in
check_with_transformers.py) have the right class, and with --predictions of tinyrun's eval stage how
many rows have another class there and the largest difference of a logit. `--dev-fraction 0.1` takes
the rows that tinyrun holds out of the table. Exit code 1 when a class differs in fp32.

For use by hand: needs the Python of `scripts/fetch_onnxruntime`.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer

from check_with_transformers import arguments, read_predictions, read_table


def is_dev(text, pair, fraction):
    """As src/base/data/split.rs."""
    hasher = hashlib.sha256(b"tinyrun dev-fraction 1\0")
    for part in [text, pair] if pair is not None else [text]:
        part = part.strip().encode()
        hasher.update(len(part).to_bytes(8, "little") + part)
    number = int.from_bytes(hasher.digest()[:8], "little")
    return (number >> 11) / 2**53 < fraction


def answers(path, tokenizer, texts, pairs, batch_size):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    wanted = {put.name for put in session.get_inputs()}
    logits = []
    inputs = list(zip(texts, pairs)) if pairs else texts
    for start in range(0, len(inputs), batch_size):
        rows = tokenizer.encode_batch(inputs[start : start + batch_size])
        batch = {
            "input_ids": np.array([row.ids for row in rows]),
            "attention_mask": np.array([row.attention_mask for row in rows]),
            "token_type_ids": np.array([row.type_ids for row in rows]),
        }
        batch = {name: values for name, values in batch.items() if name in wanted}
        logits.append(session.run(["logits"], batch)[0])
    return np.concatenate(logits)


def main():
    args = arguments(lambda parser: parser.add_argument("--dev-fraction", type=float))
    folder = Path(args.folder)
    texts, pairs, labels = read_table(args)
    if args.dev_fraction:
        seconds = pairs or [None] * len(texts)
        kept = [is_dev(*row, args.dev_fraction) for row in zip(texts, seconds)]
        pick = lambda values: [value for value, keep in zip(values, kept) if keep]
        texts, labels, pairs = pick(texts), pick(labels), pairs and pick(pairs)
    names = json.loads((folder / "config.json").read_text())["id2label"]
    classes = [names[str(index)] for index in range(len(names))]
    right = [classes.index(label) if label in classes else int(label) for label in labels]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(args.max_seq_length)
    tokenizer.enable_padding()
    recorded = read_predictions(args.predictions) if args.predictions else None
    failed = False
    plain = folder / "model.onnx"
    files = {"as exported": plain}
    for name, kind in (("int8", QuantType.QInt8), ("uint8", QuantType.QUInt8)):
        files[name] = folder / f"model_{name}.onnx"
        quantize_dynamic(plain, files[name], weight_type=kind)
    for name, path in files.items():
        logits = answers(path, tokenizer, texts, pairs, args.batch_size)
        predicted = logits.argmax(1)
        correct = int((predicted == np.array(right)).sum())
        print(f"{name}: {path.stat().st_size / 1e6:.1f} MB, {correct} of {len(right)} right", end="")
        if recorded:
            assert len(recorded) == len(right), f"{len(recorded)} predictions, {len(right)} rows"
            others = sum(classes[found] != recorded[row][0] for row, found in enumerate(predicted))
            worst = max(np.abs(logits[row] - recorded[row][1]).max() for row in range(len(logits)))
            print(f", {others} other classes than recorded, logits differ by {worst:.2g}", end="")
            failed |= name == "as exported" and others > 0
        print()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
