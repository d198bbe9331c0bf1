//! Bars on a terminal, plain lines elsewhere, both on stderr.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use super::Style;
use super::amounts::{bytes, clock, count};
use super::caption::Caption;
use super::failure;
use super::finished::{finished_line, scores_text};
use super::plan::why;
use super::progress::Running;
use crate::experiment::StageName;
use crate::input::{escape_lines, for_terminal};
use crate::job::Event;
use crate::runs::{Owner, Record};
use crate::stage::{Notice, Observer};

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
        match &self.running {
            Some(running) => running.aside(write),
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

    fn fresh(&mut self, stage: &StageName) {
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

    fn waiting(&self, stage: &StageName, owner: Option<&Owner>) {
        let whom = owner.map_or_else(
            || "another run".to_owned(),
            |owner| format!("process {} (`{}`)", owner.pid, owner.command),
        );
        let since = owner.and_then(|owner| owner.since);
        let since = since.map_or_else(String::new, |since| format!(" since {}", clock(since)));
        self.line(
            stage,
            &format!("waiting for {whom}, running this stage{since}"),
        );
    }

    fn begin(&mut self, stage: &StageName, has_labels: bool) {
        let has_bar = self.terminal && self.verbosity > Verbosity::Quiet;
        self.running = Some(Running::new(stage, has_bar, has_labels));
    }

    fn end(&mut self) {
        if let Some(running) = self.running.take() {
            running.end();
        }
    }

    /// Moves the bar, or writes a line where `of` gives one.
    fn moved(&mut self, stage: &StageName, of: impl FnOnce(&mut Running) -> Option<String>) {
        if let Some(text) = self.running.as_mut().and_then(of) {
            self.line(stage, &text);
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
                    running.starts(*step, *total_steps, *parameters > 0);
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
            Event::Asking { done, total } => {
                self.moved(stage, |running| running.caching(*done, *total));
            }
            Event::Step(progress) => self.moved(stage, |running| running.step(progress)),
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

    fn finished(&mut self, stage: &StageName, record: &Record) {
        let total_steps = self.running.as_ref().map(|running| running.total_steps);
        self.end();
        self.line(stage, &finished_line(record, total_steps, self.style));
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
            Notice::Fresh { stage } => self.fresh(stage),
            Notice::Waiting { stage, owner } => self.waiting(stage, owner),
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
            Notice::Preparing { stage, done, total } => {
                self.moved(stage, |running| running.preparing(done, total));
            }
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
            Notice::Finished { stage, record } => self.finished(stage, record),
        }
    }
}

impl Drop for Console<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
