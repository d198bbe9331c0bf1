//! Where stages stand: what `tinyrun status` prints.

use std::fmt::Write as _;
use std::time::Duration;

use super::Style;
use super::amounts::{clock, count, duration};
use super::plan::why;
use super::table::aligned;
use crate::experiment::StageName;
use crate::plan::Standing;
use crate::runs::Owner;

/// A line a stage.
pub fn standing_lines(stages: &[(StageName, Standing)], style: Style) -> String {
    let mut text = String::new();
    for (stage, standing) in stages {
        let (word, detail) = match standing {
            Standing::Done(record) => {
                let time = duration(Duration::from_secs_f64(record.seconds.max(0.0)));
                let detail = format!("{}, took {time}", clock(record.finished));
                (style.good("done   "), detail)
            }
            Standing::Running(owner) => (style.strong("running"), running(owner.as_ref())),
            Standing::Stopped(checkpoint) => {
                let (step, of) = (count(checkpoint.step), count(checkpoint.total_steps));
                let detail = format!("at step {step} of {of}: the next run resumes from there");
                (style.warning("stopped"), detail)
            }
            Standing::Stale(reasons) => (style.strong("stale  "), why(reasons).unwrap_or_default()),
            Standing::Waits(on) => {
                let names: Vec<String> = on.iter().map(|stage| format!("`{stage}`")).collect();
                (style.faint("waits  "), format!("for {}", names.join(", ")))
            }
        };
        let line = format!("{word}  {stage:15} {detail}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// A line an experiment: its name and what [`standing_line`] makes of it.
pub fn experiment_lines(experiments: Vec<(String, String)>) -> String {
    let rows = experiments.into_iter().map(|(name, line)| vec![name, line]);
    let lines = aligned(rows.collect(), 0).into_iter();
    lines.map(|line| line + "\n").collect()
}

/// A whole experiment in one line.
pub fn standing_line(stages: &[(StageName, Standing)], style: Style) -> String {
    let done = |standing: &Standing| matches!(standing, Standing::Done(_));
    let of = stages.len();
    let count_done = stages.iter().filter(|(_, standing)| done(standing)).count();
    if count_done == of {
        let last = stages.iter().filter_map(|(_, standing)| match standing {
            Standing::Done(record) => Some(record.finished),
            _ => None,
        });
        let when = last.max().map(clock).unwrap_or_default();
        return style.good(format!("{of} of {of} done, {when}"));
    }
    let so_far = format!("{count_done} of {of} done");
    let at = stages.iter().find(|(_, standing)| !done(standing));
    let running = stages
        .iter()
        .find(|(_, standing)| matches!(standing, Standing::Running(_)));
    match running.or(at) {
        Some((stage, Standing::Running(owner))) => {
            format!(
                "{so_far}, {stage} running: {}",
                self::running(owner.as_ref())
            )
        }
        Some((stage, Standing::Stopped(checkpoint))) => format!(
            "{so_far}, {stage} stopped at step {} of {}",
            count(checkpoint.step),
            count(checkpoint.total_steps)
        ),
        Some((stage, Standing::Stale(reasons))) => {
            let why = why(reasons).unwrap_or_default();
            format!("{so_far}, {stage} stale: {why}")
        }
        _ => so_far,
    }
}

fn running(owner: Option<&Owner>) -> String {
    let Some(owner) = owner else {
        return "in a process that has just started".to_owned();
    };
    let mut parts = Vec::new();
    if let Some(progress) = &owner.progress {
        let (step, of) = (count(progress.step), count(progress.total_steps));
        parts.push(format!("step {step} of {of}"));
        parts.push(format!("{:.0} examples/s", progress.examples_per_second));
        if let Some(seconds) = progress.seconds_left {
            let left = Duration::from_secs_f64(seconds.max(0.0));
            parts.push(format!("{} left", duration(left)));
        }
    }
    let since = owner.since.map(clock);
    let since = since.map_or_else(String::new, |since| format!(" since {since}"));
    parts.push(format!("process {}{since}", owner.pid));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::StaleReason;
    use crate::runs::{Checkpoint, StepProgress};

    fn owner() -> Owner {
        Owner {
            pid: 4321,
            command: "tinyrun x.toml".to_owned(),
            host: None,
            since: None,
            progress: Some(StepProgress {
                step: 1200,
                total_steps: 4210,
                examples_per_second: 107.4,
                seconds_left: Some(192.0),
            }),
        }
    }

    #[test]
    fn each_standing_is_a_word_a_stage_and_what_it_means() {
        let checkpoint = Checkpoint {
            step: 5,
            total_steps: 90,
        };
        let stages = [
            (StageName::new("finetune"), Standing::Running(Some(owner()))),
            (
                StageName::new("general-distill"),
                Standing::Stopped(checkpoint),
            ),
            (
                StageName::new("td-phase1"),
                Standing::Stale(vec![StaleReason::NeverRun]),
            ),
            (
                StageName::new("eval"),
                Standing::Waits(vec![StageName::new("td-phase1")]),
            ),
        ];
        let expected = "\
            running  finetune        step 1,200 of 4,210, 107 examples/s, 3m12s left, process 4321\n\
            stopped  general-distill at step 5 of 90: the next run resumes from there\n\
            stale    td-phase1       never run\n\
            waits    eval            for `td-phase1`\n";
        assert_eq!(standing_lines(&stages, Style::PLAIN), expected);
        let line = standing_line(&stages, Style::PLAIN);
        assert_eq!(
            line,
            "0 of 4 done, finetune running: step 1,200 of 4,210, 107 examples/s, 3m12s left, process 4321"
        );
    }
}
