//! A first look at a table of the user's: which column is the text, which the label.

mod length;

use std::collections::BTreeMap;
use std::path::Path;

use self::length::tokens_of;
use super::error::{DataError, Place};
use super::labels::{LabelSet, MAX_LABELS};
use super::prepare::ENOUGH_ROWS;
use super::settings::Settings;
use super::table::{Dialect, DialectRule, Table, TableLayout};
use super::warning::{DataWarning, label_warnings};
use crate::input::{excerpt, excerpt_list, excerpt_path};

pub use self::length::estimated_tokens;

/// Rows that are read.
const ROWS: usize = 100_000;

/// Most classes of a column whose name says nothing.
const MOST_CLASSES: usize = 50;

/// Different numbers from which on a column is a scale, unless its name says that it has classes.
const SCALE_VALUES: usize = 50;

/// Different fractions from which on it is one whatever its name.
const SCALE_FRACTIONS: usize = 10;

/// Names of two columns that are a pair of texts, in a form without case and signs.
const PAIRS: [(&str, &str); 16] = [
    ("sentence1", "sentence2"),
    ("text1", "text2"),
    ("texta", "textb"),
    ("sentencea", "sentenceb"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("question", "passage"),
    ("question", "context"),
    ("question", "answer"),
    ("query", "passage"),
    ("query", "document"),
    ("query", "text"),
    ("claim", "evidence"),
    ("text", "text2"),
    ("text", "pair"),
];

/// Names that say that a column is the text.
const TEXT_NAMES: [&str; 18] = [
    "text",
    "sentence",
    "review",
    "message",
    "comment",
    "content",
    "body",
    "document",
    "utterance",
    "tweet",
    "query",
    "question",
    "description",
    "title",
    "sentence1",
    "premise",
    "input",
    "sms",
];

/// Names that say that a column holds classes, whatever their number.
const LABEL_NAMES: [&str; 21] = [
    "label",
    "labels",
    "class",
    "classes",
    "category",
    "categories",
    "intent",
    "target",
    "sentiment",
    "emotion",
    "polarity",
    "goldlabel",
    "labelname",
    "labeltext",
    "classname",
    "team",
    "topic",
    "tag",
    "y",
    "output",
    "airlinesentiment",
];

/// Names that say that a column holds classes or a scale.
const SCORE_NAMES: [&str; 6] = [
    "score",
    "rating",
    "stars",
    "similarity",
    "relevance",
    "grade",
];

/// Names of columns that are neither.
const KEY_NAMES: [&str; 8] = ["id", "idx", "index", "guid", "uuid", "rowid", "row", "no"];

/// What a user says of a table; the rest is found.
#[derive(Debug, Clone, Copy, Default)]
pub struct Given<'a> {
    /// How it is cut.
    pub dialect: DialectRule,
    /// Its columns.
    pub columns: Columns<'a>,
}

/// The columns that a user names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Columns<'a> {
    /// Of the text.
    pub text: Option<&'a str>,
    /// Of the second text.
    pub pair: Option<&'a str>,
    /// Of the label.
    pub label: Option<&'a str>,
}

/// What a table looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// Names of all columns.
    pub columns: Vec<String>,
    /// How it is cut.
    pub dialect: Dialect,
    /// How its ending says that it is cut.
    pub standard: Dialect,
    /// How the user says that it is cut.
    pub given: DialectRule,
    /// Rows read.
    pub rows: u64,
    /// Whether there are more.
    pub is_part: bool,
    /// Column of the text.
    pub text: String,
    /// Column of a second text.
    pub pair: Option<String>,
    /// Column of the label.
    pub label: String,
    /// Classes in their order and their rows; empty for a regression.
    pub classes: Vec<(String, u64)>,
    /// Tokens of the text (of both of a pair) that 99 of 100 rows do not exceed, without special tokens.
    pub tokens: usize,
    /// What is odd about it.
    pub warnings: Vec<DataWarning>,
}

/// Why the columns of a table are not known.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// It cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// No column is a label, or none a text.
    #[error(
        "`{path}` has no column that looks like {what}; its columns are {}",
        excerpt_list(columns)
    )]
    NoColumn {
        /// Its path.
        path: String,
        /// `a label` or `a text`.
        what: &'static str,
        /// The option that names it.
        option: &'static str,
        /// All names.
        columns: Vec<String>,
    },
    /// One column twice.
    #[error("column `{}` cannot be both {first} and {second}", excerpt(column))]
    SameColumn {
        /// Its name.
        column: String,
        /// `the text`.
        first: &'static str,
        /// `the label`.
        second: &'static str,
    },
}

impl SurveyError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Data(error) => error.hint_for(Settings::Options),
            Self::NoColumn { columns, .. } if columns.len() == 1 => Some(format!(
                "the header is read as one column: {}",
                Settings::Options.one_column()
            )),
            Self::NoColumn { option, .. } => Some(format!("name it with `{option} COLUMN`")),
            Self::SameColumn { .. } => None,
        }
    }
}

