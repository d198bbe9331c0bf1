//! A first look at a table of the user's: which column is the text, which the label.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord};

use super::error::DataError;

/// Rows that are looked at.
const ROWS: usize = 100_000;

/// Different values of a column that are counted; a column with more is text or a key.
const MOST_VALUES: usize = 1000;

/// Most classes that a label is taken to have.
const MOST_CLASSES: usize = 50;

/// Names that say what a column is.
const TEXT_NAMES: [&str; 12] = [
    "text",
    "sentence",
    "review",
    "message",
    "comment",
    "content",
    "body",
    "document",
    "question",
    "title",
    "sentence1",
    "premise",
];
const PAIR_NAMES: [&str; 6] = [
    "sentence2",
    "text2",
    "hypothesis",
    "question2",
    "answer",
    "pair",
];
const LABEL_NAMES: [&str; 10] = [
    "label",
    "labels",
    "class",
    "category",
    "sentiment",
    "target",
    "team",
    "topic",
    "score",
    "rating",
];

/// What a table looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct Survey {
    /// Names of all columns.
    pub columns: Vec<String>,
    /// Whether it is cut by commas, else by tabs.
    pub is_csv: bool,
    /// Rows looked at.
    pub rows: u64,
    /// Whether there are more.
    pub is_part: bool,
    /// Column of the text.
    pub text: String,
    /// Column of a second text.
    pub pair: Option<String>,
    /// Column of the label.
    pub label: String,
    /// Classes and their rows; empty for a regression.
    pub classes: BTreeMap<String, u64>,
    /// Words of the text (of both of a pair) that 99 of 100 rows do not exceed.
    pub words: usize,
}

/// Why a table cannot be guessed at.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// It cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// It cannot be cut into rows.
    #[error("`{path}` cannot be read as a table: {message}")]
    Table {
        /// Its path.
        path: String,
        /// What is wrong.
        message: String,
    },
    /// No column is a label, or none a text.
    #[error("`{path}` has no column that looks like a {what}; it has {columns}")]
    NoColumn {
        /// Its path.
        path: String,
        /// `label` or `text`.
        what: &'static str,
        /// All names.
        columns: String,
    },
}

/// What a column holds.
#[derive(Debug, Default)]
struct Column {
    values: BTreeMap<String, u64>,
    /// More than [`MOST_VALUES`].
    is_wide: bool,
    words: Vec<usize>,
    is_number: bool,
}

impl Column {
    fn mean_words(&self) -> f64 {
        self.words.iter().sum::<usize>() as f64 / self.words.len().max(1) as f64
    }

    /// A handful of values that come back.
    fn is_classes(&self) -> bool {
        let classes = self.values.len();
        !self.is_wide
            && (2..=MOST_CLASSES).contains(&classes)
            && self.mean_words() < 5.0
            && classes * 2 <= self.words.len()
    }

    fn is_scale(&self) -> bool {
        self.is_number && (self.is_wide || self.values.len() > MOST_CLASSES)
    }
}

