"""What tinyrun is measured against: the published distillation step and its like, in PyTorch.

Written for the comparison from the paper's formulas, in the manner of the published scripts: fp32, every
batch padded to the maximal length, the teacher run in every step, BertAdam as a loop over the tensors. Run by
`bench/run`, which sends one JSON object a line and reads one back: `{"do": "phase1", ...}` sets a work up,
`{"do": "go", "steps": 3}` does some of it.
"""

import json
import math
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

MASKED = -1e2


# Models


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        d, inner = config["hidden_size"], config["intermediate_size"]
        self.heads = config["num_attention_heads"]
        self.query, self.key, self.value, self.dense = (nn.Linear(d, d) for _ in range(4))
        self.norm1, self.norm2 = nn.LayerNorm(d, 1e-12), nn.LayerNorm(d, 1e-12)
        self.up, self.down = nn.Linear(d, inner), nn.Linear(inner, d)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x, adder):
        b, l, d = x.shape
        split = lambda t: t.view(b, l, self.heads, d // self.heads).permute(0, 2, 1, 3)
        query, key, value = split(self.query(x)), split(self.key(x)), split(self.value(x))
        scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(d // self.heads) + adder
        probs = self.dropout(F.softmax(scores, -1))
        context = torch.matmul(probs, value).permute(0, 2, 1, 3).reshape(b, l, d)
        x = self.norm1(self.dropout(self.dense(context)) + x)
        return self.norm2(self.dropout(self.down(F.gelu(self.up(x)))) + x), scores


class Bert(nn.Module):
    def __init__(self, config):
        super().__init__()
        d = config["hidden_size"]
        self.words = nn.Embedding(config["vocab_size"], d)
        self.positions = nn.Embedding(config["max_position_embeddings"], d)
        self.segments = nn.Embedding(2, d)
        self.norm = nn.LayerNorm(d, 1e-12)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.dropout = nn.Dropout(0.1)

    def forward(self, ids, segments, mask):
        adder = (1.0 - mask[:, None, None, :]) * -10000.0
        places = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0).expand_as(ids)
        x = self.words(ids) + self.positions(places) + self.segments(segments)
        x = self.dropout(self.norm(x))
        states, scores = [x], []
        for layer in self.layers:
            x, score = layer(x, adder)
            states.append(x)
            scores.append(score)
        return states, scores


class BertAdam:
    """The published optimizer: no bias correction, clipping tensor by tensor, a loop in Python."""

    def __init__(self, model, rate=5e-5):
        self.rate = rate
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.first = [torch.zeros_like(p) for p in self.parameters]
        self.second = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self):
        for p, first, second in zip(self.parameters, self.first, self.second):
            if p.grad is None:
                continue
            nn.utils.clip_grad_norm_(p, 1.0)
            first.mul_(0.9).add_(p.grad, alpha=0.1)
            second.mul_(0.999).addcmul_(p.grad, p.grad, value=0.001)
            update = first / (second.sqrt() + 1e-6)
            if p.dim() > 1:
                update += 0.01 * p
            p.add_(-self.rate * update)
        for p in self.parameters:
            p.grad = None


# Data


