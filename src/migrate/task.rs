//! `td_config`: the table `[task]` and the stages of task distillation.

use super::config::Config;
use super::draft::Draft;
use super::general::{checkpoints, dataset_type, is_scaled, precision, schema};
use super::net::{self, Place};
use super::value::Node;
use crate::document::Located;

const PHASE1: &str = "stages.td-phase1";
const PHASE2: &str = "stages.td-phase2";
const EVAL: &str = "stages.eval";

/// Reads the configuration of task distillation. With `general`, the student is that of general
/// distillation.
pub(super) fn read(config: &Config<'_>, general: bool, draft: &mut Draft<'_>) {
    precision(config, draft);
    data(config, draft);
    let teacher = config.text("load_teacher_ckpt_path");
    draft.set(("teacher", "model"), teacher, "load_teacher_ckpt_path");
    let trains = config.flag("do_train").is_none_or(|flag| flag.value);
    let evaluates = config.flag("do_eval").is_none_or(|flag| flag.value);
    student(config, general, trains, draft);
    net::read(config, "td_teacher_net_cfg", Place::Teacher, draft);
    if trains {
        phases(config, evaluates, draft);
    }
    let batch = config.integer("eval_cfg.batch_size", 1..=65536);
    if evaluates {
        draft.tables.push(EVAL);
        draft.set((EVAL, "batch-size"), batch, "eval_cfg.batch_size");
    }
}

/// `[task]`
fn data(config: &Config<'_>, draft: &mut Draft<'_>) {
    let kind = config.word("task_type", &[("classification", true), ("ner", false)]);
    if let Some(kind) = kind.filter(|kind| !kind.value)
        && let Some(span) = &kind.span
    {
        let label = "tinyrun has classification and regression of whole texts";
        config.fault("task_type", span, "is named-entity recognition", label);
    }
    let words = [
        ("SST-2", "sst-2"),
        ("QNLI", "qnli"),
        ("MNLI", "mnli"),
        ("TNEWS", "custom"),
        ("CLUENER", ""),
    ];
    let name = config.word("task_name", &words);
    if let Some(name) = &name
        && name.value.is_empty()
        && let Some(span) = &name.span
    {
        let label = "tinyrun has classification and regression of whole texts";
        config.fault("task_name", span, "is named-entity recognition", label);
    }
    if name.is_none() && kind_is_entities(draft) {
        let label = "named after named-entity recognition, which tinyrun does not have";
        let hint = "for another task: `--flag task_name=TNEWS`".to_owned();
        config.refuse("the configuration has no `task_name`", label, hint);
    }
    draft.set(("task", "name"), name, "task_name");
    if let Some(classes) = config.integer("num_labels", 2..=1_000_000) {
        let reason = format!(
            "{} classes: those of the task, for `custom` those that the data has",
            classes.value
        );
        draft.note(classes.span.as_ref(), "num_labels", &reason);
    }
    draft.set(
        ("task", "train"),
        config.text("train_data_dir"),
        "train_data_dir",
    );
    draft.set(
        ("task", "dev"),
        config.text("eval_data_dir"),
        "eval_data_dir",
    );
    let format = dataset_type(config);
    let is_mindrecord = format
        .as_ref()
        .is_some_and(|format| format.value == "mindrecord");
    draft.set(("task", "format"), format, "dataset_type");
    schema(config, ("task", "schema"), is_mindrecord, draft);
    let length = net::length(config, "td_student_net_cfg");
    draft.set(
        ("task", "max-seq-length"),
        length,
        "td_student_net_cfg.seq_length",
    );
}

/// Where the student comes from.
fn student(config: &Config<'_>, general: bool, trains: bool, draft: &mut Draft<'_>) {
    let names = ["load_gd_ckpt_path", "load_td1_ckpt_path"];
    let [name, other] = if trains { names } else { [names[1], names[0]] };
    let given = config.text(name);
    if let Some(unused) = config.text(other) {
        let reason = "not read by the script with this `do_train`";
        draft.note(unused.span.as_ref(), other, reason);
    }
    let place = match (given, general) {
        (Some(given), true) => {
            let reason = "`general-distill` passes its student on; without it: `[student] model`";
            draft.note(given.span.as_ref(), name, reason);
            Place::None
        }
        (Some(given), false) => {
            draft.set(("student", "model"), Some(given), name);
            Place::StudentModel
        }
        (None, true) => Place::None,
        (None, false) => {
            let from = format!("replace it: `{name}` is empty");
            draft.put("student", "model", "student.ckpt".into(), from.into());
            Place::StudentModel
        }
    };
    net::read(config, "td_student_net_cfg", place, draft);
}

