"""Phase 1 on relations beside phase 1 on attention scores: what a step costs, with the teacher's pass and without."""

from stages import TEACHERS, experiment, run, speed
from system import median

TOML = """[stages.td-phase1]
gate = "off"
student = "random"
teacher = "teachers/{}"
attention-loss = "{}"
log-interval = 2
"""


def measure(root, quick, rounds):
    """Rows for the table of `bench/run`: milliseconds a step, batches of 32, at most 64 tokens."""
    examples = 32 * (6 if quick else 20)
    for teacher in ("MiniLM-L6",) if quick else TEACHERS:
        files = {
            loss: experiment(root, teacher, TOML.format(teacher, loss), name=f"relations-{loss}")
            for loss in ("scores", "relations")
        }
        # Without teacher-memory every step runs the teacher; of two epochs the second reads what the first kept.
        for epochs, settings, after in ((1, ["stages.td-phase1.teacher-memory=0"], 0.1), (2, [], 0.5)):
            seen = {loss: [] for loss in files}
            for turn in range(rounds):
                for loss in files if turn % 2 == 0 else reversed(files):
                    run(
                        root, files[loss], f"seed={turn + 1}", f"stages.td-phase1.epochs={epochs}",
                        f"stages.td-phase1.train-limit={examples}", *settings, force="td-phase1",
                    )
                    split = speed(root, "td-phase1", f"relations-{loss}", after).split
                    seen[loss].append(sum(ms for phase, ms in split.items() if phase != "other"))
            work = f"td-phase1 on relations, {teacher} teacher"
            work += ", cached outputs" if epochs == 2 else ""
            yield work, median(seen["relations"]), "ms a step", "on scores", median(seen["scores"])
