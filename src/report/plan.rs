//! A plan as text: what `--dry-run` prints.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::Style;
use crate::experiment::StageName;
use crate::plan::{Planned, StaleReason, Status};

/// Reasons that a line shows; `--explain` shows all.
const SHOWN: usize = 3;

/// A line a stage: `fresh` or `stale`, its name, and why. With `explain`, every reason and
/// the fingerprint on lines of their own.
///
/// A stage in `shared` runs for the experiment named there, and its result serves here too.
pub fn render_plan(
    plans: &[Planned],
    shared: &BTreeMap<StageName, String>,
    explain: bool,
    style: Style,
) -> String {
    let mut text = String::new();
    for plan in plans {
        if let Some(owner) = shared.get(&plan.stage) {
            let word = style.faint("same");
            let _ = writeln!(text, "{word}   {:16}as `{owner}`", plan.stage);
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
        let mut line = format!("{word}  {:16}", plan.stage);
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
        if explain && let Some(fingerprint) = plan.fingerprint() {
            let line = format!("fingerprint {fingerprint}");
            let _ = writeln!(text, "       {}", style.faint(line));
        }
    }
    text
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
pub(super) fn why(reasons: &[StaleReason]) -> Option<String> {
    (!reasons.is_empty()).then(|| short(reasons, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::Checkpoint;

    fn planned(stage: StageName, status: Status) -> Planned {
        Planned {
            stage,
            status,
            key: None,
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
                StageName::DataPrep,
                Status::Stale(vec![StaleReason::NeverRun]),
            ),
            planned(StageName::Finetune, Status::Resumable(checkpoint)),
            planned(
                StageName::TdPhase1,
                Status::Waits {
                    on: vec![StageName::Finetune, StageName::GeneralDistill],
                    reasons: vec![changed],
                },
            ),
        ];
        assert_eq!(
            render_plan(&plans, &BTreeMap::new(), false, Style::PLAIN),
            "stale  data-prep       never run\n\
             stale  finetune        resumable at step 300 of 598\n\
             stale  td-phase1       `learning-rate` changed: 0.0001 -> 0.00005; \
             waits for `finetune`, `general-distill`\n"
        );
    }

    #[test]
    fn many_reasons_are_cut_short_and_explained_in_full() {
        let reasons: Vec<StaleReason> = (0..5)
            .map(|index| StaleReason::InputAdded {
                name: format!("train/{index}.tsv"),
            })
            .collect();
        let plans = [planned(StageName::DataPrep, Status::Stale(reasons))];
        assert_eq!(
            render_plan(&plans, &BTreeMap::new(), false, Style::PLAIN),
            "stale  data-prep       `train/0.tsv` is new; `train/1.tsv` is new; \
             `train/2.tsv` is new; 2 more\n"
        );
        let explained = render_plan(&plans, &BTreeMap::new(), true, Style::PLAIN);
        assert_eq!(explained.lines().count(), 6);
        assert!(
            explained.ends_with("       `train/4.tsv` is new\n"),
            "{explained}"
        );
    }
}
