//! A plan as JSON: what `--dry-run --json` prints. `docs/reference/plan-json.md` documents it;
//! fields are only ever added to a format.

use serde_json::{Value, json};

use crate::experiment::{StageName, Variant};
use crate::plan::{PlannedStage, StaleReason, Status};

/// Version of the document.
const FORMAT: u32 = 1;

/// The whole document, of [`experiment_json`]s.
pub fn plan_json(experiments: &[Value]) -> String {
    let document = json!({ "format": FORMAT, "experiments": experiments });
    format!("{document:#}\n")
}

/// One experiment: its stages in order, each with its estimate and, where another experiment
/// of the same command runs it, whose.
pub fn experiment_json(file: &str, variant: &Variant, stages: &[PlannedStage]) -> Value {
    json!({
        "file": file,
        "name": variant.experiment.name,
        "stages": stages.iter().map(stage_json).collect::<Vec<_>>(),
    })
}

fn stage_json(stage: &PlannedStage) -> Value {
    let PlannedStage {
        plan,
        estimate,
        same_as,
    } = stage;
    let none: &[StaleReason] = &[];
    let (status, reasons, waits_for): (_, _, &[StageName]) = match &plan.status {
        Status::Fresh(_) => ("fresh", none, &[]),
        Status::Stale(reasons) => ("stale", &reasons[..], &[]),
        Status::Resumable(_) => ("resumable", none, &[]),
        Status::Waits { on, reasons } => ("waits", &reasons[..], on),
    };
    let checkpoint = match &plan.status {
        Status::Resumable(checkpoint) => Some(json!({
            "step": checkpoint.step,
            "total_steps": checkpoint.total_steps,
        })),
        _ => None,
    };
    json!({
        "stage": plan.stage.as_str(),
        "kind": plan.kind,
        "status": status,
        // What it waits for may leave the bytes that it left before.
        "may_be_fresh": status == "waits" && reasons.is_empty(),
        "reasons": reasons.iter().map(reason_json).collect::<Vec<_>>(),
        "waits_for": waits_for.iter().map(StageName::as_str).collect::<Vec<_>>(),
        "checkpoint": checkpoint,
        "fingerprint": plan.fingerprint().map(|found| found.to_string()),
        "same_as": same_as,
        "examples": estimate.work.map(|work| work.examples),
        "steps": estimate.work.map(|work| work.steps),
        "batch_size": estimate.work.map(|work| work.batch_size),
        "estimated_seconds": estimate.seconds,
        "estimated_bytes": estimate.bytes,
    })
}

fn reason_json(reason: &StaleReason) -> Value {
    let mut value = match reason {
        StaleReason::NeverRun => json!({ "kind": "never-run" }),
        StaleReason::SettingChanged { key, old, new } => {
            json!({ "kind": "setting-changed", "key": key, "old": old, "new": new })
        }
        StaleReason::SettingAdded { key, new } => {
            json!({ "kind": "setting-added", "key": key, "new": new })
        }
        StaleReason::SettingRemoved { key, old } => {
            json!({ "kind": "setting-removed", "key": key, "old": old })
        }
        StaleReason::InputChanged { name } => json!({ "kind": "input-changed", "name": name }),
        StaleReason::InputAdded { name } => json!({ "kind": "input-added", "name": name }),
        StaleReason::InputRemoved { name } => json!({ "kind": "input-removed", "name": name }),
        StaleReason::UpstreamChanged { artifact } => {
            json!({ "kind": "upstream-changed", "name": artifact })
        }
        StaleReason::SourceChanged { role, old, new } => json!({
            "kind": "source-changed",
            "name": role,
            "old": old.to_string(),
            "new": new.to_string(),
        }),
        StaleReason::SemanticsChanged { old, new } => {
            json!({ "kind": "semantics-changed", "old": old, "new": new })
        }
        StaleReason::Forced => json!({ "kind": "forced" }),
        StaleReason::ArtifactMissing { file } => {
            json!({ "kind": "artifact-missing", "name": file })
        }
        StaleReason::ArtifactDamaged { file } => {
            json!({ "kind": "artifact-damaged", "name": file })
        }
    };
    value["text"] = json!(reason.to_string());
    value
}
