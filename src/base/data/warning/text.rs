//! The text of a warning.

use std::fmt;

use super::DataWarning;
use crate::data::error::Place;
use crate::input::{excerpt, excerpt_list};

impl fmt::Display for DataWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&match self {
            Self::AlikeLabels { labels } => alike(labels),
            Self::SingleRows { labels } => single_rows(labels),
            Self::MissingValue { label, rows } => missing_value(label, *rows),
            Self::Absent { labels, split } => absent(labels, split),
            Self::SingleClass { split, label } => {
                let label = excerpt(label);
                format!(
                    "every row of {split} has the label `{label}`: a model that always predicts \
                     it scores 1.0"
                )
            }
            Self::SpacedLabels { rows } => {
                format!("{} spaces around the label; they are removed", have(*rows))
            }
            Self::RowsLimited { split, rows } => format!(
                "{split} has more records than `numRows` of the schema: only the first {rows} \
                 are read"
            ),
            Self::OneShard { split } => format!(
                "{split} is one of several shards, and only this one is read; name the folder \
                 to read all"
            ),
            Self::HeaderLikeRow { place, name } => {
                let name = excerpt(name);
                format!("the header `{place}` looks like a row (`{name}`): is the header missing?")
            }
            Self::QuotesKept { rows, first } => quotes_kept(*rows, first),
            Self::NoTokens {
                rows,
                of,
                first,
                is_half,
            } => no_tokens((*rows, *of), first, *is_half),
            Self::OnlyUnknown { rows, of, first } => format!(
                "{} only unknown tokens, such as `{first}`: a model cannot tell them apart",
                have_of(*rows, *of)
            ),
            Self::UnknownTokens { percent } => format!(
                "{percent} % of the tokens are unknown to the tokenizer: its vocabulary does not \
                 fit the texts"
            ),
            Self::OtherTokens { rows, of, first } => format!(
                "the student's own tokenizer splits {rows} of {of} rows into other tokens than \
                 the teacher's, such as `{first}`: they contain the name of a special token"
            ),
            Self::Repeated {
                rows,
                of,
                contradicting,
                first,
            } => repeated((*rows, *of), *contradicting, first),
        })
    }
}

fn alike(labels: &[(String, u64)]) -> String {
    let labels = labels.iter().take(5);
    let labels: Vec<String> = labels
        .map(|(label, rows)| format!("`{}` ({})", excerpt(label), rows_of(*rows)))
        .collect();
    let labels = labels.join(", ");
    format!("labels {labels} look like one class but are separate classes")
}

fn single_rows(labels: &[String]) -> String {
    let (number, noun) = classes(labels.len());
    let (verb, labels) = (has(labels.len() as u64), excerpt_list(labels));
    format!("{number} {noun} {verb} only one row: {labels}")
}

fn missing_value(label: &str, rows: u64) -> String {
    let (rows, label) = (rows_of(rows), excerpt(label));
    format!("{rows} with the label `{label}`, which looks like a missing value but is a class")
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

fn quotes_kept(rows: u64, first: &Place) -> String {
    let rows = have(rows);
    format!(
        "{rows} a field in double quotes that are kept as text, such as `{first}`; \
         if they are CSV quoting, set `quoting = \"quotes\"` in `[task]`"
    )
}

fn no_tokens((rows, of): (u64, u64), first: &Place, is_half: bool) -> String {
    let what = if is_half {
        "one text of the pair"
    } else {
        "a text"
    };
    let rows = have_of(rows, of);
    format!("{rows} {what} without tokens, such as `{first}`")
}

fn repeated((rows, of): (u64, u64), contradicting: u64, first: &Place) -> String {
    let verb = if rows == 1 { "repeats" } else { "repeat" };
    let others = match contradicting {
        0 => String::new(),
        more => format!(", {more} with another label"),
    };
    let rows = rows_of(rows);
    format!("{rows} of {of} in train {verb} the text of an earlier one{others}, such as `{first}`")
}

fn has(number: u64) -> &'static str {
    if number == 1 { "has" } else { "have" }
}

fn have(rows: u64) -> String {
    format!("{} {}", rows_of(rows), has(rows))
}

fn have_of(rows: u64, of: u64) -> String {
    format!("{} of {of} {}", rows_of(rows), has(rows))
}

fn rows_of(rows: u64) -> String {
    format!("{rows} row{}", if rows == 1 { "" } else { "s" })
}

fn classes(number: usize) -> (usize, &'static str) {
    (number, if number == 1 { "class" } else { "classes" })
}
