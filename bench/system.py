"""Running tinyrun and others as a stopwatch sees them. Standard library only."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TINYRUN = ROOT / "target/release/tinyrun"


@dataclass
class Ran:
    """What a command took: seconds by the clock, seconds of processor time with its children, bytes."""

    wall: float
    processor: float
    peak_memory: int


def ran(command, cwd=None):
    """Runs a command to its end; its failure ends the measurement with its own words."""
    environ = {k: v for k, v in os.environ.items() if k != "TINYRUN_KERNEL"}
    with tempfile.TemporaryFile() as words:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command], cwd=cwd, env=environ, stdout=subprocess.DEVNULL, stderr=words
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        # Popen must not wait for what wait4 has taken.
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            words.seek(0)
            sys.exit(f"error: `{' '.join(map(str, command))}` failed\n{words.read().decode()}")
    return Ran(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


@contextmanager
def folder(keep=False):
    """A folder of its own below the project's, removed at the end: /tmp may be small, or memory."""
    (ROOT / "runs").mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "runs"))
    try:
        yield path
    finally:
        if keep:
            print(f"kept: {path}", file=sys.stderr)
        else:
            shutil.rmtree(path, ignore_errors=True)


def say(words):
    print(f"bench: {words}", file=sys.stderr, flush=True)


median = statistics.median