def encoded(file, column, tokenizer, max_length, limit):
    """Token ids of a table's column (or, where that is null, of a text's lines run together)."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(tokenizer)
    tokenizer.no_padding()
    lines = Path(file).read_text(encoding="utf-8").split("\n")
    if column is None:
        tokenizer.no_truncation()
        rows, rest = [], []
        for line in lines:
            rest += tokenizer.encode(line, add_special_tokens=False).ids
            while len(rest) >= max_length - 2 and len(rows) < limit:
                rows.append([101, *rest[: max_length - 2], 102])
                rest = rest[max_length - 2 :]
            if len(rows) >= limit:
                break
        return rows
    tokenizer.enable_truncation(max_length)
    place = lines[0].rstrip("\r").split("\t").index(column)
    texts = [line.split("\t")[place] for line in lines[1:] if line]
    step = max(1, len(texts) // limit)
    return [e.ids for e in tokenizer.encode_batch(texts[::step][:limit])]


def block(rows, length):
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    mask = torch.zeros(len(rows), length)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        mask[index, : len(row)] = 1.0
    return ids, mask


def distance(student, teacher, batch, attention, hidden):
    """The published distillation loss: attention scores and hidden states of the mapped layers."""
    with torch.no_grad():
        states, scores = teacher(*batch)
    mine, my_scores = student(*batch)
    zeroed = lambda s: torch.where(s <= MASKED, torch.zeros_like(s), s)
    loss = 0.0
    for index, layer in enumerate(attention):
        loss = loss + F.mse_loss(zeroed(my_scores[index]).float(), zeroed(scores[layer]).float())
    for index, layer in enumerate(hidden):
        loss = loss + F.mse_loss(student.fit_dense(mine[index]).float(), states[layer].float())
    return loss


# Works: set up once, then `go` does `steps` of it and returns seconds, examples and tokens of each


class Distill:
    """A step on attention scores and hidden states: td-phase1, general-distill."""

    def __init__(self, ask):
        torch.manual_seed(1)
        self.length = ask["length"]
        self.rows = encoded(ask["file"], ask["column"], ask["tokenizer"], self.length, 4096)
        teacher, student = (json.loads(Path(p).read_text()) for p in ask["configs"])
        self.teacher, self.student = Bert(teacher).eval(), Bert(student).train()
        self.teacher.requires_grad_(False)
        self.student.fit_dense = nn.Linear(student["hidden_size"], teacher["hidden_size"])
        self.attention, self.hidden = ask["attention"], ask["states"]
        self.optimizer = BertAdam(self.student)
        self.order = torch.randperm(len(self.rows)).tolist()
        self.batch = ask["batch"]

    def go(self, _):
        chosen = [self.rows[self.order.pop()] for _ in range(self.batch)]
        start = time.perf_counter()
        ids, mask = block(chosen, self.length)
        segments = torch.zeros_like(ids)
        loss = distance(self.student, self.teacher, (ids, segments, mask), self.attention, self.hidden)
        loss.backward()
        self.optimizer.step()
        loss.item()
        return time.perf_counter() - start, len(chosen), sum(map(len, chosen))


class Classify:
    """`transformers` in bf16 autocast where asked, padded to the longest of a batch: of rows as they come, shuffled for
    training, or where asked of like lengths."""

    def __init__(self, ask):
        from transformers import BertConfig, BertForSequenceClassification

        torch.manual_seed(1)
        config = BertConfig(**json.loads(Path(ask["configs"][0]).read_text()), num_labels=2)
        config._attn_implementation = ask.get("attention_code", "sdpa")
        self.model = BertForSequenceClassification(config)
        self.train = ask["train"]
        self.model.train(self.train)
        self.autocast = ask["autocast"]
        self.batch = ask["batch"]
        rows = encoded(ask["file"], ask["column"], ask["tokenizer"], ask["length"], ask["limit"])
        if ask["grouped"]:
            rows.sort(key=len)
        elif self.train:
            rows = [rows[i] for i in torch.randperm(len(rows)).tolist()]
        cut = [rows[i : i + self.batch] for i in range(0, len(rows), self.batch)]
        order = torch.randperm(len(cut)).tolist()
        self.batches = [cut[i] for i in order]
        self.at = 0
        if self.train:
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=5e-5, fused=True)

    def go(self, _):
        rows = self.batches[self.at % len(self.batches)]
        self.at += 1
        start = time.perf_counter()
        ids, mask = block(rows, max(map(len, rows)))
        labels = torch.zeros(len(rows), dtype=torch.long)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            if self.train:
                loss = self.model(input_ids=ids, attention_mask=mask, labels=labels).loss
            else:
                with torch.inference_mode():
                    self.model(input_ids=ids, attention_mask=mask).logits.float().numpy()
        if self.train:
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            self.optimizer.zero_grad()
            loss.item()
        return time.perf_counter() - start, len(rows), sum(map(len, rows))


class Encode:
    """`tokenizers`, `encode_batch` on all cores; an example is a byte."""

    def __init__(self, ask):
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(ask["tokenizer"])
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        text = Path(ask["file"]).read_bytes()[: ask["bytes"]].decode("utf-8", "ignore")
        self.size = len(text.encode())
        self.lines = text.split("\n")

    def go(self, _):
        start = time.perf_counter()
        encodings = self.tokenizer.encode_batch(self.lines, add_special_tokens=False)
        tokens = sum(len(e.ids) for e in encodings)
        return time.perf_counter() - start, self.size, tokens


class Ceilings:
    """FLOP/s of a large product (examples), and bytes a second of a copy, read and written (tokens)."""

    def __init__(self, ask):
        kind = {"bf16": torch.bfloat16, "fp32": torch.float32}[ask["precision"]]
        n = 2048
        self.a, self.b = torch.randn(n, n).to(kind), torch.randn(n, n).to(kind)
        self.source = torch.randn(64_000_000)
        self.target = torch.empty_like(self.source)
        self.flop = 2 * n**3

    def go(self, _):
        start = time.perf_counter()
        torch.mm(self.a, self.b)
        middle = time.perf_counter()
        self.target.copy_(self.source)
        copied = time.perf_counter() - middle
        # Told as of one second, so that both fit the form of the others.
        return 1.0, self.flop / (middle - start), self.source.nbytes * 2 / copied


class Folder:
    """Writes a random BERT of a given shape as a Hugging Face folder: a teacher to be timed."""

    def __init__(self, ask):
        from safetensors.torch import save_file
        from transformers import BertConfig, BertForSequenceClassification

        torch.manual_seed(2)
        config = BertConfig(**ask["shape"], num_labels=2)
        model = BertForSequenceClassification(config)
        folder = Path(ask["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {k: v.contiguous() for k, v in model.state_dict().items() if "position_ids" not in k},
            folder / "model.safetensors",
        )
        (folder / "config.json").write_text(
            json.dumps({**config.to_dict(), "architectures": ["BertForSequenceClassification"]})
        )

    def go(self, _):
        return 1.0, 0, 0


WORKS = {
    "distill": Distill,
    "classify": Classify,
    "encode": Encode,
    "ceilings": Ceilings,
    "folder": Folder,
}


def main():
    work = None
    for line in sys.stdin:
        ask = json.loads(line)
        if ask["do"] == "go":
            answer = [work.go(ask) for _ in range(ask["steps"])]
        else:
            work = WORKS[ask["do"]](ask)
            answer = {"torch": torch.__version__, "threads": torch.get_num_threads()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
