//! `gd_config`: the stage `general-distill`.

use toml::Value;

use super::config::Config;
use super::draft::{Draft, Origin};
use super::net::{self, Place};
use crate::document::{Located, Span};

const STAGE: &str = "stages.general-distill";

/// Reads the configuration of general distillation, on `device_num` devices where it is given. Its
/// teacher is that of `[teacher]` where there is no configuration of the task (`is_alone`).
pub(super) fn read(
    config: &Config<'_>,
    device_num: Option<u64>,
    is_alone: bool,
    draft: &mut Draft<'_>,
) {
    draft.tables.push(STAGE);
    precision(config, draft);
    let corpus = config.text("data_dir");
    let (files, from) = match corpus {
        Some(found) => {
            let from = draft.from(found.span.as_ref(), "data_dir");
            (found.value, from)
        }
        None => (
            "data/corpus".to_owned(),
            "replace it: `data_dir` is empty".to_owned().into(),
        ),
    };
    draft.put(STAGE, "corpus", Value::from(vec![files]), from);
    let format = dataset_type(config);
    let is_mindrecord = format
        .as_ref()
        .is_some_and(|format| format.value == "mindrecord");
    draft.set((STAGE, "corpus-format"), format, "dataset_type");
    schema(config, (STAGE, "corpus-schema"), is_mindrecord, draft);
    let length = net::length(config, "bert_student_net_cfg");
    let name = "bert_student_net_cfg.seq_length";
    if is_alone {
        // A student of few positions reads no longer texts of a task.
        draft.set(("task", "max-seq-length"), length.clone(), name);
    }
    draft.set((STAGE, "max-seq-length"), length, name);
    let teacher = config.text("load_teacher_ckpt_path");
    let (key, place) = if is_alone {
        (("teacher", "model"), Place::Teacher)
    } else {
        ((STAGE, "teacher"), Place::None)
    };
    draft.set(key, teacher, "load_teacher_ckpt_path");
    let epochs = config.integer("epoch_size", 1..=10_000);
    draft.set((STAGE, "epochs"), epochs, "epoch_size");
    let devices = devices(config, device_num, draft);
    batch_size(config, devices.as_ref(), draft);
    let is_shuffled = config.flag("do_shuffle");
    // On one device the scripts shuffle no TFRecords, whatever the flag.
    let is_shuffled = is_shuffled.map(|flag| {
        flag.map(|flag| flag && (is_mindrecord || devices.as_ref().is_some_and(|n| n.value > 1)))
    });
    draft.set((STAGE, "shuffle"), is_shuffled, "do_shuffle");
    net::optimizer(config, "common_cfg", STAGE, draft);
    if is_scaled(draft) {
        net::loss_scale(config, "common_cfg", STAGE, draft);
    }
    checkpoints(config, STAGE, draft);
    net::read(config, "bert_student_net_cfg", Place::Student, draft);
    net::read(config, "bert_teacher_net_cfg", place, draft);
}

/// Devices that trained together: those of the command line, or of a distributed configuration.
fn devices(config: &Config<'_>, given: Option<u64>, draft: &mut Draft<'_>) -> Option<Located<u64>> {
    let distributed = config.flag("distribute");
    let found = config.integer("device_num", 1..=65536);
    let found = found.map(|found| found.map(u64::from));
    let Some(devices) = given else {
        let is_distributed = distributed.is_some_and(|flag| flag.value);
        if let Some(unused) = found
            .as_ref()
            .filter(|found| !is_distributed && found.value > 1)
        {
            draft.note(
                unused.span.as_ref(),
                "device_num",
                "`distribute` is not true",
            );
        }
        return found.filter(|_| is_distributed);
    };
    // A file's keys are those of one device, which `mpirun -n N` overrules; flags are not.
    let as_flag = |span: Option<Span>| span.filter(|span| draft.is_flag(span));
    let label = format!("`--device-num` is {devices}");
    if let Some(span) = distributed
        .filter(|flag| !flag.value)
        .and_then(|flag| as_flag(flag.span))
    {
        config.fault("distribute", &span, "is false", &label);
    }
    if let Some(found) = found.filter(|found| found.value != devices) {
        let value = found.value;
        if let Some(span) = as_flag(found.span) {
            config.fault("device_num", &span, &format!("is {value}"), &label);
        }
    }
    Some(Located::default_value(devices))
}

