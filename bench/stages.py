"""One stage of tinyrun, timed by its own `metrics.csv`, record and report."""

import csv
import json
from dataclasses import dataclass

from system import ROOT, TINYRUN, ran

STUDENT = {
    "vocab_size": 30522,
    "hidden_size": 312,
    "num_hidden_layers": 4,
    "num_attention_heads": 12,
    "intermediate_size": 1200,
    "max_position_embeddings": 512,
}
TEACHERS = {
    "BERT-base": {
        "shape": {"vocab_size": 30522},
        "attention": [2, 5, 8, 11],
        "hidden": [0, 3, 6, 9, 12],
    },
    "MiniLM-L6": {
        "shape": {
            "vocab_size": 30522,
            "hidden_size": 384,
            "num_hidden_layers": 6,
            "intermediate_size": 1536,
        },
        "attention": [0, 2, 3, 5],
        "hidden": [0, 1, 3, 4, 6],
    },
}


def sst2():
    """Whether SST-2 is there; without it the demo's reviews are measured."""
    return (ROOT / "data/glue/SST-2/train.tsv").exists()


def task():
    """The `[task]` table, and the file with its column of texts."""
    if sst2():
        folder = "data/glue/SST-2"
        return f'name = "sst-2"\ntrain = "{folder}/train.tsv"\ndev = "{folder}/dev.tsv"', f"{folder}/train.tsv"
    file = "data/reviews/reviews.tsv"
    labels = 'dev-fraction = 0.1\nlabels = ["negative", "positive"]'
    return f'name = "custom"\ntrain = "{file}"\n{labels}', file


def experiment(root, teacher, stages, length=64, name="bench", layers=4, of=None):
    """Writes an experiment file; `stages` is TOML."""
    maps = TEACHERS[teacher]
    layer_map = f"layer-map = {{ attention = {maps['attention']}, hidden = {maps['hidden']} }}" if layers == 4 else ""
    text = f"""name = "{name}"
[task]
{of or task()[0]}
max-seq-length = {length}
[teacher]
model = "teachers/{teacher}"
[student]
num-hidden-layers = {layers}
hidden-size = 312
intermediate-size = 1200
num-attention-heads = 12
{layer_map}
{stages}
"""
    path = root / f"{name}.toml"
    path.write_text(text)
    return path


@dataclass
class Speed:
    """Over all rows of `metrics.csv` but the first, a tenth unless told otherwise."""

    examples: float
    tokens: float
    padding: float
    mfu: float
    # Milliseconds a step by phase.
    split: dict
    # Examples and tokens a step.
    step: tuple

    @property
    def other(self):
        """Share of checkpoints, metrics and events."""
        return self.split["other"] / sum(self.split.values())


def run(root, file, *settings, force=None):
    """Runs an experiment; `settings` as after `--set`, `force` as after `--force`."""
    command = [TINYRUN, file, "--root", root]
    if force:
        command += ["--force", force]
    for setting in settings:
        command += ["--set", setting]
    return ran(command)


def folder(root, stage, name="bench"):
    return root / "runs" / name / stage


def document(root, stage, file, name="bench"):
    return json.loads((folder(root, stage, name) / file).read_text())


def speed(root, stage, name="bench", after=0.1):
    with open(folder(root, stage, name) / "metrics.csv", newline="") as file:
        rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
    rows = rows[max(1, int(len(rows) * after)) :] or rows
    phases = ("data", "teacher", "forward", "backward", "optimizer", "other")
    split = {p: sum(row[f"{p}_ms"] for row in rows) / len(rows) for p in phases}
    seconds = [sum(row[f"{p}_ms"] for p in phases[:-1]) / 1e3 for row in rows]
    mean = lambda key: sum(row[key] * s for row, s in zip(rows, seconds)) / sum(seconds)
    examples, tokens = mean("examples_per_second"), mean("tokens_per_second")
    step = sum(seconds) / len(seconds)
    return Speed(examples, tokens, mean("padding"), mean("mfu"), split, (examples * step, tokens * step))


def forward_flops(shape, tokens, length):
    """Of a forward pass over rows of `length` tokens."""
    d = shape.get("hidden_size", 768)
    inner, layers = shape.get("intermediate_size", 3072), shape.get("num_hidden_layers", 12)
    return layers * tokens * (8 * d * d + 4 * d * inner + 4 * length * d)
