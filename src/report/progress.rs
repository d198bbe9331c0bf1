//! The progress of a stage: a bar on a terminal, elsewhere a line from time to time.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::amounts::{bytes, count, duration};
use crate::experiment::StageName;
use crate::job::Progress;

/// Off a terminal, the shortest time between two lines about progress.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// The stage in progress.
#[derive(Debug)]
pub(super) struct Running {
    bar: Option<ProgressBar>,
    /// Since the kernel began to compute, after it read its inputs.
    since: Instant,
    first_step: u64,
    pub(super) total_steps: u64,
    last_line: Instant,
    /// Whether it trains, and so has a loss.
    has_loss: bool,
    /// Whether what it reads are labelled examples, and not pieces of text.
    has_labels: bool,
}

impl Running {
    /// Begins, with a bar or without one.
    pub(super) fn new(stage: &StageName, has_bar: bool, has_labels: bool) -> Self {
        let now = Instant::now();
        let bar = has_bar.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(spinner());
            bar.set_prefix(format!("{stage:15}"));
            bar.set_message("starts");
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self {
            bar,
            since: now,
            first_step: 0,
            total_steps: 0,
            last_line: now,
            has_loss: false,
            has_labels,
        }
    }

    /// Writes something while the bar, if there is one, is not on the terminal.
    pub(super) fn aside(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Removes the bar.
    pub(super) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    /// The kernel begins to compute at a step.
    pub(super) fn starts(&mut self, step: u64, total_steps: u64, has_loss: bool) {
        self.since = Instant::now();
        self.first_step = step;
        self.total_steps = total_steps;
        self.has_loss = has_loss;
        if let Some(bar) = &self.bar {
            bar.set_length(total_steps);
            bar.set_position(step);
            bar.set_style(steps());
            bar.set_message("");
        }
    }

    /// A step is done. Gives a line where there is no bar and one is due.
    pub(super) fn step(&mut self, progress: &Progress) -> Option<String> {
        let message = message(progress, self);
        if let Some(bar) = &self.bar {
            bar.set_position(progress.step);
            bar.set_message(message);
            return None;
        }
        self.is_due().then(|| {
            let total = self.total_steps;
            let comma = if message.is_empty() { "" } else { ", " };
            format!("step {} of {total}{comma}{message}", progress.step)
        })
    }

    /// Teacher outputs are cached. Gives a line where there is no bar and one is due.
    pub(super) fn caching(&mut self, done: u64, total: u64) -> Option<String> {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_style(steps());
            bar.set_message("caching teacher outputs");
            return None;
        }
        (self.is_due() || done == total).then(|| {
            self.last_line = Instant::now();
            format!(
                "teacher outputs cached: {} of {} examples",
                count(done),
                count(total)
            )
        })
    }

    /// Bytes of data are prepared. Gives a line where there is no bar and one is due.
    pub(super) fn preparing(&mut self, done: u64, total: u64) -> Option<String> {
        if let Some(bar) = &self.bar {
            if bar.length() != Some(total) {
                bar.set_length(total);
                bar.set_style(amounts());
                bar.set_message("");
            }
            bar.set_position(done);
            return None;
        }
        self.is_due()
            .then(|| format!("{} of {}", bytes(done), bytes(total)))
    }

    /// Whether it is time for another line, which counts from now on.
    fn is_due(&mut self) -> bool {
        let is_due = self.last_line.elapsed() >= LINE_INTERVAL;
        if is_due {
            self.last_line = Instant::now();
        }
        is_due
    }
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
