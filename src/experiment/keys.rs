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

/// What stands for a key that is left out.
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
        title: "Top of the file",
        paths: &[""],
        keys: &[
            key("name", "string", Words("the file's name without `.toml`"), "letters, digits, `.`, `_`, `-`; `/` between folders", "Folder of the results in `runs/`."),
            key("recipe", "`paper`, `huawei`, `mindspore`", Value("\"paper\""), "", "Whose defaults stand for keys that are left out; see the table of recipes."),
            key("seed", "whole number", Value("42"), "at least 0", "Seed of initial weights, data order and dropout."),
            key("device", "`auto`, `cpu`, `cuda`, `cuda:N`", Value("\"auto\""), "", "Where to compute; `auto` is the first CUDA device, else the processor. Changing it re-runs nothing."),
            key("precision", "`auto`, `fp32`, `bf16`, `fp16`", Value("\"auto\""), "", "Number format of matrix products; `auto` is bf16 where the device computes in it, else fp32. fp16 scales the loss."),
            key("threads", "whole number", Words("every core"), "1 to 4096", "Threads of libtorch. Changing it re-runs nothing."),
            key("watchdog-seconds", "whole number", Value("0"), "seconds; 0 is off", "A kernel that says nothing for so long is ended, and its stage fails with its last checkpoint kept; a training says something each half second, but not while it loads or scores dev. Changing it re-runs nothing."),
        ],
    },
    Table {
        title: "The labelled data",
        paths: &["task"],
        keys: &[
            key("name", "`sst-2`, `cola`, `mrpc`, `qqp`, `sts-b`, `mnli`, `qnli`, `rte`, `wnli`, `custom`", Required, "", "Layout of the tables: that of a task of GLUE, or your own."),
            key("train", "path or glob", Required, "", "Training table, or several with the same columns."),
            key("dev", "path or glob", Words("none; it or `dev-fraction` is required"), "", "Table that models are scored on."),
            key("dev-mismatched", "path or glob", Words("none"), "`mnli` only", "MNLI's second table to score on, of other genres; a split of its own."),
            key("dev-fraction", "number", Words("none; it or `dev` is required"), "more than 0, at most 0.5", "Share of `train` to score on instead, held out by hash of the text."),
            key("format", "`auto`, `tsv`, `csv`", Value("\"auto\""), "", "How lines are cut; `auto` is CSV for files that end in `.csv`, else TSV without quoting."),
            key("text", "string", Words("`\"sentence\"`; GLUE's column for its tasks"), "a column", "Column of the text."),
            key("pair", "string", Words("none; GLUE's column for its tasks of pairs"), "a column", "Column of a second text, where a row is a pair."),
            key("label", "string", Words("`\"label\"`; GLUE's column for its tasks"), "a column", "Column of the label."),
            key("regression", "boolean", Words("`true` for `sts-b`, else `false`"), "", "Whether labels are values on a scale and not classes."),
            key("labels", "list of strings", Words("what GLUE calls them, such as `[\"negative\", \"positive\"]` for `sst-2`; as found in `train`, sorted, for `custom`"), "at least 2, all different", "Names of the classes in their order."),
            key("max-seq-length", "whole number", Words("64 for `sst-2` and `cola`, else 128"), "tokens; 3 to the models' `max-position-embeddings`", "Longest input, special tokens included; longer ones are cut."),
        ],
    },
    Table {
        title: "The model to compress",
        paths: &["teacher"],
        keys: &[
            key("model", "path", Required, "a Hugging Face folder", "A BERT; fine-tuned already, or by the stage `finetune`."),
            key("head", "`plain`, `relu`", Value("\"plain\""), "", "How its classifier reads the pooled output; `relu` for models of Huawei's and MindSpore's code."),
        ],
    },
    Table {
        title: "The small model",
        paths: &["student"],
        keys: &[
            key("model", "path", Words("random weights in the shape below"), "a Hugging Face folder", "Model to start from; excludes every key of the shape."),
            key("num-hidden-layers", "whole number", Value("4"), "1 to 1000", "Encoder layers."),
            key("hidden-size", "whole number", Value("312"), "a multiple of `num-attention-heads`", "Width of a hidden state."),
            key("intermediate-size", "whole number", Value("1200"), "1 to 1000000", "Width of the feed-forward layer."),
            key("num-attention-heads", "whole number", Value("12"), "the teacher's", "Attention heads a layer."),
            key("hidden-act", "`gelu`, `gelu_new`, `relu`", Value("\"gelu\""), "", "Activation of the feed-forward layer."),
            key("hidden-dropout-prob", "number", Value("0.1"), "at least 0, less than 1", "Dropout of hidden states in training."),
            key("attention-probs-dropout-prob", "number", Value("0.1"), "at least 0, less than 1", "Dropout of attention probabilities in training."),
            key("max-position-embeddings", "whole number", Value("512"), "tokens; 3 to 1000000", "Longest input that the model can read."),
            key("initializer-range", "number", Value("0.02"), "more than 0, at most 1", "Standard deviation of initial weights."),
            key("layer-norm-eps", "number", Value("1e-12"), "more than 0, at most 0.1", "Added to the variance in layer norms."),
            key("vocab-size", "whole number", Words("the teacher's"), "at least the teacher's", "Rows of the table of words; more than there are tokens make a size that a device likes."),
            key("type-vocab-size", "whole number", Words("the teacher's"), "at least 2 for pairs", "Segments of an input."),
            key("use-relative-positions", "boolean", Value("false"), "", "Positions relative to each other, as MindSpore's BERT defines them, instead of absolute ones; such a model does not open in `transformers`."),
            key("head", "`plain`, `relu`", Value("\"plain\""), "", "How its classifier reads the pooled output."),
            key("initializer", "`normal`, `truncated-normal`", Value("\"normal\""), "", "Distribution of initial weights; cut at two standard deviations or not."),
            key("embedding-initializer-range", "number", Words("`initializer-range`"), "more than 0, at most 1", "Standard deviation of initial embedding tables."),
            key("projection-initializer-range", "number", Words("`initializer-range`; 0.02 beside `model`"), "more than 0, at most 1", "Standard deviation of an initial projection to the teacher's width."),
            key("dtype", "`fp32`, `fp16`, `bf16`", Value("\"fp32\""), "", "Number format of the weights that `td-phase2` writes; the stages before it hand on fp32."),
            key("layer-map", "`uniform`, `top`, `bottom`, or a table", Value("\"uniform\""), "", "Teacher layers to learn from; `uniform` needs a multiple of the student's layers. As a table: the two keys below."),
        ],
    },
    Table {
        title: "An explicit layer map, also written `layer-map = { attention = [..], hidden = [..] }`",
        paths: &["student.layer-map"],
        keys: &[
            key("attention", "list of whole numbers", Required, "teacher layers from 0; one for each student layer", "Layers whose attention scores are learnt from."),
            key("hidden", "list of whole numbers", Required, "teacher hidden states, 0 the embeddings; one more than student layers", "Hidden states that are learnt from."),
        ],
    },
    Table {
        title: "Every stage that trains",
        paths: &["stages.finetune", "stages.general-distill", "stages.td-phase1", "stages.td-phase2"],
        keys: &[
            key("seed", "whole number", Words("that of the file"), "at least 0", "Seed of this stage: of its initial weights, data order and dropout."),
            key("epochs", "whole number", Each(&[("finetune", "3"), ("general-distill", "3"), ("td-phase1", "10"), ("td-phase2", "3")]), "1 to 10000", "Passes over the data. In `td-phase1` of a task of GLUE, under recipe `paper`: 50 for `cola`, 10 for `mnli`, `qnli` and `qqp`, else 20."),
            key("batch-size", "whole number", Value("32"), "examples; 1 to 65536", "Examples an optimizer step."),
            key("gradient-accumulation-steps", "whole number", Value("1"), "divides `batch-size`", "Parts that a batch is computed in, to save memory."),
            key("learning-rate", "number", Each(&[("finetune", "2e-5"), ("general-distill", "1e-4"), ("td-phase1", "5e-5"), ("td-phase2", "3e-5")]), "more than 0, at most 1", "Peak of the learning rate."),
            key("end-learning-rate", "number", Words("0"), "0 to `learning-rate`; not with `constant`", "Learning rate at the last step."),
            key("schedule", "`linear`, `polynomial`, `constant`", Each(&[("finetune", "\"linear\""), ("general-distill", "\"linear\""), ("td-phase1", "\"constant\""), ("td-phase2", "\"linear\"")]), "", "Learning rate after the warm-up: falling to its end at the last step, or staying."),
            key("power", "number", Words("1"), "more than 0, at most 100; `polynomial` only", "Power of what is left of the schedule."),
            key("warmup-proportion", "number", Each(&[("finetune", "0.1"), ("general-distill", "0.1"), ("td-phase1", "0.0"), ("td-phase2", "0.1")]), "share of all steps; at least 0, less than 1", "Steps over which the learning rate rises from 0."),
            key("warmup-steps", "whole number", Words("none"), "steps; instead of `warmup-proportion`", "The same as a number of steps."),
            key("warmup-epochs", "number", Words("none"), "epochs; instead of `warmup-proportion`", "The same as a part of an epoch, rounded down to steps."),
            key("decay-from", "`warmup`, `start`", Value("\"warmup\""), "", "Step that the decay is counted from; `start` jumps down where the warm-up ends, as MindSpore's code does."),
            key("optimizer", "`bert-adam`, `adamw`", Value("\"bert-adam\""), "", "Adam as BERT has it, without bias correction, or with it."),
            key("adam-beta1", "number", Value("0.9"), "at least 0, less than 1", "Decay of the first moment."),
            key("adam-beta2", "number", Value("0.999"), "at least 0, less than 1", "Decay of the second moment."),
            key("adam-epsilon", "number", Value("1e-6"), "more than 0, at most 1", "Added to the root of the second moment."),
            key("weight-decay", "number", Value("0.01"), "0 to 1", "Decoupled decay of weights."),
            key("weight-decay-exempt", "list of strings", Value("[\"bias\", \"LayerNorm\"]"), "parts of names, in whatever case", "Tensors that do not decay."),
            key("clipping", "`tensor`, `global`, `off`", Value("\"tensor\""), "", "Of what the gradient's norm is bounded: each tensor, all together, or nothing."),
            key("max-grad-norm", "number", Value("1.0"), "at least 0; 0 is off", "Largest norm of a gradient."),
            key("loss-scale", "number", Words("65536; 256 in `td-phase1` of recipe `mindspore`"), "at least 1; with `precision = \"fp16\"` only", "What the loss is multiplied by at first, so that small gradients do not vanish. A step whose gradients overflow is skipped and counted in `metrics.csv`."),
            key("loss-scale-factor", "number", Words("2"), "more than 1; `fp16` only", "What the scale is divided by after an overflow (to no less than 1), and multiplied by after a window without one."),
            key("loss-scale-window", "whole number", Words("1000; 50 in both phases of recipe `mindspore`"), "steps; `fp16` only", "Steps without an overflow after which the scale grows."),
            key("shuffle", "boolean", Value("true"), "", "Another order each epoch, batches of like lengths; else the data's own order."),
            key("drop-last", "boolean", Value("false"), "", "Leave out an epoch's last batch where it is not whole."),
            key("pad-to", "`none`, `longest`, `max-seq-length`", Value("\"none\""), "", "How long the rows of a batch are padded: not at all (where the processor computes, in fp32 or bf16, absolute positions and reduction `tokens`; else as `longest`), as its longest, or always as the longest allowed. Between the first two nothing is run again: they differ by rounding, and by dropout as another seed would."),
            key("train-limit", "whole number", Words("all"), "examples; at least 1", "Train on this many examples only, chosen by the seed."),
            key("log-interval", "whole number", Value("50"), "steps; at least 1", "Steps between two rows of `metrics.csv`. Changing it re-runs nothing."),
            key("checkpoint-interval", "whole number", Value("0"), "steps; 0 is off", "Steps between two checkpoints. Changing it re-runs nothing."),
            key("checkpoint-seconds", "whole number", Value("60"), "seconds; 0 is off", "Time between two checkpoints. Changing it re-runs nothing."),
            key("checkpoint-keep", "whole number", Value("2"), "1 to 1000", "Newest checkpoints that are kept while the stage runs. Changing it re-runs nothing."),
            key("prefetch", "whole number", Value("2"), "steps; 0 is none", "Batches that are laid out ahead, on a thread of their own. Changing it re-runs nothing."),
        ],
    },
    Table {
        title: "Stages that are scored while they train",
        paths: &["stages.finetune", "stages.td-phase2"],
        keys: &[
            key("eval-interval", "whole number", Value("0"), "steps; 0 is at each epoch's end only", "Steps between two scorings, beside those at each epoch's end."),
            key("keep", "`best`, `last`", Value("\"best\""), "", "Which model is handed on; best by Matthews' correlation for `cola`, by the mean of both correlations for a regression, else by accuracy, and of equals the earlier."),
        ],
    },
    Table {
        title: "Stages that learn from the teacher's layers",
        paths: &["stages.general-distill", "stages.td-phase1"],
        keys: &[
            key("attention-weight", "number", Value("1.0"), "at least 0", "Factor of the attention loss; 0 leaves it out."),
            key("hidden-weight", "number", Value("1.0"), "at least 0; not 0 where the other is", "Factor of the hidden-state loss; 0 leaves it out."),
            key("attention-layer-weights", "list of numbers", Words("1 each"), "at least 0; one for each student layer", "Factors of single layers' attention losses."),
            key("hidden-layer-weights", "list of numbers", Words("1 each"), "at least 0; the embeddings, then one for each student layer", "Factors of single hidden states' losses."),
            key("projection", "`shared`, `per-layer`, `embedding-and-hidden`", Value("\"embedding-and-hidden\""), "", "Matrices from the student's width to the teacher's: one for all hidden states, one each, or one for the embeddings and one for the layers."),
            key("keep-projection", "boolean", Words("`true`; `false` in recipe `mindspore`"), "", "Go on with the projection of the stage before; else from random weights."),
            key("reduction", "`tokens`, `block`", Value("\"tokens\""), "", "What the losses average over: real tokens, or padding too, as the published codes do."),
        ],
    },
    Table {
        title: "Stages that learn from a teacher",
        paths: &["stages.general-distill", "stages.td-phase1", "stages.td-phase2"],
        keys: &[
            key("teacher-dropout", "boolean", Value("false"), "", "Whether the teacher's dropout is active, as it is in Huawei's code."),
        ],
    },
    Table {
        title: "General distillation alone",
        paths: &["stages.general-distill"],
        keys: &[
            key("corpus", "list of paths or globs", Required, "at least 1", "Text files, one paragraph a line."),
            key("max-seq-length", "whole number", Value("128"), "tokens; 3 to the models' `max-position-embeddings`", "Longest input, special tokens included."),
            key("long-lines", "`split`, `truncate`", Value("\"split\""), "", "Longer lines become several examples, or lose their rest."),
        ],
    },
    Table {
        title: "Stages that learn from a fine-tuned teacher",
        paths: &["stages.td-phase1", "stages.td-phase2"],
        keys: &[
            key("gate", "`auto`, `off`, or a number", Value("\"auto\""), "accuracy, 0 to 1", "What the teacher must show on dev before the stage begins: that it does not guess, and that neither another order of its classes nor the other `head` is clearly better; or this accuracy. Changing it re-runs nothing."),
            key("teacher-memory", "number", Value("10.0"), "gigabytes; 0 is none", "Disk that answers of teachers may take in `runs/store/teacher-answers`, where they stay for every stage that asks the same (another seed, another learning rate): then, in a stage of more than one epoch, each example is put to the teacher once. Answers that were not used for longest make room. Where they do not fit, or `teacher-dropout` or reduction `block` make them differ, the teacher is asked in every step. Changing it re-runs nothing."),
        ],
    },
    Table {
        title: "Phase 2 alone",
        paths: &["stages.td-phase2"],
        keys: &[
            key("temperature", "number", Value("1.0"), "more than 0, at most 1000", "Both logits are divided by it."),
            key("soft-loss-reduction", "`batch-and-classes`, `batch`", Value("\"batch-and-classes\""), "", "What the soft loss averages over; the first is that of the published codes."),
            key("soft-loss-weight", "number", Value("1.0"), "at least 0; not 0 where the next is", "Factor of the soft loss; 0 leaves it out, and then the teacher is not asked."),
            key("hard-label-weight", "number", Value("0.0"), "at least 0", "Factor of an added cross-entropy against the labels; 0 leaves it out."),
            key("regression-target", "`teacher`, `labels`", Value("\"teacher\""), "", "Whose values a regression learns, by their squared difference; the keys above are for classes."),
        ],
    },
    Table {
        title: "Stages that take models",
        paths: &["stages.general-distill", "stages.td-phase1", "stages.td-phase2", "stages.eval"],
        keys: &[
            key("student", "a stage's name, a path with a `/`, or (to train) `random`", Words("the nearest earlier student"), "", "Student to start from, or to score."),
            key("teacher", "a stage's name, or a path with a `/`", Words("the fine-tuned teacher; in `general-distill` the one of `[teacher]`"), "", "Teacher to learn from, or to score."),
        ],
    },
    Table {
        title: "Scoring",
        paths: &["stages.eval"],
        keys: &[
            key("batch-size", "whole number", Value("32"), "examples; 1 to 65536", "Examples a batch."),
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
