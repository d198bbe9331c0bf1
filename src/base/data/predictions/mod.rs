//! A teacher's answers to texts, row by row: of a table or of JSON lines, such as `tinyrun predict` writes.

mod columns;
mod fault;

use std::path::{Path, PathBuf};

use serde_json::Value;

pub(in crate::data) use self::fault::PredictionFault;

use self::columns::{Form, find_form};
use super::error::{DataError, Place};
use super::labels::LabelSet;
use super::table::{DialectRule, ID, Quoting, Table, TableLayout};

/// How far the probabilities of a row may sum to more or less than 1.
pub(in crate::data) const TOLERANCE: f64 = 1e-3;

/// Reads the answers of a file.
#[derive(Debug)]
pub(in crate::data) struct PredictionReader {
    path: PathBuf,
    table: Table,
    key: KeyColumns,
    form: Form,
    /// None of a regression.
    labels: LabelSet,
}

/// Where a file says what is answered.
#[derive(Debug)]
enum KeyColumns {
    /// By a text or a pair.
    Text(usize, Option<usize>),
    /// By the column [`ID`] of the task's tables.
    Id(usize),
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::data) enum PredictionKey {
    /// A text or a pair.
    Text(String, Option<String>),
    /// The row with this id.
    Id(String),
}

impl PredictionKey {
    /// What CSV means by it; `None` where that is the same.
    fn unquoted(&self) -> Option<Self> {
        let Self::Text(text, pair) = self else {
            return None;
        };
        let found = Self::Text(unquoted(text), pair.as_deref().map(unquoted));
        (found != *self).then_some(found)
    }
}

fn unquoted(field: &str) -> String {
    let inner = field.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.map_or_else(|| field.to_owned(), |inner| inner.replace("\"\"", "\""))
}

/// The answer to a row.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::data) struct Prediction {
    /// Line that it begins at, from 1.
    pub(in crate::data) line: u64,
    /// What is answered.
    pub(in crate::data) key: PredictionKey,
    /// The same without quotes around it, if quotes are characters in this table: who writes TSV may quote as in CSV
    /// (`tinyrun predict` does), and tables of GLUE do not.
    pub(in crate::data) unquoted: Option<PredictionKey>,
    /// Logarithm of the probability of each class, or the value of a regression: what stands for a teacher's logits.
    pub(in crate::data) answer: Vec<f32>,
}

impl PredictionReader {
    /// Opens a file for tables of this layout. Its own delimiter and quoting are detected.
    ///
    /// # Errors
    /// Where it does not open, is no table, or lacks the columns of the text or of an answer.
    pub(in crate::data) fn open(
        path: &Path,
        layout: &TableLayout,
        labels: &LabelSet,
    ) -> Result<Self, DataError> {
        let table = Table::open(path, DialectRule::default(), None, &[&layout.text])?;
        let header = || Place::new(path, table.header_line());
        let column = |name: &str| match table.column(name) {
            Err(DataError::ColumnMissing { column, there, .. }) => {
                Err(PredictionFault::NoText { column, there }.at(header()))
            }
            found => found,
        };
        let id = table.names().iter().position(|name| name == ID);
        let key = match (column(&layout.text), id) {
            (Err(_), Some(id)) => KeyColumns::Id(id),
            (text, _) => {
                let pair = layout.pair.as_deref().map(column);
                KeyColumns::Text(text?, pair.transpose()?)
            }
        };
        let form = find_form(table.names(), layout, labels);
        Ok(Self {
            path: path.to_owned(),
            form: form.map_err(|fault| fault.at(header()))?,
            key,
            labels: labels.clone(),
            table,
        })
    }

    /// Bytes of the file read so far.
    pub(in crate::data) fn bytes_read(&self) -> u64 {
        self.table.bytes_read()
    }

    /// The next answer; `None` after the last.
    ///
    /// # Errors
    /// Where a row cannot be cut, or its answer is none of the task's.
    pub(in crate::data) fn next_row(&mut self) -> Result<Option<Prediction>, DataError> {
        let Some(line) = self.table.next_record()? else {
            return Ok(None);
        };
        let text = |index| self.table.value(line, index).map(str::to_owned);
        let at = |fault: PredictionFault| fault.at(Place::new(&self.path, line));
        let key = match self.key {
            KeyColumns::Text(first, second) => {
                PredictionKey::Text(text(first)?, second.map(text).transpose()?)
            }
            KeyColumns::Id(id) => PredictionKey::Id(text(id)?.trim().to_owned()),
        };
        let is_literal =
            self.table.object().is_none() && self.table.dialect().quoting == Quoting::None;
        Ok(Some(Prediction {
            line,
            unquoted: key.unquoted().filter(|_| is_literal),
            key,
            answer: self.answer(line)?.map_err(at)?,
        }))
    }

