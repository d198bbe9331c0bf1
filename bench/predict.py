"""`tinyrun predict` over the texts of a table, beside onnxruntime where that is installed."""

import csv
import json
import subprocess
import sys
import time

from system import ROOT, TINYRUN, median, say


def texts_of(table, column):
    """The texts of a table without quoting."""
    with open(ROOT / table, newline="", encoding="utf-8") as file:
        return [row[column] for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]


def rate(model, texts, root, precision, batch):
    """Answers a second between the first and the last, and seconds from the start to the first."""
    command = [TINYRUN, "predict", model, "--root", root, "--precision", precision, "--batch-size", str(batch)]
    file = root / "texts.txt"
    file.write_text("".join(text + "\n" for text in texts), encoding="utf-8")
    start = time.perf_counter()
    with open(file, "rb") as stdin:
        process = subprocess.Popen(
            [str(part) for part in command], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        process.stdout.readline()
        process.stdout.readline()
        first = time.perf_counter()
        rows = sum(1 for _ in process.stdout)
        last = time.perf_counter()
    if process.wait() != 0 or rows != len(texts) - 1:
        sys.exit(f"error: `{' '.join(map(str, command))}` failed")
    return rows / (last - first), first - start


def exported(root, model):
    """Folder of the model as ONNX; nothing where that, or onnxruntime, is not there."""
    folder = root / "onnx"
    export = [TINYRUN, "export", model, "--root", root, "--format", "onnx", "-o", folder]
    done = subprocess.run([str(part) for part in export], capture_output=True)
    installed = subprocess.run([str(ROOT / "scripts/fetch_onnxruntime")])
    if done.returncode or installed.returncode:
        say("no onnxruntime, or no export to ONNX: it is not compared")
        return None
    return folder


def onnxruntime(folder, table, column, length):
    """Rates of onnxruntime by precision and batch size, in one round."""
    python = ROOT / ".venv-onnx/bin/python"
    script = [python, ROOT / "bench/onnx_peer.py", folder, ROOT / table, column, length, 1]
    lines = subprocess.run([str(part) for part in script], stdout=subprocess.PIPE, text=True, check=True).stdout
    rows = [json.loads(line) for line in lines.splitlines()]
    return {(row["precision"], row["batch"]): row["rates"][0] for row in rows}


def measure(root, model, table, column, length, rounds):
    """Rows for the table of `bench/run`. Both take turns, the other one first in every second round."""
    texts = texts_of(table, column) * 4
    folder = exported(root, model)
    cases = [(precision, batch) for precision in ("fp32", "bf16") for batch in (1, 32)]
    ours, theirs = {}, {}

    def own():
        for case in cases:
            ours.setdefault(case, []).append(rate(model, texts, root, *case))

    def peer():
        for case, found in (onnxruntime(folder, table, column, length) if folder else {}).items():
            theirs.setdefault(case, []).append(found)

    for turn in range(rounds):
        for go in (own, peer) if turn % 2 == 0 else (peer, own):
            go()
    for precision, batch in cases:
        found = median([rows for rows, _ in ours[precision, batch]])
        for other in ("fp32", "int8"):
            against = theirs.get((other, batch))
            if against:
                yield f"predict, {precision}, batch {batch}", found, "rows/s", f"onnxruntime, {other}", median(against)
        if not theirs:
            yield f"predict, {precision}, batch {batch}", found, "rows/s", None, None
    first = [seconds for found in ours.values() for _, seconds in found]
    yield "predict, from start to first answer", median(first), "s", None, None
