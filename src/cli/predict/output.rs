//! Answers as CSV or JSON lines.

use std::io::{self, BufWriter, IsTerminal, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::data::RowColumns;
use crate::input::for_terminal;

/// Form of the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A header, then one row per answer
    Csv,
    /// One JSON object per answer
    Jsonl,
}

/// Writes answers, each after the columns of its row that are kept.
pub(super) struct Output {
    lines: Lines,
    /// Classes in the order of the logits; none of a regression.
    labels: Vec<String>,
    /// Columns of the rows that are kept.
    columns: Vec<String>,
    names: Names,
}

enum Lines {
    Csv(Box<csv::Writer<Box<dyn Write>>>),
    Jsonl(BufWriter<Box<dyn Write>>),
}

/// Names of the answer's own columns.
struct Names {
    /// `label`, or `value` of a regression.
    answer: String,
    /// `probability_<class>` each in CSV, `probabilities` in JSON lines.
    probabilities: Vec<String>,
}

impl Output {
    /// Begins the answers of rows with these columns. One of the answer's own columns whose name a kept one has
    /// is called `predicted_<name>`.
    pub(super) fn begin(
        format: Format,
        out: Box<dyn Write>,
        labels: Vec<String>,
        columns: Vec<String>,
    ) -> io::Result<Self> {
        let free = |name: String| {
            let mut name = name;
            while columns.contains(&name) {
                name = format!("predicted_{name}");
            }
            name
        };
        let answer = if labels.is_empty() { "value" } else { "label" };
        let probabilities: Vec<String> = match format {
            Format::Csv => {
                let names = labels.iter().map(|label| format!("probability_{label}"));
                names.map(free).collect()
            }
            Format::Jsonl => vec![free("probabilities".to_owned())],
        };
        let names = Names {
            answer: free(answer.to_owned()),
            probabilities,
        };
        let mut lines = match format {
            Format::Csv => Lines::Csv(Box::new(csv::Writer::from_writer(out))),
            Format::Jsonl => Lines::Jsonl(BufWriter::new(out)),
        };
        if let Lines::Csv(csv) = &mut lines {
            let own = std::iter::once(&names.answer).chain(&names.probabilities);
            csv.write_record(columns.iter().chain(own))?;
        }
        Ok(Self {
            lines,
            labels,
            columns,
            names,
        })
    }

    /// Writes the answer to a row.
    pub(super) fn write(&mut self, columns: &RowColumns, logits: &[f32]) -> io::Result<()> {
        let probabilities = softmax(logits);
        let answer = Answer {
            output: self,
            columns,
            logits,
            probabilities: &probabilities,
        };
        let is_csv = matches!(self.lines, Lines::Csv(_));
        let (record, json) = if is_csv {
            (answer.record(), Vec::new())
        } else {
            (Vec::new(), serde_json::to_vec(&answer)?)
        };
        match &mut self.lines {
            Lines::Csv(csv) => Ok(csv.write_record(record)?),
            Lines::Jsonl(out) => out.write_all(&json).and_then(|()| out.write_all(b"\n")),
        }
    }

    /// Hands on what was written so far.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.lines {
            Lines::Csv(csv) => csv.flush(),
            Lines::Jsonl(out) => out.flush(),
        }
    }
}

/// The answer to a row.
struct Answer<'a> {
    output: &'a Output,
    columns: &'a RowColumns,
    logits: &'a [f32],
    probabilities: &'a [f32],
}

impl Answer<'_> {
    /// The class with the largest logit, of equals the first.
    fn label(&self) -> &str {
        let mut best = 0;
        for (class, logit) in self.logits.iter().enumerate() {
            if *logit > self.logits[best] {
                best = class;
            }
        }
        self.output.labels.get(best).map_or("", String::as_str)
    }

    /// Fields of CSV.
    fn record(&self) -> Vec<String> {
        let mut record = match self.columns {
            RowColumns::Fields(fields) => fields.clone(),
            RowColumns::Object(object) => {
                let text = |name| match object.get(name) {
                    None | Some(serde_json::Value::Null) => String::new(),
                    Some(serde_json::Value::String(text)) => text.clone(),
                    Some(value) => value.to_string(),
                };
                self.output.columns.iter().map(text).collect()
            }
        };
        if self.output.labels.is_empty() {
            record.push(self.logits[0].to_string());
        } else {
            record.push(self.label().to_owned());
            record.extend(self.probabilities.iter().map(f32::to_string));
        }
        record
    }
}

impl Serialize for Answer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Output {
            labels,
            columns,
            names,
            ..
        } = self.output;
        let mut map = serializer.serialize_map(None)?;
        match self.columns {
            RowColumns::Fields(fields) => {
                for (name, field) in columns.iter().zip(fields) {
                    map.serialize_entry(name, field)?;
                }
            }
            RowColumns::Object(object) => {
                // A key that the first object lacks, and that the answer has by then.
                let is_own =
                    |name: &String| *name == names.answer || names.probabilities.contains(name);
                for (name, value) in object.iter().filter(|(name, _)| !is_own(name)) {
                    map.serialize_entry(name, value)?;
                }
            }
        }
        if labels.is_empty() {
            map.serialize_entry(&names.answer, &self.logits[0])?;
        } else {
            map.serialize_entry(&names.answer, self.label())?;
            let probabilities = Probabilities(labels, self.probabilities);
            map.serialize_entry(&names.probabilities[0], &probabilities)?;
        }
        map.end()
    }
}

struct Probabilities<'a>(&'a [String], &'a [f32]);

impl Serialize for Probabilities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(self.1))
    }
}

/// Probabilities of classes, computed in f64 and rounded once.
fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers = logits.iter().map(|logit| f64::from(logit - largest).exp());
    let powers: Vec<f64> = powers.collect();
    let sum: f64 = powers.iter().sum();
    #[expect(clippy::cast_possible_truncation, reason = "as exact as the logits")]
    let rounded = powers.iter().map(|power| (power / sum) as f32);
    rounded.collect()
}

/// This process's stdout; on a terminal without what would control it.
pub(super) fn stdout() -> Box<dyn Write> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        Box::new(Terminal(stdout))
    } else {
        Box::new(stdout)
    }
}

struct Terminal(io::Stdout);

impl Write for Terminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.0.write_all(for_terminal(&text, false).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_whatever_the_size_of_the_logits() {
        assert_eq!(softmax(&[0.0, 0.0]), [0.5, 0.5]);
        assert_eq!(softmax(&[1000.0, -1000.0]), [1.0, 0.0]);
        let found = softmax(&[1.0, 2.0, 3.0]);
        assert!((found.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{found:?}");
    }
}
