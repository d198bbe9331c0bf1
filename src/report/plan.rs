//! A plan as text: what `--dry-run` prints.

use std::fmt::Write as _;
use std::time::Duration;

use super::Style;
use super::amounts::{bytes, count, duration};
use crate::experiment::StageName;
use crate::plan::{Estimate, PlannedStage, StaleReason, Status};

/// Reasons that a line shows; `--explain` shows all.
const SHOWN: usize = 3;

/// A line a stage: `fresh` or `stale`, its name, and why; below it what it may take, where that
/// is known. With `explain`, every reason and the fingerprint on lines of their own.
pub fn render_plan(stages: &[PlannedStage], explain: bool, style: Style) -> String {
    let mut text = String::new();
    for stage in stages {
        let plan = &stage.plan;
        if let Some(owner) = &stage.same_as {
            let word = style.faint("same");
            let _ = writeln!(text, "{word}   {:15} shared with `{owner}`", plan.stage);
            continue;
        }
        let fresh = matches!(plan.status, Status::Fresh(_));
        let word = if fresh {
            style.good("fresh")
        } else {
            style.strong("stale")
        };
        let (reasons, standing) = match &plan.status {
            Status::Fresh(_) => (&[][..], None),
            Status::Stale(reasons) => (&reasons[..], None),
            Status::Resumable(checkpoint) => {
                let (step, of) = (checkpoint.step, checkpoint.total_steps);
                (&[][..], Some(format!("resumable at step {step} of {of}")))
            }
            Status::Waits { on, reasons } => (&reasons[..], Some(waits(on))),
        };
        let mut line = format!("{word}  {:15} ", plan.stage);
        if !explain || reasons.len() + usize::from(standing.is_some()) <= 1 {
            line.push_str(&short(reasons, standing));
            let _ = writeln!(text, "{}", line.trim_end());
        } else {
            let _ = writeln!(text, "{}", line.trim_end());
            let parts = reasons.iter().map(ToString::to_string).chain(standing);
            for part in parts {
                let _ = writeln!(text, "       {part}");
            }
        }
        if !fresh && let Some(cost) = cost(&stage.estimate) {
            let _ = writeln!(text, "       {}", style.faint(cost));
        }
        if explain && let Some(fingerprint) = plan.fingerprint() {
            let line = format!("fingerprint {fingerprint}");
            let _ = writeln!(text, "       {}", style.faint(line));
        }
    }
    text
}

/// What all that is to run may take; `None` where nothing is, or nothing is known of it.
pub fn total_line<'a>(
    stages: impl Iterator<Item = &'a PlannedStage>,
    style: Style,
) -> Option<String> {
    let to_run: Vec<&Estimate> = stages
        .filter(|stage| stage.is_to_run())
        .map(|stage| &stage.estimate)
        .collect();
    let seconds: Vec<f64> = to_run.iter().filter_map(|it| it.seconds).collect();
    let sizes: Vec<u64> = to_run.iter().filter_map(|it| it.bytes).collect();
    if seconds.iter().sum::<f64>() < 1.0 {
        return None;
    }
    let time = duration(Duration::from_secs_f64(seconds.iter().sum()));
    let size = bytes(sizes.iter().sum());
    let unknown = match to_run.len() - seconds.len() {
        0 => String::new(),
        1 => " (1 stage unknown)".to_owned(),
        some => format!(" ({some} stages unknown)"),
    };
    let line = format!("total: about {time}, {size}, estimated from earlier runs{unknown}");
    Some(format!("{}\n", style.strong(line)))
}

