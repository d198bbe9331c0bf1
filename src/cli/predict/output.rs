//! Answers as CSV or JSON lines.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::data::RowColumns;
use crate::data::table::shown;
use crate::input::excerpt;
use crate::input::for_terminal;

/// Form of the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A header, then one row per answer
    Csv,
    /// The same with tabs between columns
    Tsv,
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
    has_begun: bool,
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
        is_file: bool,
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
            Format::Csv | Format::Tsv => {
                let names = labels.iter().map(|label| format!("probability_{label}"));
                names.map(free).collect()
            }
            Format::Jsonl => vec![free("probabilities".to_owned())],
        };
        let names = Names {
            answer: free(answer.to_owned()),
            probabilities,
        };
        let lines = match format {
            Format::Csv => Lines::Csv(Box::new(csv::Writer::from_writer(out))),
            Format::Tsv => {
                let mut tabs = csv::WriterBuilder::new();
                Lines::Csv(Box::new(tabs.delimiter(b'\t').from_writer(out)))
            }
            Format::Jsonl => Lines::Jsonl(BufWriter::new(out)),
        };
        let mut output = Self {
            lines,
            labels,
            columns,
            names,
            has_begun: false,
        };
        // A reader of stdout learns the columns at once; a file keeps its content for now.
        if !is_file {
            output.write_header()?;
            output.has_begun = true;
        }
        Ok(output)
    }

    /// The line of names, before the first answer.
    fn write_header(&mut self) -> io::Result<()> {
        let Lines::Csv(csv) = &mut self.lines else {
            return Ok(());
        };
        let own = std::iter::once(&self.names.answer).chain(&self.names.probabilities);
        Ok(csv.write_record(self.columns.iter().chain(own))?)
    }

    /// The end of answers to all rows, of which there may have been none.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if !self.has_begun {
            self.write_header()?;
        }
        if let Lines::Jsonl(out) = &mut self.lines {
            // Empties a file that gets no answer.
            let _ = out.get_mut().write(&[])?;
        }
        self.flush()
    }

    /// Writes the answer to a row.
    pub(super) fn write(&mut self, columns: &RowColumns, logits: &[f32]) -> io::Result<()> {
        if !self.has_begun {
            self.write_header()?;
            self.has_begun = true;
        }
        let is_csv = matches!(self.lines, Lines::Csv(_));
        if let (true, RowColumns::Object(object)) = (is_csv, columns) {
            let is_lost = |name: &&String| !self.columns.contains(*name);
            if let Some(name) = object.keys().find(is_lost) {
                let message = format!(
                    "a row has the key `{}`, which the first row does not have and CSV has no column for",
                    excerpt(name)
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        }
        let probabilities = softmax(logits);
        let answer = Answer {
            output: self,
            columns,
            logits,
            probabilities: &probabilities,
        };
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
                let text = |name| object.get(name).map_or_else(String::new, |it| shown(it));
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

/// A file whose old content stays until the first write.
pub(super) struct Replacing {
    file: File,
    is_emptied: bool,
}

impl Replacing {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            is_emptied: false,
        }
    }
}

impl Write for Replacing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A pipe or a device has no length.
        if !self.is_emptied && self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        self.is_emptied = true;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
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
