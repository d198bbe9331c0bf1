//! What is odd about a user's data and stops nothing.

mod text;

use std::collections::BTreeMap;

use super::error::Place;
use super::hint::is_missing_value;

/// Something that a user should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataWarning {
    /// Labels that differ in case, spaces, or the way that a number is written.
    AlikeLabels {
        /// The labels, each with its rows.
        labels: Vec<(String, u64)>,
    },
    /// Classes of one row.
    SingleRows {
        /// Their names.
        labels: Vec<String>,
    },
    /// A label that reads like a value that is not there.
    MissingValue {
        /// The label.
        label: String,
        /// Its rows.
        rows: u64,
    },
    /// Classes without a row in one of the splits.
    Absent {
        /// Their names.
        labels: Vec<String>,
        /// The split that lacks them.
        split: String,
    },
    /// All rows of dev are of one class.
    SingleClass {
        /// The split.
        split: String,
        /// The class.
        label: String,
    },
    /// The schema of records states fewer rows than there are.
    RowsLimited {
        /// `train` or another split.
        split: String,
        /// Rows that the schema states.
        rows: u64,
    },
    /// One shard of several that the user names by itself.
    OneShard {
        /// Its split.
        split: String,
    },
    /// Rows of whose text the tokenizer leaves nothing.
    NoTokens {
        /// Such rows.
        rows: u64,
        /// All rows.
        of: u64,
        /// The first of them.
        first: Place,
        /// Whether only one text of a pair is so.
        is_half: bool,
    },
    /// Rows whose every token is unknown: a model cannot tell them apart.
    OnlyUnknown {
        /// Such rows.
        rows: u64,
        /// All rows.
        of: u64,
        /// The first of them.
        first: Place,
    },
    /// Rows that the student's own tokenizer splits into other tokens than the one that cuts them for training.
    OtherTokens {
        /// Such rows.
        rows: u64,
        /// All rows.
        of: u64,
        /// The first of them.
        first: Place,
    },
    /// Most tokens are unknown.
    UnknownTokens {
        /// Percent of the tokens.
        percent: u64,
    },
    /// Training rows with the text of another.
    Repeated {
        /// Such rows.
        rows: u64,
        /// All rows.
        of: u64,
        /// Those of them with another label.
        contradicting: u64,
        /// The first of those, else of all.
        first: Place,
    },
    /// Labels with spaces around them.
    SpacedLabels {
        /// Such rows.
        rows: u64,
    },
    /// The header reads like a row.
    HeaderLikeRow {
        /// The header.
        place: Place,
        /// The name that no column has.
        name: String,
    },
    /// Fields that look quoted in a table that is read without quoting.
    QuotesKept {
        /// Such rows.
        rows: u64,
        /// The first of them.
        first: Place,
    },
}

/// What is odd about labels and their numbers of rows.
pub fn label_warnings<'a>(counts: impl IntoIterator<Item = (&'a str, u64)>) -> Vec<DataWarning> {
    let mut alike: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    let (mut single, mut warnings) = (Vec::new(), Vec::new());
    for (label, rows) in counts {
        let group = alike.entry(normal_form(label)).or_default();
        group.push((label.to_owned(), rows));
        if rows == 1 {
            single.push(label.to_owned());
        }
        if rows > 0 && is_missing_value(label) {
            let label = label.to_owned();
            warnings.push(DataWarning::MissingValue { label, rows });
        }
    }
    let groups = alike.into_values().filter(|group| group.len() > 1);
    warnings.extend(groups.map(|labels| DataWarning::AlikeLabels { labels }));
    if !single.is_empty() {
        warnings.push(DataWarning::SingleRows { labels: single });
    }
    warnings
}

/// A label without what people write in several ways: case, spaces, `_` and `-`, and `.0` of numbers.
fn normal_form(label: &str) -> String {
    // `+1` and `1` are the same, `-1` and `1` are not.
    if let Ok(number) = label.trim().parse::<f64>()
        && number.is_finite()
    {
        return (number + 0.0).to_string();
    }
    let words: Vec<String> = label
        .split(|letter: char| letter.is_whitespace() || "_-".contains(letter))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    if words.is_empty() {
        return label.to_owned();
    }
    words.join(" ")
}

#[cfg(test)]
mod tests;
