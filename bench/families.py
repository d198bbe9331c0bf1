"""Training a model of another family beside a BERT of the same size: what the bias of distances costs."""

from stages import run, speed, task
from system import ROOT, median

MPNET = "models/all-mpnet-base-v2"
TOML = """name = "{name}"
[task]
{task}
max-seq-length = 64
[teacher]
model = "{model}"
classifier = "new"
[stages.finetune]
epochs = 1
log-interval = 2
"""


def is_there():
    """Whether `make teacher-base` has fetched the MPNet."""
    return (ROOT / MPNET / "model.safetensors").is_file()


def measure(root, quick, rounds):
    """Rows for the table of `bench/run`: tokens a second of fine-tuning, batches of 32."""
    models = {"MPNet-base": MPNET, "BERT-base": "teachers/BERT-base"}
    for name, model in models.items():
        text = TOML.format(name=name.lower(), task=task()[0], model=model)
        (root / f"{name.lower()}.toml").write_text(text)
    seen = {name: [] for name in models}
    for turn in range(rounds):
        for name in models if turn % 2 == 0 else reversed(models):
            run(
                root, root / f"{name.lower()}.toml", f"seed={turn + 1}",
                f"stages.finetune.train-limit={32 * (8 if quick else 20)}", force="finetune",
            )
            seen[name].append(speed(root, "finetune", name.lower()).tokens)
    mpnet, bert = (median(seen[name]) for name in models)
    yield "finetune, MPNet-base", mpnet, "tokens/s", "BERT-base", bert
