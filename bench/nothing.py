"""The speed of doing nothing: five stages over unchanged inputs, beside `sha256sum` and `dvc repro`."""

import random
import shutil
import subprocess

from system import ROOT, TINYRUN, median, ran, say

EXPERIMENT = """
name = "nothing"
[task]
name = "custom"
train = "data/reviews/reviews.tsv"
dev-fraction = 0.1
labels = ["negative", "positive"]
max-seq-length = 32
[teacher]
model = "models/all-MiniLM-L6-v2"
[student]
num-hidden-layers = 1
hidden-size = 24
intermediate-size = 48
num-attention-heads = 12
[stages.general-distill]
corpus = ["text/*.txt"]
train-limit = 32
max-seq-length = 32
[stages.td-phase1]
teacher = "teacher/model"
train-limit = 32
epochs = 1
gate = "off"
[stages.td-phase2]
teacher = "teacher/model"
train-limit = 32
epochs = 1
gate = "off"
[stages.eval]
teacher = "teacher/model"
"""

PARTS = 64
REPEATS = 11


def write_text(root, size):
    """`size` bytes of text in 64 files: the lines of a real text in many orders."""
    lines = (ROOT / "data/reviews/unlabelled.txt").read_bytes().splitlines(keepends=True)
    (root / "text").mkdir()
    draw = random.Random(1)
    for part in range(PARTS):
        with open(root / "text" / f"part-{part:02}.txt", "wb") as file:
            while file.tell() < size // PARTS:
                file.write(b"".join(draw.sample(lines, min(len(lines), 4096))))


def measure(root, size, teacher):
    """Rows of the table, for `size` bytes of text."""
    for name in ("data", "models"):
        (root / name).symlink_to(ROOT / name)
    (root / "teacher").mkdir()
    (root / "teacher/model").symlink_to(teacher)
    (root / "nothing.toml").write_text(EXPERIMENT)
    say(f"writing {size / 1e6:.0f} MB of text, and running five stages over it")
    write_text(root, size)
    command = [TINYRUN, root / "nothing.toml", "--root", root]
    ran(command)
    ran(command)
    nothing = [ran(command) for _ in range(REPEATS)]
    changed = [*command, "--dry-run", "--set", "stages.td-phase2.learning-rate=3e-5"]
    change = [ran(changed) for _ in range(REPEATS)]

    files = sorted(str(path) for path in (root / "text").iterdir())
    parallel = f"printf '%s\\n' {' '.join(files)} | xargs -n 1 -P $(nproc) sha256sum"
    hashing, sums = [], []
    for _ in range(5):
        (root / "runs/digests.json").unlink(missing_ok=True)
        hashing.append(ran(command).wall)
        sums.append(ran(["sh", "-c", parallel]).wall)
    megabytes = f"{size / 1e6:.0f} MB"
    ours = median([run.processor for run in nothing])
    rows = [
        (f"five stages, {megabytes} unchanged: processor time", ours * 1e3, "ms", None, None),
        ("  by the clock", median([run.wall for run in nothing]) * 1e3, "ms", None, None),
        ("  one key changed: processor time of the plan", median([run.processor for run in change]) * 1e3, "ms", None, None),
        (f"first look at {megabytes}, by the clock", median(hashing), "s", "sha256sum on all cores", median(sums)),
    ]
    if shutil.which("dvc"):
        theirs = dvc(root)
        rows.append(("five stages unchanged: processor time", ours * 1e3, "ms", "dvc repro", theirs.processor * 1e3))
        wall = median([run.wall for run in nothing])
        rows.append(("  by the clock", wall * 1e3, "ms", "dvc repro", theirs.wall * 1e3))
    return rows


def dvc(root):
    """`dvc repro` with nothing to do, over stages with the same inputs in the same order."""
    say("the same five stages under DVC")
    stages = [
        ("data-prep", ["data/reviews/reviews.tsv"]),
        ("general-distill", ["text"]),
        ("td-phase1", ["data-prep.out", "general-distill.out"]),
        ("td-phase2", ["data-prep.out", "td-phase1.out"]),
        ("eval", ["data-prep.out", "td-phase2.out"]),
    ]
    project = root / "dvc"
    (project / "data/reviews").mkdir(parents=True)
    shutil.copy(ROOT / "data/reviews/reviews.tsv", project / "data/reviews/reviews.tsv")
    (root / "text").rename(project / "text")
    text = "stages:\n"
    for name, inputs in stages:
        text += f"  {name}:\n    cmd: echo done > {name}.out\n    deps:\n"
        text += "".join(f"    - {path}\n" for path in inputs)
        text += f"    outs:\n    - {name}.out\n"
    (project / "dvc.yaml").write_text(text)
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "repro", "-q"]):
        subprocess.run(command, cwd=project, check=True)
    runs = [ran(["dvc", "repro", "-q"], cwd=project) for _ in range(5)]
    return sorted(runs, key=lambda run: run.wall)[2]
