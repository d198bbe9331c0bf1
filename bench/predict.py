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


def onnxruntime(root, model, table, column, length, rounds):
    """Rates of onnxruntime by precision and batch size; none where it, or the export, is not there."""
    folder = root / "onnx"
    export = [TINYRUN, "export", model, "--root", root, "--format", "onnx", "-o", folder]
    exported = subprocess.run([str(part) for part in export], capture_output=True)
    installed = subprocess.run([str(ROOT / "scripts/fetch_onnxruntime")])
    python = ROOT / ".venv-onnx/bin/python"
    if exported.returncode or installed.returncode:
        say("no onnxruntime, or no export to ONNX: it is not compared")
        return {}
    script = [python, ROOT / "bench/onnx_peer.py", folder, ROOT / table, column, length, rounds]
    lines = subprocess.run([str(part) for part in script], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = [json.loads(line) for line in lines.splitlines()]
    return {(row["precision"], row["batch"]): median(row["rates"]) for row in found}


def measure(root, model, table, column, length, rounds):
    """Rows for the table of `bench/run`."""
    texts = texts_of(table, column) * 4
    peer = onnxruntime(root, model, table, column, length, rounds)
    seen = {}
    for _ in range(rounds):
        for precision, batch in (("fp32", 1), ("fp32", 32), ("bf16", 1), ("bf16", 32)):
            seen.setdefault((precision, batch), []).append(rate(model, texts, root, precision, batch))
    for (precision, batch), found in seen.items():
        other = "fp32" if precision == "fp32" else "int8"
        theirs = peer.get((other, batch))
        against = f"onnxruntime, {other}" if theirs else None
        yield f"predict, {precision}, batch {batch}", median([f[0] for f in found]), "rows/s", against, theirs
    first = [seconds for found in seen.values() for _, seconds in found]
    yield "predict, from start to first answer", median(first), "s", None, None
