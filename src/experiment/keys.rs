//! Every key of an experiment file, documented once: `docs/reference/experiment-file.md` is
//! generated from it, and tests compare it with what the reader accepts and fills in.

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Name in the file.
    pub name: &'static str,
    /// What is written there.
    pub kind: &'static str,
    /// What stands there when nothing is written.
    pub default: Fallback,
    /// Range or unit; empty where `kind` says it all.
    pub range: &'static str,
    /// What it does, in one line.
    pub meaning: &'static str,
}

/// Default of an omitted key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// It cannot be left out.
    Required,
    /// This TOML value.
    Value(&'static str),
    /// A TOML value for each table, by the table's last name.
    Each(&'static [(&'static str, &'static str)]),
    /// What these words say.
    Words(&'static str),
}

/// Keys that one table has, or that several have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// What the tables are, for a heading.
    pub title: &'static str,
    /// Dotted paths of the tables; empty for the file's top.
    pub paths: &'static [&'static str],
    /// Their keys.
    pub keys: &'static [Key],
}

const fn key(
    name: &'static str,
    kind: &'static str,
    default: Fallback,
    range: &'static str,
    meaning: &'static str,
) -> Key {
    Key {
        name,
        kind,
        default,
        range,
        meaning,
    }
}

use Fallback::{Each, Required, Value, Words};