/// What a column holds.
#[derive(Debug)]
struct Column {
    /// A name without case and signs.
    key: String,
    values: BTreeMap<String, u64>,
    /// More values than a classification has.
    is_wide: bool,
    rows: u64,
    words: u64,
    is_number: bool,
    has_fractions: bool,
}

impl Column {
    fn new(name: &str) -> Self {
        let letters = name.chars().filter(|letter| letter.is_alphanumeric());
        Self {
            key: letters.flat_map(char::to_lowercase).collect(),
            values: BTreeMap::new(),
            is_wide: false,
            rows: 0,
            words: 0,
            is_number: true,
            has_fractions: false,
        }
    }

    fn add(&mut self, value: &str) {
        let value = value.trim();
        self.rows += 1;
        self.words += value.split_whitespace().count() as u64;
        if self.is_number && !value.is_empty() {
            let number = value.parse::<f64>().ok();
            self.is_number = number.is_some();
            self.has_fractions |= number.is_some_and(|number| number.fract() != 0.0);
        }
        if self.is_wide {
            return;
        }
        if let Some(rows) = self.values.get_mut(value) {
            *rows += 1;
        } else {
            self.values.insert(value.to_owned(), 1);
            self.is_wide = self.values.len() > MAX_LABELS;
        }
    }

    fn mean_words(&self) -> f64 {
        self.words as f64 / self.rows.max(1) as f64
    }

    fn is_named(&self, names: &[&str]) -> bool {
        names.contains(&self.key.as_str())
    }

    /// A handful of values that come back, whatever the column is called.
    fn is_classes(&self) -> bool {
        let classes = self.values.len();
        !self.is_wide
            && (2..=MOST_CLASSES).contains(&classes)
            && self.mean_words() < 5.0
            && classes as u64 * 2 <= self.rows
    }

    /// Numbers that are no names of classes.
    fn is_scale(&self) -> bool {
        let values = self.values.len();
        let most = if self.is_named(&LABEL_NAMES) {
            MAX_LABELS
        } else {
            SCALE_VALUES
        };
        self.is_number
            && (self.is_wide || values > most || self.has_fractions && values > SCALE_FRACTIONS)
    }

    fn is_text(&self) -> bool {
        !self.is_number && self.words > 0 && !self.is_key()
    }

    fn is_key(&self) -> bool {
        self.key.is_empty() || self.is_named(&KEY_NAMES) || self.key.starts_with("unnamed")
    }
}

/// Reads the header and the first rows of a table. `count` gives the tokens of a text.
///
/// # Errors
/// [`SurveyError`] with the path.
pub fn survey(
    path: &Path,
    given: Given<'_>,
    count: &dyn Fn(&str) -> usize,
) -> Result<Survey, SurveyError> {
    let Given {
        dialect: rule,
        columns: named,
    } = given;
    let wanted: Vec<&str> = [named.text, named.pair, named.label]
        .into_iter()
        .flatten()
        .collect();
    let mut table = Table::open(path, rule, None, &wanted)?;
    let mut columns: Vec<Column> = table.names().iter().map(|name| Column::new(name)).collect();
    let (mut rows, mut is_part) = (0, false);
    while let Some(line) = table.next_record()? {
        if rows == ROWS {
            is_part = true;
            break;
        }
        rows += 1;
        for (index, column) in columns.iter_mut().enumerate() {
            column.add(table.field(line, index)?);
        }
    }
    if rows == 0 {
        return Err(DataError::NoRows {
            paths: vec![excerpt_path(path)],
            what: "rows below the header",
        }
        .into());
    }
    let choice = choose(path, &table, &columns, named)?;
    let label = &columns[choice.label];
    check_label(path, label, &table.names()[choice.label])?;
    let classes = classes_of(label);
    let mut warnings = header_warnings(path, &table, &columns);
    if !classes.is_empty() {
        warnings.extend(label_warnings(
            classes.iter().map(|(name, rows)| (name.as_str(), *rows)),
        ));
    }
    let name = |index: usize| table.names()[index].clone();
    let layout = TableLayout {
        dialect: rule,
        text: name(choice.text),
        pair: choice.pair.map(name),
        label: name(choice.label),
        columns: None,
        skip_short: false,
    };
    let (tokens, without) = tokens_of(path, &layout, count)?;
    warnings.extend(without);
    Ok(Survey {
        dialect: table.dialect(),
        standard: Dialect::standard(rule.is_csv(path)),
        given: rule,
        rows: rows as u64,
        is_part,
        text: layout.text,
        pair: layout.pair,
        label: layout.label,
        classes,
        tokens,
        warnings,
        columns: table.names().to_vec(),
    })
}

/// Places of the columns.
struct Choice {
    text: usize,
    pair: Option<usize>,
    label: usize,
}

