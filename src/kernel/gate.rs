//! The teacher check: before a student learns from a teacher for hours, the teacher is scored on
//! dev. A teacher at chance level, with classes in another order, or with the wrong `head` is
//! reported before the first step. Thresholds:
//! docs/concepts/evaluation.md#teacher-check.

mod confusion;

use std::collections::BTreeMap;
use std::path::Path;

use tinyrun_base::data::store::TokenStore;
use tinyrun_base::job::{Gate, HeadKind, Metric};
use tinyrun_base::model::ModelRef;

use self::confusion::{Confusion, shown};
use crate::device::Compute;
use crate::error::KernelError;
use crate::folder::load_for_scoring;
use crate::ranks::Ranks;
use crate::score::{predict_on, scores};
use crate::stop::Stop;

/// How much better another reading of the answers must be, beyond chance, to be the right one.
const CLEARLY: f64 = 0.1;

/// The same for another head, which often costs a few points only.
const CLEARLY_HEAD: f64 = 0.02;

/// What a regression's teacher must show where no threshold is given.
const LEAST_CORRELATION: f64 = 0.2;

const BATCH_SIZE: usize = 32;

/// What the gate came to.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The stage may begin.
    Passed,
    /// Nothing could be asked, and why.
    Skipped(String),
    /// The user wants to stop.
    Interrupted,
}

/// A teacher that was checked.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) verdict: Verdict,
    /// On dev, by name; none where nothing was scored.
    pub(crate) scores: BTreeMap<String, f64>,
}

impl Checked {
    /// Of a teacher that was not scored.
    fn unscored(verdict: Verdict) -> Self {
        Self {
            verdict,
            scores: BTreeMap::new(),
        }
    }
}

/// Scores the teacher in `folder` on dev, each rank a part of the rows. A stage that reads no classifier, `lenient`,
/// may learn from a teacher that has none, or one of other classes.
///
/// # Errors
/// What is wrong with the teacher, with the key to set; that it cannot be read; a rank that is lost.
pub(crate) fn check_teacher(
    gate: &Gate,
    folder: &ModelRef,
    head: HeadKind,
    lenient: bool,
    compute: Compute,
    stop: &Stop,
    ranks: &Ranks,
) -> Result<Checked, KernelError> {
    let dev = TokenStore::open(&gate.data)?;
    let (other, word) = match head {
        HeadKind::Plain => (HeadKind::Relu, "relu"),
        HeadKind::Relu => (HeadKind::Plain, "plain"),
    };
    let model = match load_for_scoring(folder, head, &dev, compute.device) {
        Err(error @ (KernelError::NoClassifier { .. } | KernelError::Classes { .. }))
            if lenient && gate.at_least.is_none() =>
        {
            let why = format!("the teacher check is skipped: {error}");
            return Ok(Checked::unscored(Verdict::Skipped(why)));
        }
        model => model?,
    };
    let otherwise = load_for_scoring(folder, other, &dev, compute.device)?;
    let heads = [&model.classifier, &otherwise.classifier];
    let stopped = || stop.asked();
    let (encoder, device) = (&model.encoder, compute.device);
    let answers = predict_on(ranks, encoder, &heads, &dev, BATCH_SIZE, device, stopped)?;
    let Some(answers) = answers else {
        return Ok(Checked::unscored(Verdict::Interrupted));
    };
    let judged = Judged {
        gate,
        folder,
        names: &dev.meta().labels,
        same_labels: model.same_labels,
    };
    let classes = judged.names.len();
    let found = scores(&answers[0].predictions, classes);
    let verdict = if classes == 0 {
        judged.correlation(found.of(Metric::Correlation))?
    } else {
        let tables = [0, 1].map(|head| Confusion::of(&answers[head].predictions, classes));
        judged.classes(&tables, word)?
    };
    Ok(Checked {
        verdict,
        scores: found.named(classes),
    })
}

/// How to do without the check.
const OFF: &str = "or set `gate` of the stage to \"off\" or to a threshold";

/// A teacher that was scored.
struct Judged<'a> {
    gate: &'a Gate,
    folder: &'a Path,
    /// Classes; none of a regression.
    names: &'a [String],
    /// Whether the model has the data's own names.
    same_labels: bool,
}

