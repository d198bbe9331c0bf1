//! Bars on a terminal, plain lines elsewhere, both on stderr.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Style;
use super::amounts::{bytes, clock, count, counted, duration};
use super::failure;
use super::plan::why;
use crate::experiment::StageName;
use crate::input::{escape_lines, excerpt, for_terminal};
use crate::job::{Event, Progress};
use crate::runs::{Prepared, Record};
use crate::stage::{Notice, Observer};

/// Off a terminal, the shortest time between two lines about progress.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// More classes than this are told by their number.
const LABELS: usize = 5;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// What happens.
    Normal,
    /// Also where and on what.
    Verbose,
}

/// Shows what happens to one stage as it happens.
#[derive(Debug)]
pub struct Console<'a> {
    verbosity: Verbosity,
    style: Style,
    terminal: bool,
    explain: bool,
    running: Option<Running>,
    /// Which experiment it is, where there are several.
    caption: Option<&'a Caption>,
}

/// How lines of one of several experiments are told from those of others.
#[derive(Debug)]
pub enum Caption {
    /// By a line above the first one; taken when it is written.
    Heading(Mutex<Option<String>>),
    /// By a word before every line, where several stages run at a time.
    Label(String),
}

impl Caption {
    /// What stands before the next line.
    fn take(&self) -> String {
        match self {
            Self::Heading(heading) => {
                let mut heading = heading.lock().unwrap_or_else(PoisonError::into_inner);
                heading.take().unwrap_or_default()
            }
            Self::Label(label) => label.clone(),
        }
    }
}

/// The stage in progress.
#[derive(Debug)]
struct Running {
    bar: Option<ProgressBar>,
    /// Since the kernel began to compute, after it read its inputs.
    since: Instant,
    first_step: u64,
    total_steps: u64,
    last_line: Instant,
    /// Whether it trains, and so has a loss.
    has_loss: bool,
    /// Whether what it reads are labelled examples, and not pieces of text.
    has_labels: bool,
}

impl<'a> Console<'a> {
    /// For this process's stderr.
    pub fn new(verbosity: Verbosity, explain: bool) -> Self {
        let stderr = io::stderr();
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Self {
            verbosity,
            style: Style::of(&stderr),
            terminal: stderr.is_terminal() && !dumb,
            explain,
            running: None,
            caption: None,
        }
    }

    /// For a stage of one of several experiments.
    #[must_use]
    pub fn under(mut self, caption: &'a Caption) -> Self {
        self.caption = Some(caption);
        self
    }

    /// For one of several stages that run at a time: lines, as bars would overwrite each other.
    #[must_use]
    pub fn without_bars(mut self) -> Self {
        self.terminal = false;
        self
    }