fn choose(
    path: &Path,
    table: &Table,
    columns: &[Column],
    given: Columns<'_>,
) -> Result<Choice, SurveyError> {
    let place = |name: &str| table.column(name).map_err(SurveyError::from);
    let missing = |what, option| SurveyError::NoColumn {
        path: excerpt_path(path),
        what,
        option,
        columns: table.names().to_vec(),
    };
    let given_text = given.text.map(place).transpose()?;
    let given_pair = given.pair.map(place).transpose()?;
    let is_free = |index: usize| Some(index) != given_text && Some(index) != given_pair;
    let label = match given.label {
        Some(name) => place(name)?,
        None => find_label(columns, &is_free).ok_or_else(|| missing("a label", "--label"))?,
    };
    let is_text = |index: usize| index != label && columns[index].is_text();
    let (text, pair) = match (given_text, given_pair) {
        (Some(text), pair) => (text, pair),
        (None, pair) => {
            let fits = |index: usize| is_text(index) && Some(index) != pair;
            let found = find_pair(columns, &fits).filter(|_| pair.is_none());
            let (text, second) = match found {
                Some((text, second)) => (Some(text), Some(second)),
                None => (find_text(columns, &fits), pair),
            };
            (text.ok_or_else(|| missing("a text", "--text"))?, second)
        }
    };
    let same = |index: usize, first, second| SurveyError::SameColumn {
        column: table.names()[index].clone(),
        first,
        second,
    };
    if text == label {
        return Err(same(text, "the text", "the label"));
    }
    match pair {
        Some(pair) if pair == label => Err(same(pair, "the second text", "the label")),
        Some(pair) if pair == text => Err(same(pair, "the text", "the second text")),
        _ => Ok(Choice { text, pair, label }),
    }
}

fn find_label(columns: &[Column], is_free: &dyn Fn(usize) -> bool) -> Option<usize> {
    let named = |names: &[&str], fits: &dyn Fn(&Column) -> bool| {
        names.iter().find_map(|name| {
            let mut places = 0..columns.len();
            places.find(|&index| {
                is_free(index) && columns[index].key == *name && fits(&columns[index])
            })
        })
    };
    named(&LABEL_NAMES, &|column| column.values.len() > 1)
        .or_else(|| {
            named(&SCORE_NAMES, &|column| {
                column.is_classes() || column.is_scale()
            })
        })
        // Tables end in their label.
        .or_else(|| {
            (0..columns.len()).rev().find(|&index| {
                is_free(index) && columns[index].is_classes() && !columns[index].is_key()
            })
        })
}

fn find_pair(columns: &[Column], fits: &dyn Fn(usize) -> bool) -> Option<(usize, usize)> {
    let place =
        |name: &str| (0..columns.len()).find(|&index| columns[index].key == name && fits(index));
    PAIRS
        .iter()
        .find_map(|(first, second)| Some((place(first)?, place(second)?)))
}

fn find_text(columns: &[Column], fits: &dyn Fn(usize) -> bool) -> Option<usize> {
    let place =
        |name: &&str| (0..columns.len()).find(|&index| columns[index].key == *name && fits(index));
    TEXT_NAMES.iter().find_map(place).or_else(|| {
        let places = (0..columns.len()).filter(|&index| fits(index));
        // The first of equal ones.
        places
            .rev()
            .max_by(|&a, &b| columns[a].mean_words().total_cmp(&columns[b].mean_words()))
    })
}

/// Refuses a label that training would refuse.
fn check_label(path: &Path, label: &Column, name: &str) -> Result<(), SurveyError> {
    if label.is_scale() {
        return Ok(());
    }
    let (path, column) = (path.to_owned(), name.to_owned());
    let error = if label.is_wide {
        DataError::LabelsMany {
            path,
            column,
            limit: MAX_LABELS,
        }
    } else if label.values.len() as u64 == label.rows && label.rows >= ENOUGH_ROWS {
        DataError::LabelsDiffer {
            path,
            column,
            rows: label.rows,
        }
    } else if label.values.len() < 2 {
        let label = label.values.keys().next().cloned().unwrap_or_default();
        DataError::LabelSingle { path, label }
    } else {
        return Ok(());
    };
    Err(error.into())
}

/// Classes in the order that training gives them.
fn classes_of(label: &Column) -> Vec<(String, u64)> {
    if label.is_scale() {
        return Vec::new();
    }
    let found = label.values.keys().filter(|name| !name.is_empty()).cloned();
    let names = LabelSet::sorted(found.collect());
    let names = names.names().iter();
    names
        .map(|name| (name.clone(), label.values[name]))
        .collect()
}

/// A header of which a name is a value of its column, a number, or as long as a text.
fn header_warnings(path: &Path, table: &Table, columns: &[Column]) -> Vec<DataWarning> {
    let is_value = |(name, column): &(&String, &Column)| {
        !name.is_empty()
            && (column.is_classes() && column.values.contains_key(name.as_str())
                || name.parse::<f64>().is_ok()
                || name.split_whitespace().count() > 7
                || name.chars().count() > 60)
    };
    let found = table.names().iter().zip(columns).find(is_value);
    let warning = found.map(|(name, _)| DataWarning::HeaderLikeRow {
        place: Place::new(path, table.header_line()),
        name: name.clone(),
    });
    warning.into_iter().collect()
}

#[cfg(test)]
mod tests;
