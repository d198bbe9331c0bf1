"""Reading TFRecords, MindRecords and checkpoints, beside TensorFlow's and MindSpore's own readers."""

import json
import subprocess
import sys

from system import ROOT, TINYRUN, median, ran, say

PYTHON = ROOT / ".venv-mindspore/bin/python"
PEER = ROOT / "bench/records_peer.py"
VOCABULARY, LENGTH = 30522, 128

EXPERIMENT = """name = "records"
recipe = "mindspore"
[task]
name = "custom"
format = "{form}"
train = "{folder}"
dev = "{dev}"
labels = ["0", "1"]
[teacher]
model = "teachers/MiniLM-L6"
[student]
num-hidden-layers = 2
[stages.finetune]
"""


def peer(*arguments):
    """What a run of the peer prints, as JSON."""
    command = [str(part) for part in (PYTHON, PEER, *arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"error: `{' '.join(command)}` failed\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def rate(root, form, folder, rows):
    """Rows a second from the records to the token store."""
    file = root / f"{form}.toml"
    file.write_text(EXPERIMENT.format(form=form, folder=folder, dev=folder))
    command = [TINYRUN, file, "--root", root, "--single-stage", "data-prep", "--force", "data-prep", "--quiet"]
    ran(command)
    report = json.loads((root / "runs/records/data-prep/report.json").read_text())
    # Train and dev are the same files.
    return 2 * rows / report["seconds"]


def measure(root, quick, rounds):
    """Rows for the table of `bench/run`; none where the packages are not installed."""
    if not PYTHON.exists():
        say("records are not compared: `scripts/fetch_mindspore` installs MindSpore and TensorFlow")
        return
    rows = 20_000 if quick else 200_000
    places = {form: root / form for form in ("tfrecord", "mindrecord")}
    peer("write", rows, LENGTH, VOCABULARY, places["tfrecord"], places["mindrecord"])
    for form, name, more, goal in (
        ("tfrecord", "tf.data, batched", (), 5),
        ("tfrecord", "tf.data, row by row", ("one-by-one",), 5),
        ("mindrecord", "MindDataset, batched", (), 10),
    ):
        ours, theirs = [], []
        own = lambda: ours.append(rate(root, form, places[form], rows))  # noqa: B023, E731
        other = lambda: theirs.append(peer(form, places[form], LENGTH, *more)["rate"])  # noqa: B023, E731
        for turn in range(rounds):
            for go in (own, other) if turn % 2 == 0 else (other, own):
                go()
        yield f"{form} to token store", median(ours), "rows/s", name, median(theirs), False, goal
    yield from checkpoint(root / "base.ckpt", rounds)


def checkpoint(path, rounds):
    """Rows for a checkpoint of BERT-base: beside reading its bytes, and beside MindSpore."""
    peer("checkpoint", path)
    size = path.stat().st_size / 1e6
    command = ["cargo", "bench", "--quiet", "--bench", "checkpoint", "--", str(path), str(rounds)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"error: `{' '.join(command)}` failed\n{done.stderr[-2000:]}")
    took = json.loads(done.stdout.splitlines()[-1])
    theirs = median(peer("load", path)["seconds"] for _ in range(rounds))
    rate = size / took["tensors"]
    yield ".ckpt to tensors", rate, "MB/s", "reading its bytes", size / took["bytes"], False, 0.5
    yield ".ckpt to tensors", rate, "MB/s", "load_checkpoint", size / theirs, False, None

