//! Flags of MindSpore's scripts, which replace keys of the configurations.

use super::Configs;
use super::value::{self, Entry, Node, Read, Value};
use crate::document::{Fault, Span, did_you_mean};
use crate::input::excerpt;

/// Flags that both programs have.
const BOTH: [&str; 19] = [
    "config_path",
    "device_target",
    "device_id",
    "do_shuffle",
    "enable_data_sink",
    "data_sink_steps",
    "save_ckpt_step",
    "max_ckpt_num",
    "load_teacher_ckpt_path",
    "schema_dir",
    "dataset_type",
    "enable_profiling",
    "enable_modelarts",
    "data_url",
    "train_url",
    "checkpoint_url",
    "data_path",
    "output_path",
    "load_path",
];

/// Further flags of `run_general_distill.py`.
const GENERAL: [&str; 5] = [
    "distribute",
    "device_num",
    "epoch_size",
    "save_ckpt_path",
    "data_dir",
];

/// Further flags of `run_task_distill.py`.
const TASK: [&str; 15] = [
    "do_train",
    "do_eval",
    "td_phase1_epoch_size",
    "td_phase2_epoch_size",
    "load_gd_ckpt_path",
    "load_td1_ckpt_path",
    "train_data_dir",
    "eval_data_dir",
    "task_type",
    "task_name",
    "num_labels",
    "assessment_method",
    "seed1",
    "seed2",
    "onnx_path",
];

/// A flag replaces the key of its name at the top of each configuration whose program has it, as
/// in the scripts.
///
/// # Errors
/// No program has it, or none whose configuration is given.
pub(super) fn set(flag: &str, source: usize, configs: &mut Configs) -> Read<()> {
    let span = |range| Span { source, range };
    let Some((written, value)) = flag.split_once('=') else {
        let fault = Fault::new("a flag without a value", span(0..flag.len()));
        return Err(Box::new(fault.with_label("expected `NAME=VALUE`")));
    };
    let (general, task, name) = match written.trim_start_matches("--").split_once('.') {
        Some(("gd", name)) => (true, false, name),
        Some(("td", name)) => (false, true, name),
        _ => (true, true, written.trim_start_matches("--")),
    };
    let is_of = |own: &[&str], config: Option<&Node>| {
        // The scripts have a flag for each value at the top of their configuration.
        let is_key = config.and_then(|node| node.value.get(name));
        BOTH.contains(&name)
            || own.contains(&name)
            || is_key.is_some_and(|node| !matches!(node.value, Value::Map(_)))
    };
    let of_general = general && is_of(&GENERAL, configs.general.as_ref());
    let of_task = task && is_of(&TASK, configs.task.as_ref());
    if !of_general && !of_task {
        return Err(Box::new(unknown(
            name,
            (general, task),
            span(0..written.len()),
        )));
    }
    let node = Node {
        value: value::scalar(value.trim_matches(['"', '\''])),
        span: span(written.len() + 1..flag.len()),
    };
    let entry = Entry {
        key: name.to_owned(),
        span: span(0..written.len()),
        node,
    };
    let mut is_set = false;
    for (is_meant, config) in [
        (of_general, &mut configs.general),
        (of_task, &mut configs.task),
    ] {
        is_set |= is_meant && replace(config.as_mut(), &entry);
    }
    if is_set {
        return Ok(());
    }
    let of = if of_general {
        "general distillation"
    } else {
        "task distillation"
    };
    let message = format!("`{}` without a configuration of {of}", excerpt(written));
    let fault = Fault::new(message, span(0..written.len()));
    Err(Box::new(fault.with_label(format!("a flag of {of}"))))
}

/// Replaces a key at the top of a configuration; whether there is one.
fn replace(config: Option<&mut Node>, entry: &Entry) -> bool {
    let Some(Value::Map(entries)) = config.map(|node| &mut node.value) else {
        return false;
    };
    entries.retain(|other| other.key != entry.key);
    entries.push(entry.clone());
    true
}

/// The fault of a name that no program has.
fn unknown(name: &str, (general, task): (bool, bool), span: Span) -> Fault {
    let own = [(general, &GENERAL[..]), (task, &TASK[..])];
    let own = own.iter().filter(|(is_meant, _)| *is_meant);
    let names = own.flat_map(|(_, names)| *names).chain(&BOTH);
    // `did_you_mean` compares words with hyphens.
    let names: Vec<String> = names.map(|name| name.replace('_', "-")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let hint = did_you_mean(name, &names).map(|hint| hint.replace('-', "_"));
    let hint = hint.unwrap_or_else(|| {
        "flags are keys at the top of a configuration; change others in its file".to_owned()
    });
    let message = format!("unknown flag `{}`", excerpt(name));
    Fault::new(message, span).with_hint(hint)
}