/// The batch of a step: that of a device times the devices.
fn batch_size(config: &Config<'_>, devices: Option<&Located<u64>>, draft: &mut Draft<'_>) {
    let Some(batch) = config.integer("common_cfg.batch_size", 1..=65536) else {
        if devices.is_some_and(|devices| devices.value > 1) {
            draft.note(None, "device_num", "no `batch_size` that it could multiply");
        }
        return;
    };
    let from = draft.from(batch.span.as_ref(), "batch_size");
    let (size, from) = match devices.filter(|devices| devices.value > 1) {
        Some(devices) => (
            u64::from(batch.value) * devices.value,
            Origin {
                text: format!(
                    "{} {} times {} devices",
                    from.text, batch.value, devices.value
                ),
                span: from.span,
            },
        ),
        None => (u64::from(batch.value), from),
    };
    if size > 65536 {
        let span = batch.span.clone().unwrap_or_else(|| unreachable!("read"));
        let label = format!("{size} with all devices, expected at most 65536");
        config.fault("common_cfg.batch_size", &span, "is out of range", &label);
        return;
    }
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    draft.put(STAGE, "batch-size", size.into(), from);
}

/// `device_target` to the precision of its programs: fp16 with a scaled loss on Ascend, fp32 for
/// the student elsewhere.
pub(super) fn precision(config: &Config<'_>, draft: &mut Draft<'_>) {
    let words = [("Ascend", "fp16"), ("GPU", "fp32"), ("CPU", "fp32")];
    let Some(found) = config.word("device_target", &words) else {
        return;
    };
    if let Some(other) = draft.text("", "precision") {
        if other != found.value
            && let Some(span) = &found.span
        {
            let label = "expected one for both; `--flag device_target=NAME` sets both".to_owned();
            let is = format!(
                "comes to {}, and that of `gd_config` to {other}",
                found.value
            );
            config.fault("device_target", span, &is, &label);
        }
        return;
    }
    let from = match found.value {
        "fp16" => "device_target, fp16 with loss scaling as on Ascend; slow on a CPU",
        _ => "device_target, the student is trained in fp32",
    };
    let from = draft.from(found.span.as_ref(), from);
    draft.put("", "precision", found.value.into(), from);
}

/// The precision where no configuration names a device: the scripts compute in fp16 on Ascend only.
pub(super) fn default_precision(draft: &mut Draft<'_>) {
    if !draft.has("", "precision") {
        let from = "no `device_target`; fp16 for Ascend".to_owned();
        draft.put("", "precision", "fp32".into(), from.into());
    }
}

/// Whether the experiment computes in fp16, with a scaled loss.
pub(super) fn is_scaled(draft: &Draft<'_>) -> bool {
    let mut settings = draft.settings.iter();
    settings.any(|setting| setting.key == "precision" && setting.value.as_str() == Some("fp16"))
}

/// The schema of `TFRecord` data; a file of `MindRecord` holds its own.
pub(super) fn schema(
    config: &Config<'_>,
    key: (&'static str, &'static str),
    is_mindrecord: bool,
    draft: &mut Draft<'_>,
) {
    let found = config.text("schema_dir");
    if is_mindrecord && let Some(found) = &found {
        let reason = "a MindRecord file holds its own schema";
        draft.note(found.span.as_ref(), "schema_dir", reason);
        return;
    }
    draft.set(key, found, "schema_dir");
}

/// `tfrecord` or `mindrecord`
pub(super) fn dataset_type(config: &Config<'_>) -> Option<Located<&'static str>> {
    let words = [("tfrecord", "tfrecord"), ("mindrecord", "mindrecord")];
    config.word("dataset_type", &words)
}

/// When checkpoints are written, and how many are kept.
pub(super) fn checkpoints(config: &Config<'_>, stage: &'static str, draft: &mut Draft<'_>) {
    let interval = config.integer("save_ckpt_step", 1..=u32::MAX);
    draft.set((stage, "checkpoint-interval"), interval, "save_ckpt_step");
    let keep = config.integer("max_ckpt_num", 1..=1000);
    draft.set((stage, "checkpoint-keep"), keep, "max_ckpt_num");
}
