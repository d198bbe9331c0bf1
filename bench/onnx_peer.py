#!/usr/bin/env python3
"""onnxruntime over the texts of a table, a row of JSON for each precision and batch size: for `bench/predict.py`.

    bench/onnx_peer.py FOLDER TABLE COLUMN LENGTH ROUNDS

FOLDER holds `model.onnx` and `tokenizer.json`. Texts are tokenized before the clock starts; batches are padded to
their longest row.
"""

import csv
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy
import onnxruntime
from tokenizers import Tokenizer


def batches(rows, size):
    for at in range(0, len(rows), size):
        part = rows[at : at + size]
        ids = numpy.zeros((len(part), max(map(len, part))), dtype=numpy.int64)
        mask = numpy.zeros_like(ids)
        for index, row in enumerate(part):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        yield {"input_ids": ids, "attention_mask": mask, "token_type_ids": numpy.zeros_like(ids)}


def quantized(model, folder):
    """The same with weights of 8 bits; nothing where `onnx`, which that takes, is not installed."""
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError:
        return None
    path = Path(folder) / "int8.onnx"
    quantize_dynamic(model, path, weight_type=QuantType.QInt8)
    return path


def main():
    folder, table, column, length, rounds = sys.argv[1:]
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(int(length))
    with open(table, newline="", encoding="utf-8") as file:
        texts = [row[column] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    rows = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    with tempfile.TemporaryDirectory() as own:
        model = Path(folder) / "model.onnx"
        models = {"fp32": model, "int8": quantized(model, own)}
        for precision, path in models.items():
            if path is None:
                continue
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            names = {given.name for given in session.get_inputs()}
            for size in (1, 32):
                work = [{k: v for k, v in batch.items() if k in names} for batch in batches(rows, size)]
                rates = []
                for _ in range(int(rounds) + 1):
                    start = time.perf_counter()
                    for batch in work:
                        session.run(None, batch)
                    rates.append(len(rows) / (time.perf_counter() - start))
                print(json.dumps({"precision": precision, "batch": size, "rates": rates[1:]}))


if __name__ == "__main__":
    main()
