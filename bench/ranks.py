"""A training on several processes of this machine, and what sums in a fixed order cost."""

from stages import experiment, run, speed
from system import median

TOML = "[stages.general-distill]\ncorpus = [\"{}\"]\nepochs = 1\nlog-interval = 2\nmax-seq-length = 64\nbatch-size = 64\n"

# Name, ranks, threads of each, leaves; the first is what the others are beside.
RUNS = (
    ("1 process of 2 threads", 1, 2, 1),
    ("2 processes of 1 thread", 2, 1, 1),
    ("1 process of 1 thread", 1, 1, 1),
    ("1 process of 1 thread, reduction-leaves = 4", 1, 1, 4),
    ("2 processes of 1 thread, reduction-leaves = 4", 2, 1, 4),
)


def measure(root, text, quick, rounds):
    """Rows for the table of `bench/run`: examples a second of general distillation, batches of 64."""
    file = experiment(root, "MiniLM-L6", TOML.format(text), 64, name="ranks")
    seen = {name: [] for name, *_ in RUNS}
    for turn in range(rounds):
        for name, ranks, threads, leaves in RUNS if turn % 2 == 0 else reversed(RUNS):
            run(
                root, file, f"ranks={ranks}", f"threads={threads}", f"seed={turn + 1}",
                f"stages.general-distill.reduction-leaves={leaves}",
                f"stages.general-distill.train-limit={64 * (10 if quick else 30)}", force="general-distill",
            )
            seen[name].append(speed(root, "general-distill", "ranks").examples)
    first = median(seen[RUNS[0][0]])
    for name, *_ in RUNS:
        yield f"general-distill, {name}", median(seen[name]), "examples/s", RUNS[0][0], first