/// The two phases, which run on one device always.
fn phases(config: &Config<'_>, evaluates: bool, draft: &mut Draft<'_>) {
    let seed = config.integer("seed1", 0..=u32::MAX);
    let shuffle = config.flag("do_shuffle");
    let is_mindrecord = dataset_type(config).is_some_and(|format| format.value == "mindrecord");
    // On one device the scripts shuffle no TFRecords, whatever the flag.
    let shuffle: Option<Located<bool>> =
        shuffle.map(|found| found.map(|flag| flag && is_mindrecord));
    for (stage, table, epochs) in [
        (PHASE1, "phase1_cfg", "td_phase1_epoch_size"),
        (PHASE2, "phase2_cfg", "td_phase2_epoch_size"),
    ] {
        draft.tables.push(stage);
        draft.set((stage, "seed"), seed.clone(), "seed1");
        draft.set(
            (stage, "epochs"),
            config.integer(epochs, 1..=10_000),
            epochs,
        );
        let batch = config.integer(&format!("{table}.batch_size"), 1..=65536);
        draft.set((stage, "batch-size"), batch, "batch_size");
        draft.set((stage, "shuffle"), shuffle.clone(), "do_shuffle");
        let optimizer = format!("{table}.optimizer_cfg");
        net::optimizer(config, &optimizer, stage, draft);
        if is_scaled(draft) {
            net::loss_scale(config, table, stage, draft);
        }
        checkpoints(config, stage, draft);
        if stage == PHASE2 && !evaluates {
            let from = "do_eval is false".to_owned();
            draft.put(stage, "keep", "last".into(), from.into());
        }
    }
}

/// What an experiment needs and the configurations do not say.
pub(super) fn placeholders(task: Option<&Node>, draft: &mut Draft<'_>) {
    let why = |key: &str| match task {
        Some(_) => format!("replace it: `{key}` is empty"),
        None if ["train_data_dir", "eval_data_dir"].contains(&key) => {
            "replace it: every experiment needs labelled data".to_owned()
        }
        None => "replace it: no configuration of task distillation was given".to_owned(),
    };
    if !draft.has("task", "name") {
        let (name, from) = named(draft);
        let from = from.unwrap_or_else(|| why("task_name"));
        draft.put("task", "name", name.into(), from.into());
    }
    for (table, key, value, name) in [
        ("task", "train", "data/train", "train_data_dir"),
        ("task", "dev", "data/dev", "eval_data_dir"),
        ("teacher", "model", "teacher.ckpt", "load_teacher_ckpt_path"),
    ] {
        if !draft.has(table, key) {
            draft.put(table, key, value.into(), why(name).into());
        }
    }
}

/// Whether a file is named as the published `td_config_ner.yaml`, in which nothing else says it.
fn kind_is_entities(draft: &Draft<'_>) -> bool {
    let mut names = draft.names().into_iter();
    names.any(|name| {
        let short = name.rsplit('/').next().unwrap_or_default();
        let mut parts = short.split(|letter: char| !letter.is_alphanumeric());
        parts.any(|part| part.eq_ignore_ascii_case("ner"))
    })
}

/// The task that a file such as `td_config_sst2.yaml` is named after.
fn named(draft: &Draft<'_>) -> (&'static str, Option<String>) {
    for (part, task) in [("sst2", "sst-2"), ("qnli", "qnli"), ("mnli", "mnli")] {
        let names = draft.names();
        let file = names.iter().find(|name| name.contains(part));
        if let Some(file) = file {
            return (task, Some(format!("by the name of {file}")));
        }
    }
    ("custom", None)
}
