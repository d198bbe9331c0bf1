"""The bench of `gpu_check`: a step of general distillation in tinyrun and in eager PyTorch, on the same device.

The teacher has BERT-base's shape and random weights; the students are those of MindSpore's TinyBERT (4 layers, 384
wide) and of TinyBERT4 (4 layers, 312 wide). Every row has 128 tokens. The PyTorch step is that of `bench/pytorch.py`.
"""

import csv
import json
import random
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

LENGTH = 128
TEACHER = {
    "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
    "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2,
}
STUDENTS = {
    "4/384": {**TEACHER, "hidden_size": 384, "num_hidden_layers": 4, "intermediate_size": 1536},
    "4/312": {**TEACHER, "hidden_size": 312, "num_hidden_layers": 4, "intermediate_size": 1200},
}
ATTENTION, HIDDEN = [2, 5, 8, 11], [0, 3, 6, 9, 12]
# Dense 16-bit peak with fp32 accumulation in TFLOP/s, from the vendor's data sheets; the first name that fits counts.
PEAKS = {
    "B200": 2250, "H200": 989, "H100 PCIe": 756, "H100": 989, "A100": 312, "A800": 312, "L40S": 362, "L40": 181,
    "L4": 121, "A10G": 70, "A10": 125, "A30": 165, "V100": 125, "T4": 65, "RTX 4090": 165, "RTX 3090": 71,
}
# Milliseconds per step that MindSpore's TinyBERT publishes for 4/384 at batch 32 per card.
PUBLISHED = (("V100", 98.65), ("Ascend 910", 35.4))


def measure(report, build, work, options):
    prepare(work)
    if build.device == "cuda":
        batches, steps = (32, 256), 40
    else:
        batches, steps = ((2,), 3) if options.quick else ((32, 256), 4)
    students = list(STUDENTS)[:1] if options.quick else list(STUDENTS)
    ceilings = peaks(report, build, options)
    report.line(f"{'student':8} {'batch':>10} {'format':>6} {'tinyrun':>12} {'PyTorch':>12} {'ratio':>6} {'MFU':>7}")
    for student in students:
        for batch in batches:
            for precision in ("bf16", "fp32"):
                row(report, build, work, (student, batch, precision, steps), ceilings)
    if 32 in batches:
        for card, step in PUBLISHED:
            report.line(f"published for MindSpore's TinyBERT on a {card}, 4/384, 32 x {LENGTH}: {step} ms per step")


def row(report, build, work, case, ceilings):
    student, batch, precision, steps = case
    what = f"bench {student} {batch} x {LENGTH} {precision}"
    try:
        ours = tinyrun(build, work, case)
        theirs = eager(build, case)
    except Failed as failed:
        report.check(what, False, failed.args[0])
        return
    rate = flops(STUDENTS[student], batch) / (ours / 1e3)
    report.line(
        f"{student:8} {f'{batch} x {LENGTH}':>10} {precision:>6} {ours:>9.2f} ms {theirs:>9.2f} ms "
        f"{theirs / ours:>5.2f}x {rate / ceilings[precision]:>6.1%}"
    )
    report.check(what, True, f"{steps} steps, median")


def peaks(report, build, options):
    """FLOP/s by format, against which MFU is given."""
    measured = json.loads(child(build, {"do": "peak", "device": build.device}))
    for precision, value in measured.items():
        report.line(f"measured {precision} matrix product: {value / 1e12:.2f} TFLOP/s")
    if build.device != "cuda":
        return measured
    name = build.torch.cuda.get_device_name(0)
    listed = next((peak for card, peak in PEAKS.items() if card in name), None)
    nominal = options.peak or listed
    if nominal is None:
        report.line(f"MFU: against the measured products (`{name}` is not in the table; give --peak)")
        return measured
    report.line(f"MFU: bf16 against {nominal:g} TFLOP/s, fp32 against the measured product (no TF32)")
    return {**measured, "bf16": nominal * 1e12}


def flops(student, batch):
    """Of a step: a forward pass of the teacher; forward and backward of the student and its projections."""
    tokens = batch * LENGTH

    def forward(shape):
        d, inner = shape["hidden_size"], shape["intermediate_size"]
        return shape["num_hidden_layers"] * tokens * (8 * d * d + 4 * d * inner + 4 * LENGTH * d)

    projections = len(HIDDEN) * tokens * 2 * student["hidden_size"] * TEACHER["hidden_size"]
    return forward(TEACHER) + 3 * (forward(student) + projections)


class Failed(Exception):
    """A measurement that did not come to its end, in one line."""


# tinyrun

EXPERIMENT = """name = "bench"
device = "{device}"
precision = "{precision}"
[task]
name = "custom"
train = "rows.tsv"
dev-fraction = 0.5
text = "text"
label = "label"
[teacher]
model = "teacher"
[student]
num-hidden-layers = {num_hidden_layers}
hidden-size = {hidden_size}
intermediate-size = {intermediate_size}
num-attention-heads = {num_attention_heads}
layer-map = {{ attention = {attention}, hidden = {hidden} }}
[stages.general-distill]
corpus = ["corpus.txt"]
max-seq-length = {length}
epochs = 1
batch-size = {batch}
train-limit = {limit}
log-interval = 1
"""