/// Every key, in the order of the file.
// One line a key, to be read as the table it is.
#[rustfmt::skip]
pub const TABLES: &[Table] = &[
    Table {
        title: "Top level",
        paths: &[""],
        keys: &[
            key("name", "string", Words("the file name without `.toml`"), "letters, digits, `.`, `_`, `-`; `/` separates folders", "Name of the experiment and of its folder in `runs/`."),
            key("recipe", "`paper`, `huawei`, `mindspore`", Value("\"paper\""), "", "Preset that supplies the defaults of omitted keys; see the recipes."),
            key("seed", "integer", Value("42"), "at least 0", "Seed of weight initialization, data order and dropout."),
            key("device", "`auto`, `cpu`, `cuda`, `cuda:N`", Value("\"auto\""), "", "Device to compute on; `auto` selects the first CUDA device, otherwise the CPU. Changing it does not re-run stages."),
            key("precision", "`auto`, `fp32`, `bf16`, `fp16`", Value("\"auto\""), "", "Precision of matrix multiplications; `auto` selects bf16 on devices with bf16 instructions, otherwise fp32. fp16 uses dynamic loss scaling."),
            key("threads", "integer", Words("all cores"), "1 to 4096", "Number of libtorch threads on the CPU. Changing it does not re-run stages."),
            key("watchdog-seconds", "integer", Value("0"), "seconds; 0 is off", "Stop the kernel if it reports no progress for this long; the stage fails and its last checkpoint is kept. Training reports progress every 0.5 s, but loading and scoring report none. Changing it does not re-run stages."),
        ],
    },
    Table {
        title: "Task data",
        paths: &["task"],
        keys: &[
            key("name", "`sst-2`, `cola`, `mrpc`, `qqp`, `sts-b`, `mnli`, `qnli`, `rte`, `wnli`, `custom`", Required, "", "GLUE task, which sets columns, classes and defaults, or `custom` for your own tables."),
            key("train", "path or glob", Required, "", "Training table, or several tables with the same columns."),
            key("dev", "path or glob", Words("none; `dev` or `dev-fraction` is required"), "", "Dev table, used for scoring."),
            key("dev-mismatched", "path or glob", Words("none"), "`mnli` only", "MNLI's mismatched dev table, scored as a separate split."),
            key("dev-fraction", "number", Words("none; `dev` or `dev-fraction` is required"), "more than 0, at most 0.5", "Fraction of `train` to hold out as dev split, selected by a hash of the text."),
            key("format", "`auto`, `tsv`, `csv`", Value("\"auto\""), "", "Table format; `auto` is CSV for files ending in `.csv`, else TSV without quoting, and detects other delimiters. `tsv` detects nothing."),
            key("delimiter", "string", Value("\"auto\""), "one character", "Character between fields; `auto` detects comma, tab, semicolon, vertical bar and Excel's `sep=` line."),
            key("quoting", "`auto`, `quotes`, `none`", Value("\"auto\""), "", "Whether double quotes enclose a field that may contain delimiters and line breaks; `auto` is yes in CSV, and in TSV only if its rows need it."),
            key("escape", "`auto`, `doubled`, `backslash`", Value("\"auto\""), "", "How a quote within a quoted field is written: twice (RFC 4180) or after a backslash; `auto` detects it."),
            key("text", "string", Words("`\"sentence\"`; GLUE's column for its tasks"), "column name", "Column with the text."),
            key("pair", "string", Words("none; GLUE's column for its pair tasks"), "column name", "Column with the second text of a pair."),
            key("label", "string", Words("`\"label\"`; GLUE's column for its tasks"), "column name", "Column with the label."),
            key("regression", "boolean", Words("`true` for `sts-b`, else `false`"), "", "Treat labels as real values (regression) instead of classes."),
            key("labels", "list of strings", Words("GLUE's names, such as `[\"negative\", \"positive\"]` for `sst-2`; for `custom`, the sorted distinct labels of `train`"), "at least 2, all different", "Class names, in the order of the classifier's outputs."),
            key("max-seq-length", "integer", Words("64 for `sst-2` and `cola`, else 128"), "tokens; 3 to the models' `max-position-embeddings`", "Maximum input length, including special tokens; longer inputs are truncated."),
        ],
    },
    Table {
        title: "Teacher",
        paths: &["teacher"],
        keys: &[
            key("model", "path", Required, "Hugging Face model folder", "BERT model, already fine-tuned or to be fine-tuned by the `finetune` stage."),
            key("head", "`plain`, `relu`", Value("\"plain\""), "", "Activation between pooler and classifier; `relu` for models trained with Huawei's or MindSpore's code."),
            key("classifier", "`auto`, `new`", Value("\"auto\""), "`new` with `finetune` only", "Classifier that `finetune` starts from: the model's own if it has one, or a new one with random weights, for example to fine-tune a five-class model on three classes."),
        ],
    },
    Table {
        title: "Student",
        paths: &["student"],
        keys: &[
            key("model", "path", Words("random weights with the shape below"), "Hugging Face model folder", "Model to start from; excludes all keys of the shape."),
            key("num-hidden-layers", "integer", Value("4"), "1 to 1000", "Number of encoder layers."),
            key("hidden-size", "integer", Value("312"), "a multiple of `num-attention-heads`", "Dimension of the hidden states."),
            key("intermediate-size", "integer", Value("1200"), "1 to 1000000", "Dimension of the feed-forward layer."),
            key("num-attention-heads", "integer", Value("12"), "must equal the teacher's", "Number of attention heads per layer."),
            key("hidden-act", "`gelu`, `gelu_new`, `relu`", Value("\"gelu\""), "", "Activation of the feed-forward layer."),
            key("hidden-dropout-prob", "number", Value("0.1"), "at least 0, less than 1", "Dropout probability of hidden states during training."),
            key("attention-probs-dropout-prob", "number", Value("0.1"), "at least 0, less than 1", "Dropout probability of attention weights during training."),
            key("max-position-embeddings", "integer", Value("512"), "tokens; 3 to 1000000", "Maximum input length of the model (size of the position-embedding matrix)."),
            key("initializer-range", "number", Value("0.02"), "more than 0, at most 1", "Standard deviation of the initial weights."),
            key("layer-norm-eps", "number", Value("1e-12"), "more than 0, at most 0.1", "Epsilon added to the variance in layer normalization."),
            key("vocab-size", "integer", Words("the teacher's"), "at least the teacher's", "Size of the word-embedding matrix; may exceed the tokenizer's vocabulary, for example to pad to a multiple of 8."),
            key("type-vocab-size", "integer", Words("the teacher's"), "at least 2 for pairs", "Number of segments (token type IDs)."),
            key("use-relative-positions", "boolean", Value("false"), "", "Use relative positions, as in MindSpore's BERT, instead of absolute positions; such a model does not load in `transformers`."),
            key("head", "`plain`, `relu`", Value("\"plain\""), "", "Activation between pooler and classifier."),
            key("initializer", "`normal`, `truncated-normal`", Value("\"normal\""), "", "Distribution of the initial weights; `truncated-normal` is limited to two standard deviations."),
            key("embedding-initializer-range", "number", Words("`initializer-range`"), "more than 0, at most 1", "Standard deviation of the initial embedding matrices."),
            key("projection-initializer-range", "number", Words("`initializer-range`; 0.02 with `model`"), "more than 0, at most 1", "Standard deviation of the initial projection to the teacher's hidden size."),
            key("dtype", "`fp32`, `fp16`, `bf16`", Value("\"fp32\""), "", "Data type of the weights that `td-phase2` writes; earlier stages write fp32."),
            key("layer-map", "`uniform`, `top`, `bottom`, or a table", Value("\"uniform\""), "", "Teacher layers to distill; `uniform` requires a teacher with a multiple of the student's layers. The table form has the two keys below."),
        ],
    },
    Table {
        title: "Explicit layer map, also written `layer-map = { attention = [..], hidden = [..] }`",
        paths: &["student.layer-map"],
        keys: &[
            key("attention", "list of integers", Required, "teacher layers, from 0; one per student layer", "Teacher layer for the attention loss of each student layer."),
            key("hidden", "list of integers", Required, "teacher hidden states, 0 is the embedding output; one more than student layers", "Teacher hidden state for the hidden-state loss of the embedding output and of each student layer."),
        ],
    },
    Table {
        title: "Training stages",
        paths: &["stages.finetune", "stages.general-distill", "stages.td-phase1", "stages.td-phase2"],
        keys: &[
            key("seed", "integer", Words("the file's `seed`"), "at least 0", "Seed of this stage: weight initialization, data order and dropout."),
            key("epochs", "integer", Each(&[("finetune", "3"), ("general-distill", "3"), ("td-phase1", "10"), ("td-phase2", "3")]), "1 to 10000", "Number of epochs. For GLUE tasks in `td-phase1` with recipe `paper`: 50 for `cola`, 10 for `mnli`, `qnli` and `qqp`, 20 for the others."),
            key("batch-size", "integer", Value("32"), "examples; 1 to 65536", "Batch size of an optimizer step."),
            key("gradient-accumulation-steps", "integer", Value("1"), "divides `batch-size`", "Number of micro-batches that a batch is split into, to save memory."),
            key("learning-rate", "number", Each(&[("finetune", "2e-5"), ("general-distill", "1e-4"), ("td-phase1", "5e-5"), ("td-phase2", "3e-5")]), "more than 0, at most 1", "Peak learning rate."),
            key("end-learning-rate", "number", Words("0"), "0 to `learning-rate`; not with `constant`", "Learning rate at the last step."),
            key("schedule", "`linear`, `polynomial`, `constant`", Each(&[("finetune", "\"linear\""), ("general-distill", "\"linear\""), ("td-phase1", "\"constant\""), ("td-phase2", "\"linear\"")]), "", "Learning-rate schedule after the warmup: linear or polynomial decay, or constant."),
            key("power", "number", Words("1"), "more than 0, at most 100; `polynomial` only", "Exponent of the polynomial decay."),
            key("warmup-proportion", "number", Each(&[("finetune", "0.1"), ("general-distill", "0.1"), ("td-phase1", "0.0"), ("td-phase2", "0.1")]), "fraction of all steps; at least 0, less than 1", "Length of the warmup, in which the learning rate rises linearly from 0."),
            key("warmup-steps", "integer", Words("none"), "steps; replaces `warmup-proportion`", "Length of the warmup in steps."),
            key("warmup-epochs", "number", Words("none"), "epochs; replaces `warmup-proportion`", "Length of the warmup in epochs, rounded down to steps."),
            key("decay-from", "`warmup`, `start`", Value("\"warmup\""), "", "Start of the decay; with `start` the decay includes the warmup steps, so the learning rate drops at the end of the warmup, as in MindSpore's code."),
            key("optimizer", "`bert-adam`, `adamw`", Each(&[("finetune", "\"adamw\""), ("general-distill", "\"bert-adam\""), ("td-phase1", "\"bert-adam\""), ("td-phase2", "\"bert-adam\"")]), "", "`bert-adam` is BERT's Adam without bias correction; `adamw` has it. Recipes `huawei` and `mindspore` use `bert-adam` in every stage."),
            key("adam-beta1", "number", Value("0.9"), "at least 0, less than 1", "Decay rate of Adam's first moment."),
            key("adam-beta2", "number", Value("0.999"), "at least 0, less than 1", "Decay rate of Adam's second moment."),
            key("adam-epsilon", "number", Value("1e-6"), "more than 0, at most 1", "Epsilon added to the square root of Adam's second moment."),
            key("weight-decay", "number", Value("0.01"), "0 to 1", "Decoupled weight decay."),
            key("weight-decay-exempt", "list of strings", Value("[\"bias\", \"LayerNorm\"]"), "substrings of tensor names, case-insensitive", "Tensors without weight decay."),
            key("clipping", "`tensor`, `global`, `off`", Value("\"tensor\""), "", "Gradient clipping: per tensor, by global norm, or off."),
            key("max-grad-norm", "number", Value("1.0"), "at least 0; 0 is off", "Maximum gradient norm."),
            key("loss-scale", "number", Words("65536; 256 in `td-phase1` with recipe `mindspore`"), "at least 1; requires `precision = \"fp16\"`", "Initial loss scale. Steps whose gradients overflow are skipped and counted in `metrics.csv`."),
            key("loss-scale-factor", "number", Words("2"), "more than 1; requires `fp16`", "Factor to divide the loss scale by after an overflow (to at least 1), and to multiply it by after a window without overflow."),
            key("loss-scale-window", "integer", Words("1000; 50 in both phases with recipe `mindspore`"), "steps; requires `fp16`", "Steps without overflow before the loss scale grows."),
            key("shuffle", "boolean", Value("true"), "", "Reshuffle every epoch and bucket examples by length; if false, keep file order."),
            key("drop-last", "boolean", Value("false"), "", "Drop the last batch of an epoch if it is incomplete."),
            key("pad-to", "`none`, `longest`, `max-seq-length`", Value("\"none\""), "", "Padding of a batch: `none` packs it without padding (on the CPU in fp32 or bf16, with absolute positions and reduction `tokens`; otherwise the same as `longest`), `longest` pads to its longest example, `max-seq-length` to the maximum. Changing it between `none` and `longest` does not re-run stages: the results differ by rounding, and by dropout as with another seed."),
            key("train-limit", "integer", Words("all"), "examples; at least 1", "Train on a subset of this size, selected by the seed."),
            key("log-interval", "integer", Value("50"), "steps; at least 1", "Steps between two rows of `metrics.csv`. Changing it does not re-run stages."),
            key("checkpoint-interval", "integer", Value("0"), "steps; 0 is off", "Steps between two checkpoints. Changing it does not re-run stages."),
            key("checkpoint-seconds", "integer", Value("60"), "seconds; 0 is off", "Time between two checkpoints. Changing it does not re-run stages."),
            key("checkpoint-keep", "integer", Value("2"), "1 to 1000", "Number of newest checkpoints to keep while the stage runs. Changing it does not re-run stages."),
            key("prefetch", "integer", Value("2"), "batches; 0 is off", "Number of batches to prepare ahead on a separate thread. Changing it does not re-run stages."),
        ],
    },
    Table {
        title: "Training stages that score on dev",
        paths: &["stages.finetune", "stages.td-phase2"],
        keys: &[
            key("eval-interval", "integer", Value("0"), "steps; 0 is off", "Steps between two scorings on dev, in addition to the end of each epoch."),
            key("keep", "`best`, `last`", Value("\"best\""), "", "Weights to write: the `best` on dev (by Matthews correlation for `cola`, by the mean of Pearson and Spearman correlation for a regression, otherwise by accuracy; the earliest on a tie) or the `last`."),
        ],
    },
    Table {
        title: "Distillation of layers",
        paths: &["stages.general-distill", "stages.td-phase1"],
        keys: &[
            key("attention-weight", "number", Value("1.0"), "at least 0", "Weight of the attention loss; 0 disables it."),
            key("hidden-weight", "number", Value("1.0"), "at least 0; not 0 if `attention-weight` is 0", "Weight of the hidden-state loss; 0 disables it."),
            key("attention-layer-weights", "list of numbers", Words("all 1"), "at least 0; one per student layer", "Weights of the attention loss per layer."),
            key("hidden-layer-weights", "list of numbers", Words("all 1"), "at least 0; the embedding output, then one per student layer", "Weights of the hidden-state loss per layer."),
            key("projection", "`shared`, `per-layer`, `embedding-and-hidden`", Value("\"embedding-and-hidden\""), "", "Projection from the student's hidden size to the teacher's: one matrix for all hidden states, one per hidden state, or one for the embedding output and one for all layers."),
            key("keep-projection", "boolean", Words("`true`; `false` with recipe `mindspore`"), "", "Start from the projection of the previous stage; if false, from random weights."),
            key("reduction", "`tokens`, `block`", Value("\"tokens\""), "", "Average the losses over real tokens, or over the padded batch as in the published code."),
        ],
    },
    Table {
        title: "Distillation stages",
        paths: &["stages.general-distill", "stages.td-phase1", "stages.td-phase2"],
        keys: &[
            key("teacher-dropout", "boolean", Value("false"), "", "Keep the teacher's dropout active, as in Huawei's code."),
        ],
    },
    Table {
        title: "General distillation",
        paths: &["stages.general-distill"],
        keys: &[
            key("corpus", "list of paths or globs", Required, "at least 1", "Text files with one paragraph per line."),
            key("max-seq-length", "integer", Value("128"), "tokens; 3 to the models' `max-position-embeddings`", "Maximum input length, including special tokens."),
            key("long-lines", "`split`, `truncate`", Value("\"split\""), "", "Split longer lines into several examples, or truncate them."),
        ],
    },
    Table {
        title: "Task distillation",
        paths: &["stages.td-phase1", "stages.td-phase2"],
        keys: &[
            key("gate", "`auto`, `off`, or a number", Value("\"auto\""), "accuracy, 0 to 1", "Teacher check before the stage starts: `auto` rejects a teacher that predicts dev at chance level, or that is clearly better with another class order or the other `head`; a number is the minimum accuracy on dev. Changing it does not re-run stages."),
            key("teacher-memory", "number", Value("10.0"), "gigabytes; 0 is off", "Maximum size of the teacher cache on disk (`runs/store/teacher-answers`). With more than one epoch, the teacher forward pass runs once per example and its outputs are reused, also by other stages with the same teacher outputs (another seed, another learning rate). The least recently used outputs are evicted. If they do not fit, or with `teacher-dropout` or reduction `block`, the teacher runs in every step. Changing it does not re-run stages."),
        ],
    },
    Table {
        title: "Distillation of predictions (phase 2)",
        paths: &["stages.td-phase2"],
        keys: &[
            key("temperature", "number", Value("1.0"), "more than 0, at most 1000", "Temperature that divides the logits of teacher and student."),
            key("soft-loss-reduction", "`batch-and-classes`, `batch`", Value("\"batch-and-classes\""), "", "Average the soft loss over batch and classes, as in the published code, or over the batch only."),
            key("soft-loss-weight", "number", Value("1.0"), "at least 0; not 0 if `hard-label-weight` is 0", "Weight of the soft loss; 0 disables it, and the teacher is not run."),
            key("hard-label-weight", "number", Value("0.0"), "at least 0", "Weight of an additional cross-entropy loss on the labels; 0 disables it."),
            key("regression-target", "`teacher`, `labels`", Value("\"teacher\""), "", "Target of a regression's squared error: the teacher's outputs or the labels. The keys above apply to classification."),
        ],
    },
    Table {
        title: "Stages that read models",
        paths: &["stages.general-distill", "stages.td-phase1", "stages.td-phase2", "stages.eval"],
        keys: &[
            key("student", "stage name, path with a `/`, or (training stages) `random`", Words("the nearest earlier student"), "", "Student to start from or to evaluate."),
            key("teacher", "stage name, or path with a `/`", Words("the fine-tuned teacher; in `general-distill` that of `[teacher]`"), "", "Teacher to distill from or to evaluate."),
        ],
    },
    Table {
        title: "Evaluation",
        paths: &["stages.eval"],
        keys: &[
            key("batch-size", "integer", Value("32"), "examples; 1 to 65536", "Batch size."),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::testing::{pipeline, read, read_with};
    use super::super::{Experiment, to_toml};
    use super::*;

    const EXPLICIT_MAP: &str =
        "student.layer-map={ attention = [0, 1, 2, 3], hidden = [0, 1, 2, 3, 4] }";

    fn paths() -> BTreeSet<&'static str> {
        TABLES
            .iter()
            .flat_map(|table| table.paths)
            .copied()
            .collect()
    }

    fn keys_of(path: &str) -> impl Iterator<Item = &'static Key> {
        let tables = TABLES
            .iter()
            .filter(move |table| table.paths.contains(&path));
        tables.flat_map(|table| table.keys)
    }

    fn join(path: &str, key: &str) -> String {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    }

    #[test]
    fn what_is_documented_is_what_is_read() {
        for path in paths() {
            let unknown = format!("{}=1", join(path, "no-such-key"));
            let faults = read_with(&pipeline(), &[EXPLICIT_MAP, &unknown]).unwrap_err();
            let note = faults.faults[0].note.as_deref().unwrap();
            let mut allowed: BTreeSet<&str> = note.split('`').skip(1).step_by(2).collect();
            if path.is_empty() {
                for table in ["task", "teacher", "student", "stages", "goal", "matrix"] {
                    assert!(allowed.remove(table));
                }
            }
            let documented: BTreeSet<&str> = keys_of(path).map(|key| key.name).collect();
            assert_eq!(documented, allowed, "[{path}]");
        }
    }

    #[test]
    fn what_is_documented_as_the_default_is_what_is_filled_in() {
        let resolved: toml::Table = to_toml(&read(&pipeline())).parse().unwrap();
        for path in paths() {
            for key in keys_of(path) {
                let value = match key.default {
                    Value(value) => value,
                    Each(values) => {
                        let stage = path.strip_prefix("stages.").unwrap();
                        values.iter().find(|(name, _)| *name == stage).unwrap().1
                    }
                    Required | Words(_) => continue,
                };
                let whole = join(path, key.name);
                let mut found = toml::Value::Table(resolved.clone());
                for part in whole.split('.') {
                    found = found[part].clone();
                }
                let documented: toml::Table = format!("value = {value}").parse().unwrap();
                assert_eq!(documented["value"], found, "{whole}");
            }
        }
    }

    #[test]
    fn what_is_documented_as_required_cannot_be_left_out() {
        let text = to_toml(&read_with(&pipeline(), &[EXPLICIT_MAP]).unwrap());
        for path in paths() {
            for key in keys_of(path).filter(|key| key.default == Required) {
                let whole = join(path, key.name);
                let mut table: toml::Table = text.parse().unwrap();
                let mut inner = &mut table;
                for part in path.split('.') {
                    inner = inner[part].as_table_mut().unwrap();
                }
                inner.remove(key.name).unwrap();
                let faults = Experiment::read("x", "x", &table.to_string(), &[]).unwrap_err();
                let message = format!("missing key `{}` in `[{path}]`", key.name);
                assert_eq!(faults.faults[0].message, message, "{whole}");
            }
        }
    }
}
