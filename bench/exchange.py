"""What exchanging gradients costs ranks, where computation is replaced by a wait: on this machine, and over limited links."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

from stages import STUDENT
from system import ROOT, median, say

KERNEL = ROOT / "target/release/tinyrun-kernel"
# A port of nobody's; the next rounds take the ones after it, since a closed one stays busy for a while.
PORT = 29610
# Efficiency in % that two cores allow, by the wait and ranks.
GOALS = {(250, 2): 95, (250, 4): 93, (250, 8): 85, (60, 2): 88, (60, 4): 75, (60, 8): 55}
# Different tokens of a batch, by ranks: 32 rows each of the reviews of `make unlabelled-imdb`, 22.5 tokens on average.
WORDS = {2: 602, 4: 1018, 8: 1692}
NAMESPACES = ("tinyrun-bench-0", "tinyrun-bench-1")


def exchange(size, compute_ms, steps, wire="fp32", overlap=True, words=None, within=None):
    """Step times of rank 0 in ms, its CPU time a step in ms, and megabytes that each rank hands over."""
    global PORT
    PORT += 1
    ask = {
        "size": size, "host": "127.0.0.1" if within is None else "10.77.0.1", "port": PORT, "config": STUDENT,
        "words": words or WORDS[size], "gradient_exchange": wire, "overlap": overlap, "compute_ms": compute_ms, "steps": steps,
    }
    started = []
    for rank in range(size):
        command = [str(KERNEL), "--measure-exchange", json.dumps({**ask, "rank": rank})]
        if within is not None:
            command = ["ip", "netns", "exec", within[rank], *command]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}))
    answers = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        sys.exit(f"error: measuring an exchange on {size} ranks failed")
    found = [json.loads(answer) for answer in answers]
    cpu = median([one["cpu_ms"] for one in found])
    return median(found[0]["step_ms"]), cpu, found[0]["megabytes"]


def measure(quick, rounds):
    """Rows for the table of `bench/run`."""
    steps = 10 if quick else 30
    everything = STUDENT["vocab_size"]
    points = [
        (compute, size, how, options)
        for compute in (60, 250)
        for size in (2, 4, 8)
        for how, options in (
            ("", {}),
            (", bf16", {"wire": "bf16"}),
            (", after the backward pass", {"overlap": False}),
            (", all rows of the word table", {"words": everything}),
        )
        if not (quick and (how or compute != 60))
    ]
    yield from rows_of("", points, steps, rounds)
    for rate in ("1gbit", "10gbit"):
        with limited(rate) as within:
            if within is None:
                say(f"a link of {rate} was not measured: it takes root, `ip netns` and `tc`")
                continue
            points = [
                (compute, 2, how, {**options, "within": within})
                for compute in (60, 250)
                for how, options in (("", {}), (", bf16", {"wire": "bf16"}))
            ]
            yield from rows_of(f" over {rate[:-4]} Gb/s", points, steps, rounds)


def rows_of(link, points, steps, rounds):
    seen = {}
    for turn in range(rounds):
        for point in points if turn % 2 == 0 else reversed(points):
            compute, size, how, options = point
            found = exchange(size, compute, steps if compute < 200 else max(5, steps // 2), **options)
            seen.setdefault((compute, size, how), []).append(found)
    for (compute, size, how), found in seen.items():
        step, cpu, megabytes = (median(values) for values in zip(*found))
        work = f"{size} ranks{link}, {compute} ms of waiting a step{how}"
        goal = None if link or how else GOALS[compute, size]
        yield work, compute / step * 100, f"%, {megabytes:.1f} MB, {cpu:.0f} ms of CPU time a rank", goal


@contextmanager
def limited(rate):
    """Two network namespaces with a link of this rate between them; `None` where they cannot be had."""
    tools = all(shutil.which(tool) for tool in ("ip", "tc"))
    if os.geteuid() != 0 or not tools:
        yield None
        return
    one, other = NAMESPACES
    commands = [f"ip netns add {name}" for name in NAMESPACES]
    commands.append(f"ip link add tb0 netns {one} type veth peer name tb1 netns {other}")
    for place, name in enumerate(NAMESPACES):
        commands += [
            f"ip -n {name} addr add 10.77.0.{place + 1}/24 dev tb{place}",
            f"ip -n {name} link set tb{place} up",
            f"ip -n {name} link set lo up",
            f"ip netns exec {name} tc qdisc add dev tb{place} root tbf rate {rate} burst 8mb latency 20ms",
        ]
    try:
        well = all(subprocess.run(command.split(), stderr=subprocess.PIPE).returncode == 0 for command in commands)
        yield NAMESPACES if well else None
    finally:
        for name in NAMESPACES:
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL)
