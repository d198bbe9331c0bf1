"""The Python environment of what is compared with PyTorch: `make parity`, `make bench`.

`.venv-parity/` (5 GB with PyTorch's CUDA libraries, a minute to install) holds the versions that made the
fixtures; pip's own settings choose where they come from.
"""

import os
import shutil
import subprocess
import sys

from pinned import ROOT, Fault, need_space, pip_fault, say, staging

VENV = ROOT / ".venv-parity"
REQUIREMENTS = (
    "torch==2.11.0",
    "transformers==4.57.1",
    "tokenizers==0.22.2",
    "safetensors==0.8.0",
    "numpy>=2,<3",
)
NEEDED = 8_000_000_000


def environment():
    """The Python of the environment, installed when there is none with these versions."""
    return install(VENV, REQUIREMENTS, NEEDED, "PyTorch and transformers")


def install(venv, requirements, needed, what):
    """The Python of the environment in `venv`, installed when there is none with these versions."""
    python = venv / "bin" / "python"
    done = venv / "requirements.txt"
    wanted = "".join(f"{requirement}\n" for requirement in requirements)
    if python.exists() and done.is_file() and done.read_text() == wanted:
        return python
    need_space(ROOT, needed, f"the environment of {what}")
    say(f"installing {what} into {venv.name}")
    shutil.rmtree(venv, ignore_errors=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", venv], capture_output=True, text=True
    )
    if made.returncode != 0:
        raise Fault(f"`{sys.executable} -m venv` cannot create a Python environment with pip")
    pip = [
        *(python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"),
        *("--quiet", "--only-binary=:all:", *requirements),
    ]
    # pip unpacks next to where the files go: /tmp may be small, or memory.
    with staging(f".{venv.name.removeprefix('.venv-')}.partial") as temporary:
        environ = {**os.environ, "TMPDIR": str(temporary)}
        done_run = subprocess.run(pip, stderr=subprocess.PIPE, text=True, env=environ)
    if done_run.returncode != 0:
        raise pip_fault(", ".join(requirements), done_run.stderr)
    done.write_text(wanted)
    return python
