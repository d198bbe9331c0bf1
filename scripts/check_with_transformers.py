#!/usr/bin/env python3
"""Opens a student in Hugging Face transformers and checks it on a table.

    check_with_transformers.py FOLDER TABLE.tsv [--predictions predictions-student.csv]

Prints the accuracy on the table (columns `sentence` and `label`, as GLUE's SST-2; others by
--text, --pair and --label, and --columns for a table without a header), and with --predictions how many rows have another class there (columns index,
label, predicted, logit_0, ...) than here in fp32, and the largest absolute difference between
their logits. Of a regression only the outputs are compared. Exit code 1 when a class differs, or a logit by more than --tolerance.

For use by hand: needs a Python that has torch and transformers.
"""

import argparse
import csv
import sys


def arguments(more=lambda parser: None):
    parser = argparse.ArgumentParser(description="check a student with Hugging Face transformers")
    parser.add_argument("folder", help="the student: config.json, weights, tokenizer")
    parser.add_argument("table", help="labelled TSV with a header, no quoting")
    parser.add_argument("--predictions", help="predictions of tinyrun's eval stage for the table")
    parser.add_argument("--text", default="sentence", help="the text's column (%(default)s)")
    parser.add_argument("--pair", help="the second text's column (none)")
    parser.add_argument("--columns", help="names of the columns of a table without a header, a,b,c")
    parser.add_argument("--label", default="label", help="the label's column (%(default)s)")
    parser.add_argument("--max-seq-length", type=int, default=64, help="(%(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="(%(default)s)")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="(%(default)s)")
    more(parser)
    return parser.parse_args()


def read_table(args):
    """Returns the texts, the second texts (none where the task has one text) and the labels."""
    names = args.columns.split(",") if args.columns else None
    with open(args.table, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, names, delimiter="\t", quoting=csv.QUOTE_NONE))
    wanted = [args.text, args.label] + ([args.pair] if args.pair else [])
    for column in wanted:
        if not rows or column not in rows[0]:
            sys.exit(f"error: `{args.table}` has no rows with a column `{column}`")
    pairs = [row[args.pair] for row in rows] if args.pair else None
    return [row[args.text] for row in rows], pairs, [row[args.label] for row in rows]


def read_predictions(path):
    """Returns index -> predicted class and logits, in the order of the columns logit_0, ..."""
    with open(path, encoding="utf-8", newline="") as file:
        return {
            int(row["index"]): (
                row["predicted"],
                [float(row[name]) for name in row if name.startswith("logit_")],
            )
            for row in csv.DictReader(file)
        }


def class_of(label, model):
    """The class a label of the table means: one of the model's names, or a number."""
    names = {str(name): index for name, index in (model.config.label2id or {}).items()}
    if label in names:
        return int(names[label])
    if label.isdigit():
        return int(label)
    sys.exit(f"error: label `{label}` is not a class of the model ({', '.join(names)})")


def main():
    args = arguments()
    try:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
    except ImportError as error:
        sys.exit(f"error: this Python has no `{error.name}`\nhint: run `pip install torch transformers`")
    tokenizer = AutoTokenizer.from_pretrained(args.folder)
    model, loading = AutoModelForSequenceClassification.from_pretrained(
        args.folder, output_loading_info=True
    )
    model.float().eval()
    # A tensor transformers had to invent would make every number below meaningless.
    for kind in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        names = sorted(str(name) for name in loading[kind])
        print(f"{kind.replace('_', ' ')}: {', '.join(names) if names else 'none'}")
        if names and kind != "unexpected_keys":
            sys.exit("error: the weights do not match the configuration")

    texts, pairs, labels = read_table(args)
    regression = model.config.num_labels == 1
    logits = []
    with torch.inference_mode():
        for start in range(0, len(texts), args.batch_size):
            batch = tokenizer(
                texts[start : start + args.batch_size],
                pairs and pairs[start : start + args.batch_size],
                truncation=True,
                max_length=args.max_seq_length,
                padding=True,
                return_tensors="pt",
            )
            logits += model(**batch).logits.tolist()
    predicted = [max(range(len(row)), key=row.__getitem__) for row in logits]
    if not regression:
        correct = sum(ours == class_of(label, model) for ours, label in zip(predicted, labels))
        print(f"accuracy: {correct / len(labels):.4f} ({correct}/{len(labels)})")

    if args.predictions:
        theirs = read_predictions(args.predictions)
        if not theirs or max(theirs) >= len(logits):
            sys.exit(f"error: `{args.predictions}` does not match the rows of `{args.table}`")
        others = [
            index
            for index, (name, _) in theirs.items()
            if not regression and class_of(name, model) != predicted[index]
        ]
        worst, index = max(
            (max(abs(a - b) for a, b in zip(logits[index], row)), index)
            for index, (_, row) in theirs.items()
        )
        print(f"compared: {len(theirs)} of {len(logits)} rows")
        print(f"rows with another class: {len(others)}")
        print(f"largest difference of a logit: {worst:.3g} (row {index}: {texts[index]!r})")
        if others:
            sys.exit(f"error: the classes of {len(others)} rows differ, first of row {others[0]}")
        if worst > args.tolerance:
            sys.exit(f"error: the difference exceeds the tolerance {args.tolerance:g}")


if __name__ == "__main__":
    main()
