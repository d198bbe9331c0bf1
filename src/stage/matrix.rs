//! What the experiments of a matrix came to: a row for each, and for each variant its mean.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use crate::experiment::{Experiments, Variant};
use crate::metrics::spread::Spread;
use crate::runs::{Error, Layout, Record, create_folder, write_atomic};

/// Results of a matrix, as far as it has come.
#[derive(Debug)]
pub struct MatrixResults<'a> {
    experiments: &'a Experiments,
    /// Records of eval by the variant's place.
    scored: BTreeMap<usize, Record>,
}

/// One metric of one model on one split, over the experiments of a variant.
#[derive(Debug, Clone, PartialEq)]
pub struct VariantScore {
    /// Name of the variant, without its seed.
    pub group: String,
    /// `teacher` or `student`.
    pub model: String,
    /// `dev`, or the task's other split.
    pub split: String,
    /// As in `results.csv`.
    pub metric: String,
    /// Over results that are not the same one.
    pub spread: Spread,
    /// Experiments that were scored, with those whose result is the same one: a seed changes
    /// nothing where nothing is drawn from it.
    pub experiments: usize,
    /// Right answers of the results counted in `spread`.
    pub correct: u64,
    /// Their examples.
    pub total: u64,
}

impl<'a> MatrixResults<'a> {
    /// Nothing yet.
    pub fn new(experiments: &'a Experiments) -> Self {
        Self {
            experiments,
            scored: BTreeMap::new(),
        }
    }

    /// Adds what eval found for the variant at a place.
    pub fn add(&mut self, place: usize, record: Record) {
        self.scored.insert(place, record);
    }

    /// Whether nothing was scored.
    pub fn is_empty(&self) -> bool {
        self.scored.is_empty()
    }

    fn rows(&self) -> impl Iterator<Item = (&Variant, &Record)> {
        let scored = self.scored.iter();
        scored.map(|(place, record)| (&self.experiments.variants[*place], record))
    }

    /// Every score of every variant, variants in the order of the file.
    pub fn scores(&self) -> Vec<VariantScore> {
        let mut groups: Vec<&str> = Vec::new();
        for (variant, _) in self.rows() {
            if !groups.contains(&variant.group.as_str()) {
                groups.push(&variant.group);
            }
        }
        groups
            .into_iter()
            .flat_map(|group| self.scores_of(group))
            .collect()
    }

    fn scores_of(&self, group: &str) -> Vec<VariantScore> {
        #[derive(Default)]
        struct Seen {
            values: Vec<f64>,
            correct: u64,
            total: u64,
            experiments: usize,
        }
        let mut found: BTreeMap<(&str, &str, &str), Seen> = BTreeMap::new();
        // The same student, scored twice, is no second sample.
        let mut seen = BTreeSet::new();
        for (_, record) in self.rows().filter(|(variant, _)| variant.group == group) {
            let record: &Record = record;
            for model in &record.summary.scored {
                let is_new = seen.insert((
                    &record.fingerprint,
                    model.model.as_str(),
                    model.split.as_str(),
                ));
                for (metric, value) in &model.scores {
                    let key = (model.split.as_str(), model.model.as_str(), metric.as_str());
                    let sum = found.entry(key).or_default();
                    sum.experiments += 1;
                    if is_new {
                        sum.values.push(*value);
                        sum.correct += model.correct;
                        sum.total += model.total;
                    }
                }
            }
        }
        let scores = found
            .into_iter()
            .filter_map(|((split, model, metric), seen)| {
                Some(VariantScore {
                    group: group.to_owned(),
                    model: model.to_owned(),
                    split: split.to_owned(),
                    metric: metric.to_owned(),
                    spread: Spread::of(&seen.values)?,
                    experiments: seen.experiments,
                    correct: seen.correct,
                    total: seen.total,
                })
            });
        scores.collect()
    }

    /// Writes `matrix.csv`, a row an experiment, model and metric, and `summary.csv`, a row a
    /// variant, model and metric. A file that says so already is left alone.
    ///
    /// # Errors
    /// [`Error::Write`] with the path.
    pub fn write(&self, layout: &Layout) -> Result<(), Error> {
        let folder = layout.experiment(&self.experiments.name);
        create_folder(&folder)?;
        let tables = [
            (layout.matrix(&self.experiments.name), self.matrix_table()),
            (
                layout.matrix_summary(&self.experiments.name),
                self.summary_table(),
            ),
        ];
        for (path, table) in tables {
            let table = table
                .map_err(io::Error::other)
                .map_err(Error::write(&path))?;
            if !fs::read(&path).is_ok_and(|present| present == table) {
                write_atomic(&path, &table)?;
            }
        }
        Ok(())
    }

    fn matrix_table(&self) -> Result<Vec<u8>, csv::Error> {
        let mut table = csv::Writer::from_writer(Vec::new());
        let axes = self.experiments.variants.first();
        let axes = axes.map_or(&[][..], |variant| &variant.values);
        let mut header = vec!["experiment", "variant"];
        header.extend(axes.iter().map(|(key, _)| key.as_str()));
        header.extend([
            "model", "split", "metric", "value", "correct", "total", "result",
        ]);
        table.write_record(header)?;
        for (variant, record) in self.rows() {
            for model in &record.summary.scored {
                let (correct, total) = counts(
                    model.scores.contains_key("accuracy"),
                    model.correct,
                    model.total,
                );
                for (metric, value) in &model.scores {
                    let value = value.to_string();
                    let mut row = vec![variant.name.as_str(), variant.group.as_str()];
                    row.extend(variant.values.iter().map(|(_, value)| value.as_str()));
                    row.extend([
                        &*model.model,
                        &*model.split,
                        metric,
                        &value,
                        &correct,
                        &total,
                    ]);
                    row.push(record.fingerprint.as_str());
                    table.write_record(row)?;
                }
            }
        }
        finish(table)
    }

    fn summary_table(&self) -> Result<Vec<u8>, csv::Error> {
        let mut table = csv::Writer::from_writer(Vec::new());
        table.write_record([
            "variant",
            "model",
            "split",
            "metric",
            "mean",
            "std",
            "min",
            "max",
            "results",
            "experiments",
            "correct",
            "total",
        ])?;
        let scores = self.scores();
        for score in &scores {
            let Spread {
                count,
                mean,
                deviation,
                least,
                most,
            } = score.spread;
            let same = |other: &&VariantScore| {
                (&other.group, &other.model, &other.split)
                    == (&score.group, &score.model, &score.split)
            };
            let is_classes = scores.iter().filter(same).any(|it| it.metric == "accuracy");
            let (correct, total) = counts(is_classes, score.correct, score.total);
            table.write_record([
                &score.group,
                &score.model,
                &score.split,
                &score.metric,
                &mean.to_string(),
                &deviation.map_or_else(String::new, |it| it.to_string()),
                &least.to_string(),
                &most.to_string(),
                &count.to_string(),
                &score.experiments.to_string(),
                &correct,
                &total,
            ])?;
        }
        finish(table)
    }
}

/// A regression has no right answers to count.
fn counts(is_classes: bool, correct: u64, total: u64) -> (String, String) {
    let correct = if is_classes {
        correct.to_string()
    } else {
        String::new()
    };
    (correct, total.to_string())
}

fn finish(table: csv::Writer<Vec<u8>>) -> Result<Vec<u8>, csv::Error> {
    table
        .into_inner()
        .map_err(|error| error.into_error().into())
}
