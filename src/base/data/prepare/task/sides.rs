//! The stores of a task's splits.

use std::path::{Path, PathBuf};
use std::slice;

use super::settings::{Dev, TaskSettings};
use crate::data::error::DataError;
use crate::data::prepare::found_labels::no_text;
use crate::data::report::SplitReport;
use crate::data::store::{StoreMeta, StoreWriter};

/// The one further table of dev rows that a task may have.
pub(super) const MISMATCHED: &str = "dev-mismatched";

/// The store that a row goes to.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Train,
    Dev,
    /// One of [`TaskSettings::more_dev`].
    More(usize),
}

impl Target {
    /// Name of its store.
    pub(super) fn split(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Dev => "dev",
            Self::More(_) => MISMATCHED,
        }
    }
}

/// One store being written, and what was counted of it.
pub(super) struct Side {
    pub(super) writer: StoreWriter,
    pub(super) report: SplitReport,
}

impl Side {
    fn create(name: &str, output: &Path, meta: &StoreMeta) -> Result<Self, DataError> {
        Ok(Self {
            writer: StoreWriter::create(&output.join(name), meta.clone())?,
            report: SplitReport::new(name, &meta.labels),
        })
    }

    fn is_empty(&self) -> bool {
        self.report.rows_in == self.report.blank
    }

    fn finish(self, specials: usize) -> Result<SplitReport, DataError> {
        let Self { writer, mut report } = self;
        let meta = writer.finish()?;
        report.rows_out = meta.examples;
        report.tokens = meta.tokens;
        report.complete(specials);
        Ok(report)
    }
}

/// The stores of all splits.
pub(super) struct Sides {
    train: Side,
    dev: Side,
    more: Vec<Side>,
}

impl Sides {
    pub(super) fn create(
        output: &Path,
        settings: &TaskSettings,
        meta: &StoreMeta,
    ) -> Result<Self, DataError> {
        let more = settings.more_dev.iter();
        Ok(Self {
            train: Side::create("train", output, meta)?,
            dev: Side::create("dev", output, meta)?,
            more: more
                .map(|(name, _)| Side::create(name, output, meta))
                .collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn of(&mut self, target: Target) -> &mut Side {
        match target {
            Target::Train => &mut self.train,
            Target::Dev => &mut self.dev,
            Target::More(index) => &mut self.more[index],
        }
    }

    /// Refuses a training or a dev side without an example.
    pub(super) fn check(&self, settings: &TaskSettings) -> Result<(), DataError> {
        let tables: [(_, &[PathBuf]); 2] =
            [("train", &settings.train), ("dev", settings.dev_table())];
        let empty = [self.train.is_empty(), self.dev.is_empty()];
        let Some(index) = empty.iter().position(|is_empty| *is_empty) else {
            return Ok(());
        };
        let (side, tables) = tables[index];
        Err(match settings.dev {
            Dev::Fraction(fraction) if empty != [true, true] => {
                DataError::SplitEmpty { fraction, side }
            }
            _ => no_text(tables),
        })
    }

    /// Completes the stores: train, dev and more.
    ///
    /// # Errors
    /// A further table has no example; the disk is full.
    pub(super) fn finish(
        self,
        settings: &TaskSettings,
        specials: usize,
    ) -> Result<Vec<SplitReport>, DataError> {
        let mut splits = vec![self.train.finish(specials)?, self.dev.finish(specials)?];
        for (side, (_, table)) in self.more.into_iter().zip(&settings.more_dev) {
            if side.is_empty() {
                return Err(no_text(slice::from_ref(table)));
            }
            splits.push(side.finish(specials)?);
        }
        Ok(splits)
    }
}