/// Steps, time and disk, as far as they are known. What takes less than a second needs no word.
fn cost(estimate: &Estimate) -> Option<String> {
    if estimate.seconds.is_some_and(|seconds| seconds < 1.0) {
        return None;
    }
    let mut parts = Vec::new();
    if let Some(work) = estimate.work {
        let (steps, batch) = (count(work.steps), work.batch_size);
        parts.push(format!("{steps} steps of {batch} examples"));
    }
    if let Some(seconds) = estimate.seconds {
        parts.push(format!(
            "about {}",
            duration(Duration::from_secs_f64(seconds))
        ));
        parts.extend(estimate.bytes.map(bytes));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The first reasons and how many more there are, in one line.
fn short(reasons: &[StaleReason], standing: Option<String>) -> String {
    let mut parts: Vec<String> = reasons
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect();
    if reasons.len() > SHOWN {
        parts.push(format!("{} more", reasons.len() - SHOWN));
    }
    parts.extend(standing);
    parts.join("; ")
}

fn waits(on: &[StageName]) -> String {
    let names: Vec<String> = on.iter().map(|stage| format!("`{stage}`")).collect();
    format!("waits for {}", names.join(", "))
}

/// Why a stage runs, as its first line says it.
pub(crate) fn why(reasons: &[StaleReason]) -> Option<String> {
    (!reasons.is_empty()).then(|| short(reasons, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Planned, Work};
    use crate::runs::Checkpoint;

    fn planned(stage: StageName, status: Status) -> PlannedStage {
        PlannedStage {
            plan: Planned {
                stage,
                kind: "td-phase1",
                status,
                key: None,
            },
            estimate: Estimate::default(),
            same_as: None,
        }
    }

    #[test]
    fn a_plan_is_a_line_a_stage_with_the_reason() {
        let changed = StaleReason::SettingChanged {
            key: "learning-rate".to_owned(),
            old: 1e-4.into(),
            new: 5e-5.into(),
        };
        let checkpoint = Checkpoint {
            step: 300,
            total_steps: 598,
        };
        let plans = [
            planned(
                StageName::new("data-prep"),
                Status::Stale(vec![StaleReason::NeverRun]),
            ),
            planned(StageName::new("finetune"), Status::Resumable(checkpoint)),
            planned(
                StageName::new("td-phase1"),
                Status::Waits {
                    on: vec![
                        StageName::new("finetune"),
                        StageName::new("general-distill"),
                    ],
                    reasons: vec![changed],
                },
            ),
        ];
        assert_eq!(
            render_plan(&plans, false, Style::PLAIN),
            "stale  data-prep       never run\n\
             stale  finetune        resumable at step 300 of 598\n\
             stale  td-phase1       `learning-rate` changed: 0.0001 -> 0.00005; \
             waits for `finetune`, `general-distill`\n"
        );
    }

    #[test]
    fn what_a_stage_may_take_stands_below_it_and_in_the_sum() {
        let mut stale = planned(
            StageName::new("finetune"),
            Status::Stale(vec![StaleReason::Forced]),
        );
        stale.estimate = Estimate {
            work: Some(Work {
                examples: 67_349,
                steps: 4210,
                batch_size: 32,
            }),
            seconds: Some(754.0),
            bytes: Some(57_400_000),
        };
        let mut served = stale.clone();
        served.same_as = Some("full".to_owned());
        let unknown = planned(
            StageName::new("eval"),
            Status::Stale(vec![StaleReason::NeverRun]),
        );
        let stages = [stale, served, unknown];
        assert_eq!(
            render_plan(&stages, false, Style::PLAIN),
            "stale  finetune        forced\n       4,210 steps of 32 examples, about 12m34s, 57.4 MB\n\
             same   finetune        shared with `full`\nstale  eval            never run\n"
        );
        assert_eq!(
            total_line(stages.iter(), Style::PLAIN).unwrap(),
            "total: about 12m34s, 57.4 MB, estimated from earlier runs (1 stage unknown)\n"
        );
        assert_eq!(total_line(stages[2..].iter(), Style::PLAIN), None);
    }

    #[test]
    fn many_reasons_are_cut_short_and_explained_in_full() {
        let reasons: Vec<StaleReason> = (0..5)
            .map(|index| StaleReason::InputAdded {
                name: format!("train/{index}.tsv"),
            })
            .collect();
        let plans = [planned(StageName::new("data-prep"), Status::Stale(reasons))];
        assert_eq!(
            render_plan(&plans, false, Style::PLAIN),
            "stale  data-prep       `train/0.tsv` is new; `train/1.tsv` is new; \
             `train/2.tsv` is new; 2 more\n"
        );
        let explained = render_plan(&plans, true, Style::PLAIN);
        assert_eq!(explained.lines().count(), 6);
        assert!(
            explained.ends_with("       `train/4.tsv` is new\n"),
            "{explained}"
        );
    }
}