    /// Writes lines above the bar, if there is one.
    fn say(&self, from: Verbosity, text: &str) {
        if self.verbosity < from {
            return;
        }
        let caption = self.caption.map(Caption::take).unwrap_or_default();
        let line = format!("{caption}{text}");
        let line = for_terminal(&line, self.style.is_coloured());
        // A closed stderr is no reason to stop training.
        let write = || {
            let _ = writeln!(io::stderr(), "{line}");
        };
        match self
            .running
            .as_ref()
            .and_then(|running| running.bar.as_ref())
        {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn line(&self, stage: &StageName, text: &str) {
        self.say(Verbosity::Normal, &format!("{stage:15} {text}"));
    }

    fn detail(&self, stage: &StageName, text: &str) {
        let line = format!("{stage:15} {}", self.style.faint(text));
        self.say(Verbosity::Verbose, &line);
    }

    fn begin(&mut self, stage: &StageName, has_labels: bool) {
        let now = Instant::now();
        let bar = (self.terminal && self.verbosity > Verbosity::Quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(spinner());
            bar.set_prefix(format!("{stage:15}"));
            bar.set_message("starts");
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        self.running = Some(Running {
            bar,
            since: now,
            first_step: 0,
            total_steps: 0,
            last_line: now,
            has_loss: false,
            has_labels,
        });
    }

    fn end(&mut self) {
        if let Some(bar) = self.running.take().and_then(|running| running.bar) {
            bar.finish_and_clear();
        }
    }

    fn event(&mut self, stage: &StageName, event: &Event) {
        match event {
            Event::Started {
                device,
                precision,
                threads,
                ranks,
                libtorch,
                total_steps,
                step,
                parameters,
            } => {
                if let Some(running) = &mut self.running {
                    running.since = Instant::now();
                    running.first_step = *step;
                    running.total_steps = *total_steps;
                    running.has_loss = *parameters > 0;
                    if let Some(bar) = &running.bar {
                        bar.set_length(*total_steps);
                        bar.set_position(*step);
                        bar.set_style(steps());
                        bar.set_message("");
                    }
                }
                let shared = match ranks.last() {
                    None | Some(1) => String::new(),
                    Some(ranks) => format!("{ranks} ranks of "),
                };
                let mut text = format!(
                    "on {device} in {precision}, {shared}{threads} threads, libtorch {libtorch}"
                );
                if *parameters > 0 {
                    let _ = write!(text, ", {} parameters", count(*parameters));
                }
                self.detail(stage, &text);
            }
            Event::TeacherScored { teacher, scores } => {
                let text = format!("teacher `{teacher}`: {} on dev", scores_text(scores));
                self.line(stage, &escape_lines(&text));
            }
            Event::Asking { done, total } => self.asking(stage, *done, *total),
            Event::Step(progress) => self.progress(stage, progress),
            Event::Evaluated { step, scores, best } => {
                let best = if *best { ", best so far" } else { "" };
                let text = format!("step {step}: {} on dev{best}", scores_text(scores));
                self.line(stage, &text);
            }
            Event::Checkpoint { step } => {
                self.detail(stage, &format!("checkpoint at step {step}"));
            }
            Event::Warning { message } => {
                let word = self.style.warning("warning");
                self.line(stage, &format!("{word}: {}", escape_lines(message)));
            }
            // Told by the stage's last line, or by the failure.
            Event::Scored { .. }
            | Event::Done { .. }
            | Event::Interrupted { .. }
            | Event::Logits { .. }
            | Event::Failed(_) => {}
        }
    }

    fn progress(&mut self, stage: &StageName, progress: &Progress) {
        let Some(running) = &mut self.running else {
            return;
        };
        let message = message(progress, running);
        if let Some(bar) = &running.bar {
            bar.set_position(progress.step);
            bar.set_message(message);
        } else if running.last_line.elapsed() >= LINE_INTERVAL {
            running.last_line = Instant::now();
            let total = running.total_steps;
            let comma = if message.is_empty() { "" } else { ", " };
            let text = format!("step {} of {total}{comma}{message}", progress.step);
            self.line(stage, &text);
        }
    }

    fn asking(&mut self, stage: &StageName, done: u64, total: u64) {
        let Some(running) = &mut self.running else {
            return;
        };
        if let Some(bar) = &running.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_style(steps());
            bar.set_message("caching teacher outputs");
        } else if running.last_line.elapsed() >= LINE_INTERVAL || done == total {
            running.last_line = Instant::now();
            let text = format!(
                "teacher outputs cached: {} of {} examples",
                count(done),
                count(total)
            );
            self.line(stage, &text);
        }
    }

    fn preparing(&mut self, stage: &StageName, done: u64, total: u64) {
        let Some(running) = &mut self.running else {
            return;
        };
        if let Some(bar) = &running.bar {
            if bar.length() != Some(total) {
                bar.set_length(total);
                bar.set_style(amounts());
                bar.set_message("");
            }
            bar.set_position(done);
        } else if running.last_line.elapsed() >= LINE_INTERVAL {
            running.last_line = Instant::now();
            self.line(stage, &format!("{} of {}", bytes(done), bytes(total)));
        }
    }

    fn finished(&mut self, stage: &StageName, record: &Record, total_steps: Option<u64>) {
        let time = duration(Duration::from_secs_f64(record.seconds.max(0.0)));
        let summary = &record.summary;
        let mut parts: Vec<String> = Vec::new();
        parts.extend(summary.prepared.as_ref().map(prepared));
        if summary.scored.is_empty() {
            parts.extend(summary.steps.map(|steps| match total_steps {
                Some(total) if steps < total => {
                    format!("stopped early at step {} of {}", count(steps), count(total))
                }
                _ => counted(steps, "step"),
            }));
        }
        if !summary.scores.is_empty() {
            parts.push(format!("{} on dev", scores_text(&summary.scores)));
        }
        let colon = if parts.is_empty() { "" } else { ": " };
        let done = self.style.good("done");
        let text = format!("{done} in {time}{colon}{}", parts.join(", "));
        self.line(stage, &text);
        if let Some(machine) = record
            .machine
            .as_ref()
            .filter(|found| found.peak_memory > 0)
        {
            let text = format!("peak memory of the kernel: {}", bytes(machine.peak_memory));
            self.detail(stage, &text);
        }
    }
}

impl Observer for Console<'_> {
    fn notice(&mut self, notice: &Notice<'_>) {
        match *notice {
            Notice::Fresh { stage } => {
                self.end();
                // Of many experiments, only what is done is worth a line.
                let from = if self.caption.is_some() {
                    Verbosity::Verbose
                } else {
                    Verbosity::Normal
                };
                self.say(
                    from,
                    &format!("{stage:15} {}", self.style.faint("up to date")),
                );
            }
            Notice::Waiting { stage, owner } => {
                let whom = owner.map_or_else(
                    || "another run".to_owned(),
                    |owner| format!("process {} (`{}`)", owner.pid, owner.command),
                );
                let since = owner.and_then(|owner| owner.since);
                let since =
                    since.map_or_else(String::new, |since| format!(" since {}", clock(since)));
                self.line(
                    stage,
                    &format!("waiting for {whom}, running this stage{since}"),
                );
            }
            Notice::Started {
                stage,
                reasons,
                resumed,
                fingerprint,
                has_labels,
            } => {
                if let Some(checkpoint) = resumed {
                    let (step, of) = (checkpoint.step, checkpoint.total_steps);
                    self.line(stage, &format!("resuming from step {step} of {of}"));
                } else if self.explain {
                    for reason in reasons {
                        self.line(stage, &reason.to_string());
                    }
                } else if let Some(why) = why(reasons) {
                    self.line(stage, &why);
                }
                self.detail(stage, &format!("fingerprint {fingerprint}"));
                self.begin(stage, has_labels);
            }
            Notice::Preparing { stage, done, total } => self.preparing(stage, done, total),
            Notice::Kernel { stage, event } => self.event(stage, event),
            Notice::Lacks { stage, lack, path } => {
                let word = self.style.warning("warning");
                let path = path.display();
                self.line(stage, &format!("{word}: {lack} (`{path}`)"));
            }
            Notice::Stopping { stage } => {
                let text = "stopping after this step and writing a checkpoint; press Ctrl-C again to quit now";
                self.line(stage, text);
            }
            Notice::Failed { error, .. } => {
                self.end();
                let text = failure(error, self.style);
                self.say(Verbosity::Quiet, text.trim_end());
            }
            Notice::Finished { stage, record } => {
                let total_steps = self.running.as_ref().map(|running| running.total_steps);
                self.end();
                self.finished(stage, record, total_steps);
            }
        }
    }
}

impl Drop for Console<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

fn scores_text(scores: &BTreeMap<String, f64>) -> String {
    let scores = scores.iter();
    let scores: Vec<String> = scores
        .map(|(metric, value)| format!("{metric} {value:.4}"))
        .collect();
    scores.join(", ")
}

/// How much came out of a preparation, and what a user should look at.
fn prepared(counts: &Prepared) -> String {
    let mut parts = Vec::new();
    for (name, examples) in &counts.examples {
        // A corpus has one store, whose name says nothing.
        let name = match counts.examples.len() {
            1 => String::new(),
            _ => format!("{name} "),
        };
        parts.push(format!("{name}{}", counted(*examples, "example")));
    }
    match counts.labels.as_slice() {
        [] => {}
        few if few.len() <= LABELS => {
            let few: Vec<String> = few.iter().map(|label| excerpt(label)).collect();
            parts.push(format!("classes {}", few.join(", ")));
        }
        many => parts.push(format!("{} classes", many.len())),
    }
    parts.push(format!("{} tokens", count(counts.tokens)));
    let examples: u64 = counts.examples.iter().map(|(_, examples)| examples).sum();
    let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
    if counts.truncated > 0 {
        let share = percent(counts.truncated, examples);
        parts.push(format!("{share:.1} % truncated"));
    }
    if counts.unknown > 0 {
        let share = percent(counts.unknown, counts.tokens);
        parts.push(format!("{share:.2} % unknown tokens"));
    }
    if counts.blank > 0 {
        parts.push(format!("{} blank rows skipped", count(counts.blank)));
    }
    if counts.train_texts_in_dev > 0 {
        let rows = count(counts.train_texts_in_dev);
        parts.push(format!("{rows} training texts also in dev"));
    }
    if counts.unlabelled_left_out > 0 {
        let texts = count(counts.unlabelled_left_out);
        parts.push(format!("{texts} unlabelled texts omitted"));
    }
    parts.join(", ")
}

/// Time left, loss and rate: what matters most is first, should the line be too long.
fn message(progress: &Progress, running: &Running) -> String {
    let mut parts = Vec::new();
    let done = progress.step.saturating_sub(running.first_step);
    let left = running.total_steps.saturating_sub(progress.step);
    if done > 0 {
        let seconds = running.since.elapsed().as_secs_f64() * left as f64 / done as f64;
        let time = duration(Duration::from_secs_f64(seconds));
        parts.push(format!("{time} left"));
    }
    if running.has_loss {
        parts.push(format!("loss {:.4}", progress.loss));
        parts.push(if running.has_labels {
            format!("{:.0} examples/s", progress.examples_per_second)
        } else {
            format!("{:.0} tokens/s", progress.tokens_per_second)
        });
    }
    parts.join(", ")
}

fn spinner() -> ProgressStyle {
    template("{prefix} {spinner} {wide_msg}")
}

fn steps() -> ProgressStyle {
    template("{prefix} [{bar:16}] {pos}/{len} {wide_msg}")
}

fn amounts() -> ProgressStyle {
    template("{prefix} [{bar:16}] {decimal_bytes}/{decimal_total_bytes} {wide_msg}")
}

fn template(text: &str) -> ProgressStyle {
    ProgressStyle::with_template(text)
        .expect("a template that was tried")
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_is_one() {
        spinner();
        steps();
        amounts();
    }

    #[test]
    fn a_message_has_time_left_loss_and_rate() {
        let mut running = Running {
            bar: None,
            since: Instant::now()
                .checked_sub(Duration::from_secs(10))
                .expect("up that long"),
            first_step: 100,
            total_steps: 400,
            last_line: Instant::now(),
            has_loss: true,
            has_labels: true,
        };
        let progress = Progress {
            step: 200,
            epoch: 0.5,
            learning_rate: 1e-4,
            loss: 0.43219,
            examples_per_second: 312.4,
            tokens_per_second: 4210.0,
        };
        assert_eq!(
            message(&progress, &running),
            "20s left, loss 0.4322, 312 examples/s"
        );
        running.has_labels = false;
        assert_eq!(
            message(&progress, &running),
            "20s left, loss 0.4322, 4210 tokens/s"
        );
        running.has_loss = false;
        assert_eq!(message(&progress, &running), "20s left");
    }
}