/// Looks at the header and the first rows of a table.
///
/// # Errors
/// [`SurveyError`] with the path.
pub fn survey(path: &Path) -> Result<Survey, SurveyError> {
    let shown = path.display().to_string();
    let is_csv = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    let fault = |error: &csv::Error| SurveyError::Table {
        path: shown.clone(),
        message: error.to_string(),
    };
    let file = File::open(path).map_err(|error| SurveyError::Table {
        path: shown.clone(),
        message: error.to_string(),
    })?;
    let mut reader = ReaderBuilder::new()
        .delimiter(if is_csv { b',' } else { b'\t' })
        .quoting(is_csv)
        .flexible(true)
        .from_reader(file);
    let header = reader.headers().map_err(|error| fault(&error))?;
    let columns: Vec<String> = header
        .iter()
        .map(|name| name.trim_start_matches('\u{feff}').to_owned())
        .collect();
    let mut found: Vec<Column> = columns
        .iter()
        .map(|_| Column {
            is_number: true,
            ..Column::default()
        })
        .collect();
    let mut rows = 0;
    let mut record = StringRecord::new();
    let mut is_part = false;
    while reader
        .read_record(&mut record)
        .map_err(|error| fault(&error))?
    {
        if rows == ROWS {
            is_part = true;
            break;
        }
        rows += 1;
        for (column, value) in found.iter_mut().zip(record.iter()) {
            column.words.push(value.split_whitespace().count());
            column.is_number &= value.trim().parse::<f64>().is_ok();
            if !column.is_wide {
                *column.values.entry(value.to_owned()).or_default() += 1;
                column.is_wide = column.values.len() > MOST_VALUES;
            }
        }
    }
    let named = |names: &[&str], fits: &dyn Fn(usize) -> bool| {
        let mut names = names.iter();
        names.find_map(|name| {
            let mut places = 0..columns.len();
            places.find(|&place| columns[place].eq_ignore_ascii_case(name) && fits(place))
        })
    };
    let missing = |what| SurveyError::NoColumn {
        path: shown.clone(),
        what,
        columns: format!("`{}`", columns.join("`, `")),
    };
    let is_label = |place: usize| found[place].is_classes() || found[place].is_scale();
    let label = named(&LABEL_NAMES, &is_label)
        // The last one: tables end in what is to be told.
        .or_else(|| {
            (0..columns.len())
                .rev()
                .find(|&place| found[place].is_classes())
        })
        .ok_or_else(|| missing("label"))?;
    let is_text = |place: usize| place != label && !found[place].is_number;
    let longest = || {
        let places = (0..columns.len()).filter(|&place| is_text(place));
        places.max_by(|&a, &b| found[a].mean_words().total_cmp(&found[b].mean_words()))
    };
    let text = named(&TEXT_NAMES, &is_text)
        .or_else(longest)
        .ok_or_else(|| missing("text"))?;
    let pair = named(&PAIR_NAMES, &|place| is_text(place) && place != text);
    let mut words: Vec<usize> = match pair {
        Some(pair) => {
            let both = found[text].words.iter().zip(&found[pair].words);
            both.map(|(a, b)| a + b).collect()
        }
        None => found[text].words.clone(),
    };
    words.sort_unstable();
    let most = words.get(words.len().saturating_sub(1) * 99 / 100);
    let classes = if found[label].is_scale() {
        BTreeMap::new()
    } else {
        std::mem::take(&mut found[label].values)
    };
    Ok(Survey {
        is_csv,
        rows: rows as u64,
        is_part,
        text: columns[text].clone(),
        pair: pair.map(|pair| columns[pair].clone()),
        label: columns[label].clone(),
        classes,
        words: most.copied().unwrap_or(0),
        columns,
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn look(name: &str, content: &str) -> Result<Survey, SurveyError> {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        survey(&path)
    }

    #[test]
    fn text_and_label_are_found_by_what_they_hold_where_names_say_nothing() {
        let mut table = "id,who,what,kind\n".to_owned();
        for row in 0..20 {
            let kind = ["spam", "ham"][row % 2];
            let _ = writeln!(
                table,
                "{row},bob,\"a message, number {row}, of some words\",{kind}"
            );
        }
        let found = look("x.csv", &table).expect("a table");
        assert_eq!(
            (found.text.as_str(), found.label.as_str()),
            ("what", "kind")
        );
        assert_eq!(found.pair, None);
        let classes = BTreeMap::from([("ham".to_owned(), 10), ("spam".to_owned(), 10)]);
        assert_eq!((found.rows, found.classes), (20, classes));
        assert_eq!(found.words, 7);
    }

    #[test]
    fn a_scale_is_a_regression_and_a_named_pair_a_pair() {
        let mut table = "sentence1\tsentence2\tscore\n".to_owned();
        for row in 0..120 {
            let _ = writeln!(table, "a \"b\" {row}\tc d\t{}", f64::from(row) / 7.0);
        }
        let found = look("x.tsv", &table).expect("a table");
        assert_eq!(found.pair.as_deref(), Some("sentence2"));
        assert!(found.classes.is_empty());
        assert_eq!((found.label.as_str(), found.words), ("score", 5));
    }

    #[test]
    fn a_table_without_a_label_is_refused_with_its_columns() {
        let error = look("x.csv", "a,b\n1,one\n2,two\n").expect_err("no label");
        let text = error.to_string();
        assert!(
            text.ends_with("looks like a label; it has `a`, `b`"),
            "{text}"
        );
    }
}