def tinyrun(build, work, case):
    """Median milliseconds per step, from `metrics.csv`."""
    student, batch, precision, steps = case
    corpus(work, batch * steps)
    text = EXPERIMENT.format(
        device=build.device, precision=precision, attention=ATTENTION, hidden=HIDDEN, length=LENGTH, batch=batch,
        limit=batch * steps, **STUDENTS[student],
    )
    (work / "bench.toml").write_text(text)
    command = build.tinyrun(work, work / "bench.toml", "--until", "general-distill")
    code, text = build.run(command)
    if code != 0:
        raise Failed(f"tinyrun ended with exit code {code}: {last_error(text)}")
    with open(work / "runs/bench/general-distill/metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    phases = ("data_ms", "teacher_ms", "forward_ms", "backward_ms", "optimizer_ms")
    times = [sum(float(row[phase]) for phase in phases) for row in rows]
    return statistics.median(times[max(1, len(times) // 5) :])


def last_error(text):
    errors = [line for line in text.splitlines() if line.startswith("error")]
    return (errors or text.strip().splitlines() or ["nothing was printed"])[-1]


def prepare(work):
    """A teacher of random weights, its vocabulary, and a table that no measured stage reads."""
    folder = work / "teacher"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *VOCABULARY]) + "\n")
    config = {**TEACHER, "model_type": "bert", "architectures": ["BertModel"], "hidden_act": "gelu"}
    (folder / "config.json").write_text(json.dumps(config))
    write_safetensors(folder / "model.safetensors", shapes(TEACHER))
    rows = [f"{VOCABULARY[row]}\t{'ab'[row % 2]}" for row in range(200)]
    (work / "rows.tsv").write_text("\n".join(["text\tlabel", *rows, ""]))


SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def words():
    """As many words of letters as BERT-base's vocabulary has room for."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    for number in range(TEACHER["vocab_size"] - len(SPECIAL)):
        yield "".join(letters[number // 26**place % 26] for place in range(4))


VOCABULARY = list(words())


def corpus(work, rows):
    """Lines that are exactly one row each."""
    draw = random.Random(1)
    lines = (" ".join(draw.choices(VOCABULARY, k=LENGTH - 2)) for _ in range(rows))
    (work / "corpus.txt").write_text("\n".join(lines) + "\n")


def shapes(config):
    """Names and shapes of an encoder's tensors as Hugging Face has them."""
    d, inner = config["hidden_size"], config["intermediate_size"]
    found = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], d),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], d),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], d),
        "embeddings.LayerNorm.weight": (d,), "embeddings.LayerNorm.bias": (d,),
        "pooler.dense.weight": (d, d), "pooler.dense.bias": (d,),
    }
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        sizes = {
            "attention.self.query": (d, d), "attention.self.key": (d, d), "attention.self.value": (d, d),
            "attention.output.dense": (d, d), "intermediate.dense": (inner, d), "output.dense": (d, inner),
        }
        for part, size in sizes.items():
            found[f"{name}.{part}.weight"], found[f"{name}.{part}.bias"] = size, size[:1]
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            found[f"{name}.{part}.weight"] = found[f"{name}.{part}.bias"] = (d,)
    return {f"bert.{name}": shape for name, shape in found.items()}


def write_safetensors(path, shapes):
    """Random weights in the safetensors format, which needs no library: a header of JSON, then the numbers."""
    import torch

    torch.manual_seed(2)
    header, at, parts = {}, 0, []
    for name, shape in shapes.items():
        tensor = torch.zeros(shape) if name.endswith("bias") else torch.randn(shape) * 0.02
        if name.endswith("LayerNorm.weight"):
            tensor = torch.ones(shape)
        size = tensor.numel() * 4
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
        parts.append(tensor)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for tensor in parts:
            file.write(bytes(tensor.numpy()))


# Eager PyTorch, in a process of its own: its memory is given back


def eager(build, case):
    student, batch, precision, steps = case
    how = {"do": "step", "device": build.device, "student": student, "batch": batch, "precision": precision, "steps": steps}
    return json.loads(child(build, how))


def child(build, how):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, json.dumps(how)], text=True, env=build.environ,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    if done.returncode != 0:
        raise Failed(f"PyTorch failed: {(done.stderr.strip().splitlines() or ['nothing was printed'])[-1]}")
    return done.stdout


def step(how):
    """Median milliseconds of the published step in eager PyTorch, 16-bit formats by autocast."""
    import torch

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))
    from pytorch import Bert, BertAdam, distance

    torch.manual_seed(1)
    device = how["device"]
    teacher, student = Bert(TEACHER).eval(), Bert(STUDENTS[how["student"]]).train()
    teacher.requires_grad_(False)
    student.fit_dense = torch.nn.Linear(STUDENTS[how["student"]]["hidden_size"], TEACHER["hidden_size"])
    teacher, student = teacher.to(device), student.to(device)
    optimizer = BertAdam(student)
    times = []
    for _ in range(how["steps"]):
        ids = torch.randint(5, TEACHER["vocab_size"], (how["batch"], LENGTH))
        start = time.perf_counter()
        ids = ids.to(device)
        batch = (ids, torch.zeros_like(ids), torch.ones(ids.shape, device=device))
        with torch.autocast(device, torch.bfloat16, enabled=how["precision"] == "bf16"):
            loss = distance(student, teacher, batch, ATTENTION, HIDDEN)
        loss.backward()
        optimizer.step()
        # Reading the loss waits for the device.
        loss.item()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times[max(1, len(times) // 5) :])


def peak(how):
    """FLOP/s of a large product in each format."""
    import torch

    device = how["device"]
    n = 8192 if device == "cuda" else 1024
    found = {}
    for name, kind in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        a, b = (torch.randn(n, n, device=device).to(kind) for _ in range(2))
        times = []
        for _ in range(8):
            start = time.perf_counter()
            product = a @ b
            product[0, 0].item()
            times.append(time.perf_counter() - start)
        found[name] = 2 * n**3 / min(times[2:])
    return found


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    print(json.dumps({"step": step, "peak": peak}[asked["do"]](asked)))
