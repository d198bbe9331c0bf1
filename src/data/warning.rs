//! What is odd about a user's data and stops nothing.

use std::collections::BTreeMap;
use std::fmt;

use super::error::Place;
use super::hint::is_missing_value;
use crate::input::{excerpt, excerpt_list};

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

impl fmt::Display for DataWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlikeLabels { labels } => {
                let labels = labels.iter().take(5);
                let labels: Vec<String> = labels
                    .map(|(label, rows)| format!("`{}` ({})", excerpt(label), rows_of(*rows)))
                    .collect();
                let labels = labels.join(", ");
                write!(
                    f,
                    "labels {labels} look like one class but are separate classes"
                )
            }
            Self::SingleRows { labels } => {
                let (number, noun) = classes(labels.len());
                let verb = has(labels.len() as u64);
                write!(
                    f,
                    "{number} {noun} {verb} only one row: {}",
                    excerpt_list(labels)
                )
            }
            Self::MissingValue { label, rows } => write!(
                f,
                "{} with the label `{}`, which looks like a missing value but is a class",
                rows_of(*rows),
                excerpt(label)
            ),
            Self::Absent { labels, split } => f.write_str(&absent(labels, split)),
            Self::SingleClass { split, label } => write!(
                f,
                "every row of {split} has the label `{}`: a model that always predicts it scores 1.0",
                excerpt(label)
            ),
            Self::RowsLimited { split, rows } => write!(
                f,
                "{split} has more records than `numRows` of the schema: only the first {rows} are read"
            ),
            Self::OneShard { split } => write!(
                f,
                "{split} is one of several shards, and only this one is read; name the folder to read all"
            ),
            Self::NoTokens {
                rows,
                of,
                first,
                is_half,
            } => {
                let what = if *is_half {
                    "one text of the pair"
                } else {
                    "a text"
                };
                write!(
                    f,
                    "{} of {of} {} {what} without tokens, such as `{first}`",
                    rows_of(*rows),
                    has(*rows)
                )
            }
            Self::OnlyUnknown { rows, of, first } => write!(
                f,
                "{} of {of} {} only unknown tokens, such as `{first}`: a model cannot tell them apart",
                rows_of(*rows),
                has(*rows)
            ),
            Self::UnknownTokens { percent } => write!(
                f,
                "{percent} % of the tokens are unknown to the tokenizer: its vocabulary does not fit the texts"
            ),
            Self::Repeated {
                rows,
                of,
                contradicting,
                first,
            } => {
                let verb = if *rows == 1 { "repeats" } else { "repeat" };
                let others = match contradicting {
                    0 => String::new(),
                    more => format!(", {more} with another label"),
                };
                write!(
                    f,
                    "{} of {of} in train {verb} the text of an earlier one{others}, such as `{first}`",
                    rows_of(*rows)
                )
            }
            Self::OtherTokens { rows, of, first } => write!(
                f,
                "the student's own tokenizer splits {rows} of {of} rows into other tokens than the \
                 teacher's, such as `{first}`: they contain the name of a special token"
            ),
            Self::SpacedLabels { rows } => write!(
                f,
                "{} {} spaces around the label; they are removed",
                rows_of(*rows),
                has(*rows)
            ),
            Self::HeaderLikeRow { place, name } => write!(
                f,
                "the header `{place}` looks like a row (`{}`): is the header missing?",
                excerpt(name)
            ),
            Self::QuotesKept { rows, first } => write!(
                f,
                "{} {} a field in double quotes that are kept as text, such as `{first}`; \
                 if they are CSV quoting, set `quoting = \"quotes\"` in `[task]`",
                rows_of(*rows),
                has(*rows)
            ),
        }
    }
}

fn absent(labels: &[String], split: &str) -> String {
    let (number, noun) = classes(labels.len());
    let (verb, them) = if number == 1 {
        ("has", "it")
    } else {
        ("have", "them")
    };
    let what_follows = if split == "train" {
        format!("a model cannot learn {them}")
    } else {
        format!("scores on {split} do not measure {them}")
    };
    let labels = excerpt_list(labels);
    format!("{number} {noun} {verb} no rows in {split}: {labels}; {what_follows}")
}

fn has(number: u64) -> &'static str {
    if number == 1 { "has" } else { "have" }
}

fn rows_of(rows: u64) -> String {
    format!("{rows} row{}", if rows == 1 { "" } else { "s" })
}

fn classes(number: usize) -> (usize, &'static str) {
    (number, if number == 1 { "class" } else { "classes" })
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