    fn answer(&self, line: u64) -> Result<Result<Vec<f32>, PredictionFault>, DataError> {
        Ok(match &self.form {
            Form::Probabilities(columns) => {
                let fields = columns.iter().map(|&index| self.table.field(line, index));
                let fields: Vec<&str> = fields.collect::<Result<_, _>>()?;
                let names = self.labels.names();
                let parsed = fields.iter().zip(names).map(|(field, name)| {
                    let number = field.trim().parse().ok();
                    number.ok_or_else(|| PredictionFault::number(name, field))
                });
                let numbers: Result<Vec<f64>, _> = parsed.collect();
                numbers.and_then(|numbers| self.logarithms(&numbers))
            }
            Form::List(column) => self
                .listed(self.table.field(line, *column)?)
                .and_then(|numbers| self.logarithms(&numbers)),
            Form::Class(column) => self.class(self.table.field(line, *column)?.trim()),
            Form::Value(column) => {
                let field = self.table.field(line, *column)?.trim();
                let value = field.parse().ok().filter(|value: &f32| value.is_finite());
                value
                    .map(|value| vec![value])
                    .ok_or_else(|| PredictionFault::Value(field.to_owned()))
            }
        })
    }

    /// Probabilities as an object by class, or as a list in the order of the classes.
    fn listed(&self, field: &str) -> Result<Vec<f64>, PredictionFault> {
        let names = self.labels.names();
        let number = |(name, value): (&String, &Value)| {
            let number = value.as_f64();
            number.ok_or_else(|| PredictionFault::number(name, &value.to_string()))
        };
        match serde_json::from_str(field) {
            Ok(Value::Array(list)) if list.len() == names.len() => {
                names.iter().zip(&list).map(number).collect()
            }
            Ok(Value::Array(list)) => Err(PredictionFault::Count {
                found: list.len(),
                classes: names.len(),
            }),
            Ok(Value::Object(object)) => {
                let classes = |key: &String| class_of(&self.labels, key);
                if let Some(key) = object.keys().find(|key| classes(key).is_none()) {
                    return Err(PredictionFault::class(key, &self.labels));
                }
                let of_class = |class: usize| {
                    let mut entries = object.iter();
                    let entry = entries.find(|(key, _)| classes(key) == Some(class));
                    let missing = || PredictionFault::NoProbability(names[class].clone());
                    number((&names[class], entry.ok_or_else(missing)?.1))
                };
                (0..names.len()).map(of_class).collect()
            }
            _ => Err(PredictionFault::List(field.to_owned())),
        }
    }

    /// The logarithms of probabilities. They are rounded once, and 0 has one too: minus infinity.
    #[expect(clippy::cast_possible_truncation, reason = "rounded to fp32")]
    fn logarithms(&self, numbers: &[f64]) -> Result<Vec<f32>, PredictionFault> {
        let names = self.labels.names().iter();
        let is_wrong = |number: f64| !number.is_finite() || number < 0.0;
        if let Some((number, name)) = numbers.iter().zip(names).find(|(it, _)| is_wrong(**it)) {
            return Err(PredictionFault::number(name, &number.to_string()));
        }
        let sum: f64 = numbers.iter().sum();
        if (sum - 1.0).abs() > TOLERANCE {
            return Err(PredictionFault::Sum(sum));
        }
        Ok(numbers.iter().map(|number| number.ln() as f32).collect())
    }

    /// A class that is certain.
    fn class(&self, word: &str) -> Result<Vec<f32>, PredictionFault> {
        let Some(class) = class_of(&self.labels, word) else {
            return Err(PredictionFault::class(word, &self.labels));
        };
        let certain = |other| {
            if other == class {
                0.0
            } else {
                f32::NEG_INFINITY
            }
        };
        Ok((0..self.labels.names().len()).map(certain).collect())
    }
}

/// A class as the task's tables spell it, by its name, or by its number from 0.
fn class_of(labels: &LabelSet, word: &str) -> Option<usize> {
    let by_name = || labels.names().iter().position(|name| name == word);
    let by_number = || word.parse().ok().filter(|it| *it < labels.names().len());
    labels.class(word).or_else(by_name).or_else(by_number)
}

#[cfg(test)]
mod tests;
