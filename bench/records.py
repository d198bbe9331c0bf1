"""Reading TFRecords, MindRecords and a checkpoint, beside TensorFlow's and MindSpore's own readers."""

import json
import shutil
import subprocess
import sys
import time

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
    peer("write", rows, LENGTH, VOCABULARY, places["tfrecord"], places["mindrecord"], root / "big.ckpt")
    for form, name in (("tfrecord", "tf.data with parsing"), ("mindrecord", "MindDataset")):
        ours, theirs = [], []
        own = lambda: ours.append(rate(root, form, places[form], rows))  # noqa: B023, E731
        other = lambda: theirs.append(peer(form, places[form], LENGTH)["rate"])  # noqa: B023, E731
        for turn in range(rounds):
            for go in (own, other) if turn % 2 == 0 else (other, own):
                go()
        goal = 5 if form == "tfrecord" else 10
        yield f"{form} to token store", median(ours), "rows/s", name, median(theirs), False, goal
    yield from checkpoint(root, rounds)


def checkpoint(root, rounds):
    """A checkpoint to a folder for `transformers`, which reads and writes all of it, beside a copy."""
    size = (root / "big.ckpt").stat().st_size
    ours, theirs = [], []

    def own():
        shutil.rmtree(root / "exported", ignore_errors=True)
        command = [TINYRUN, "export", root / "big.ckpt", "--root", root, "-o", root / "exported"]
        ours.append(size / ran(command).wall)

    def copy():
        start = time.perf_counter()
        shutil.copyfile(root / "big.ckpt", root / "copy")
        theirs.append(size / (time.perf_counter() - start))

    for turn in range(rounds):
        for go in (own, copy) if turn % 2 == 0 else (copy, own):
            go()
    yield (
        f"checkpoint of {size / 1e6:.0f} MB read and written as safetensors", median(ours) / 1e6, "MB/s",
        "a copy of the file", median(theirs) / 1e6, False, 0.5,
    )
