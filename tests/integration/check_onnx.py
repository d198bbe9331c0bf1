"""Compares exported models with recorded logits, with onnxruntime. Called by onnx.rs:

    check_onnx.py CASES.json

Each case names an exported folder, a file of tensors, the prefix of its batch there, the tensor
of its logits and the largest difference that is allowed.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file
from tokenizers import Tokenizer

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def check_graph(path):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version >= 17, model.opset_import
    names = tuple(put.name for put in model.graph.input)
    assert names in (INPUTS, INPUTS[:2]), names
    assert [put.name for put in model.graph.output] == ["logits"], model.graph.output


def run(session, batch):
    wanted = {put.name for put in session.get_inputs()}
    inputs = {name: batch[name].astype(np.int64) for name in INPUTS if name in wanted}
    return session.run(["logits"], inputs)[0]


def check_tokenizer(folder, session):
    """A text that is longer than the model is cut by the tokenizer's file, and then answered."""
    longest = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    encoded = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("good " * 10 * longest)
    assert len(encoded.ids) == longest, len(encoded.ids)
    batch = {
        "input_ids": np.array([encoded.ids]),
        "attention_mask": np.array([encoded.attention_mask]),
        "token_type_ids": np.array([encoded.type_ids]),
    }
    assert np.isfinite(run(session, batch)).all()
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert config["model_max_length"] <= longest, config["model_max_length"]


def main():
    worst = 0.0
    for case in json.loads(Path(sys.argv[1]).read_text()):
        folder = Path(case["folder"])
        path = folder / "model.onnx"
        check_graph(path)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        prefix = case["prefix"] and f"{case['prefix']}."
        tensors = load_file(case["tensors"])
        batch = {name: tensors[f"{prefix}{name}"] for name in INPUTS}
        expected, found = tensors[f"{prefix}{case['logits']}"], run(session, batch)
        assert found.dtype == np.float32 and found.shape == expected.shape, (found.dtype, found.shape)
        difference = float(np.abs(found - expected).max())
        assert difference <= case["tolerance"], f"{folder} {prefix}: off by {difference}"
        worst = max(worst, difference / case["tolerance"])
        check_tokenizer(folder, session)
    print(f"largest difference: {worst:.2g} of what is allowed")


main()
