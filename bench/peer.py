"""The Python process that runs `pytorch.py`, in the environment that `scripts/pytorch.py` makes."""

import json
import subprocess
import sys

from system import ROOT, say

sys.path.insert(0, str(ROOT / "scripts"))
from pytorch import environment  # noqa: E402


class Peer:
    """Works in PyTorch, one at a time, on request."""

    def __init__(self):
        script = str(ROOT / "bench/pytorch.py")
        self.process = subprocess.Popen(
            [str(environment()), "-W", "ignore", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("error: the PyTorch script failed; its own words are above")
        return json.loads(answer)

    def set_up(self, do, warm_up=1, **how):
        say(f"PyTorch: {do} {how.get('label', '')}")
        self.ask({"do": do, **how})
        if warm_up:
            self.ask({"do": "go", "steps": warm_up})

    def go(self, steps=1):
        """(seconds, examples, tokens) of each step."""
        return self.ask({"do": "go", "steps": steps})

    def end(self):
        self.process.stdin.close()
        self.process.wait()