impl Judged<'_> {
    fn refuse(&self, found: String, hint: String) -> Result<Verdict, KernelError> {
        Err(KernelError::Gate {
            model: self.folder.to_owned(),
            found,
            hint,
        })
    }

    /// A regression.
    fn correlation(&self, score: f64) -> Result<Verdict, KernelError> {
        let least = self.gate.at_least.unwrap_or(LEAST_CORRELATION);
        if score >= least {
            return Ok(Verdict::Passed);
        }
        self.refuse(
            format!("has a correlation of {score:.4} with the labels of dev, less than {least}"),
            format!("fine-tune it (`[stages.finetune]`), {OFF}"),
        )
    }

    /// A classification, by the head that is set and by the `other` one.
    fn classes(&self, tables: &[Confusion; 2], other: &str) -> Result<Verdict, KernelError> {
        let (names, [table, _]) = (self.names, tables);
        let absent = table.absent();
        if absent.len() + 1 >= names.len() && self.gate.at_least.is_none() {
            return Ok(Verdict::Skipped(format!(
                "the teacher was not checked: dev has rows of one class only ({})",
                names[table.most_common()]
            )));
        }
        // Where a class is absent from dev, scores on dev are hard to judge: say so.
        let on_dev = match absent
            .iter()
            .map(|&class| format!("`{}`", names[class]))
            .collect::<Vec<_>>()
        {
            list if list.is_empty() => "on dev".to_owned(),
            list => format!("on dev (dev has no row of class {})", list.join(", ")),
        };
        match self.gate.at_least {
            Some(least) if table.accuracy() >= least => Ok(Verdict::Passed),
            Some(least) => self.refuse(
                format!(
                    "has accuracy {} {on_dev}, below `gate = {least}`",
                    table.score()
                ),
                "train it longer, or lower `gate`".to_owned(),
            ),
            None => self.readings(tables, other, &on_dev),
        }
    }

    /// Whether the teacher is clearly better in another reading of its answers, or no better than chance.
    fn readings(
        &self,
        [table, by_other]: &[Confusion; 2],
        other: &str,
        on_dev: &str,
    ) -> Result<Verdict, KernelError> {
        let score = table.score();
        let noise = 2.0 * table.standard_error(table.accuracy());
        if let Some((order, correct)) = table.best_order()
            && correct as f64 / table.total as f64 > table.accuracy() + CLEARLY.max(noise)
            && !table.in_order(&order).guesses()
        {
            let order: Vec<&str> = order
                .iter()
                .map(|&class| self.names[class].as_str())
                .collect();
            // A model with the data's own names, such as one that was fine-tuned on train, is not
            // to blame: the labels of dev disagree with those of train.
            let hint = if self.same_labels {
                "the labels of `dev` seem to be in another order than those of `train`: compare the two tables"
            } else {
                "list `labels` in `[task]` in the model's order"
            };
            return self.refuse(
                format!(
                    "has accuracy {score} {on_dev}, but {} if its classes are in the order {}",
                    shown(correct, table.total),
                    order.join(", ")
                ),
                format!("{hint}, {OFF}"),
            );
        }
        if by_other.accuracy() > table.accuracy() + CLEARLY_HEAD.max(noise) && !by_other.guesses() {
            return self.refuse(
                format!(
                    "has accuracy {score} {on_dev}, but {} with `head = \"{other}\"`",
                    by_other.score()
                ),
                format!("set `head = \"{other}\"` in `[teacher]`, {OFF}"),
            );
        }
        if table.guesses() {
            let hint = if self.same_labels {
                "fine-tune it longer (`[stages.finetune]`), and compare the labels of `dev` with those of `train`"
            } else {
                "fine-tune it (`[stages.finetune]`)"
            };
            return self.refuse(
                format!(
                    "has accuracy {score} and Matthews correlation {:.3} {on_dev}: no better than chance",
                    table.matthews_corr()
                ),
                format!("{hint}, {OFF}"),
            );
        }
        Ok(Verdict::Passed)
    }
}
