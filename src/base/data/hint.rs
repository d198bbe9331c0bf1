//! What to do about a fault of a user's data.

use super::error::DataError;
use super::settings::Settings;
use super::table::{Dialect, Quoting};
use crate::input::excerpt;
use crate::system::advice;

impl DataError {
    /// What to do about it in an experiment file.
    pub fn hint(&self) -> Option<String> {
        self.hint_for(Settings::File)
    }

    /// What to do about it, for who sets something there.
    pub fn hint_for(&self, settings: Settings) -> Option<String> {
        Some(match self {
            Self::Format { fault, .. }
            | Self::Record { fault, .. }
            | Self::RecordFile { fault, .. } => return fault.hint(settings),
            Self::UnlabelledPairs { .. } => {
                "name a table with both columns (`.csv`, `.tsv`, `.jsonl`)".to_owned()
            }
            Self::Unanswered { .. } => {
                "add predictions for these texts, as they are written in the table; if texts of `unlabelled` have none, set `unlabelled-limit = 0` in the stage".to_owned()
            }
            Self::UnlabelledHeader { .. } => {
                "for a table, rename it to end in `.csv`, `.tsv` or `.jsonl`; for plain text, remove the line".to_owned()
            }
            Self::OneDocument { .. } => {
                "separate documents by a blank line, or set `windows = \"packed\"`".to_owned()
            }
            Self::ColumnMissing {
                column,
                there,
                is_given,
                ..
            } => return hint_for_column(column, there, *is_given, settings),
            // A comma in a text is not what is wrong where the header has no comma.
            Self::Columns { expected: 1, .. } => format!(
                "the header is read as one column: {}",
                settings.one_column()
            ),
            Self::Columns {
                found,
                expected,
                dialect,
                ..
            } => return hint_for_columns(*found > *expected, *dialect, settings),
            Self::ColumnsOfTask { .. } => {
                "for tables of another layout set `name = \"custom\"` in `[task]`".to_owned()
            }
            Self::Foreign { path, found, .. } => return found.hint(path),
            Self::LabelIsText { .. } => {
                "set `label` in `[task]` to the column of the labels".to_owned()
            }
            Self::LabelUnknown { label, allowed, .. } => return nearest(label, allowed),
            Self::LabelUnseen { label, found, .. } => nearest(label, found)
                .unwrap_or_else(|| "list every class in `labels` in `[task]`".to_owned()),
            Self::LabelNoNumber { label, .. } if is_missing_value(label) => {
                "remove rows without a value".to_owned()
            }
            Self::LabelNoNumber { .. } => {
                "a regression needs numbers: check `label` in `[task]`, or set `regression = false`"
                    .to_owned()
            }
            Self::LabelSingle { .. } => {
                "a classification needs at least two labels in its training table".to_owned()
            }
            Self::LabelsDiffer { column, .. } => format!(
                "check that `{}` is the column of the labels, not of an identifier or a text{}",
                excerpt(column),
                match settings {
                    Settings::File | Settings::Columns => "",
                    Settings::Options => "; name another with `--label COLUMN`",
                }
            ),
            Self::LabelsMany { column, .. } => format!(
                "check that `{}` is the column of the labels; {}",
                excerpt(column),
                match settings {
                    Settings::File => "for numbers on a scale set `regression = true`",
                    Settings::Options | Settings::Columns => "name another with `--label COLUMN`",
                }
            ),
            Self::Long { .. } => {
                "a table has one example per row, and a corpus one paragraph per line".to_owned()
            }
            Self::SplitEmpty { .. } => "add rows or change the fraction".to_owned(),
            Self::Store(error) => return error.hint(),
            Self::TokenizerForeign { path, foreign } => return foreign.hint(path),
            Self::TokenizerRefused { hint, .. } => return hint.map(str::to_owned),
            Self::TokenizerLarge { .. } | Self::VocabularySize { .. } => {
                "tokenizer and weights must come from the same model".to_owned()
            }
            Self::Io { source, .. } | Self::Write { source, .. } => return advice(source),
            _ => return None,
        })
    }
}

/// Whether a label stands for a value that is not there.
pub(super) fn is_missing_value(label: &str) -> bool {
    const WORDS: [&str; 9] = [
        "nan",
        "none",
        "null",
        "nil",
        "na",
        "n/a",
        "#n/a",
        "<na>",
        "undefined",
    ];
    let label = label.to_lowercase();
    WORDS.contains(&label.as_str())
}

fn hint_for_column(
    column: &str,
    there: &[String],
    is_given: bool,
    settings: Settings,
) -> Option<String> {
    if let [only] = there
        && only.contains([',', '\t', ';', '|'])
    {
        let keys = "`format`, `delimiter` and `quoting` in `[task]`";
        return Some(match (settings, is_given) {
            (Settings::File, true) => {
                format!("check {keys}: the header is read as one column")
            }
            _ => format!(
                "the header is read as one column: {}",
                settings.one_column()
            ),
        });
    }
    let is_text =
        |name: &String| name.split_whitespace().count() > 4 || name.parse::<f64>().is_ok();
    nearest(column, there).or_else(|| {
        let is_row = there.iter().any(is_text);
        if is_row {
            let header = "if the table has no header, add a first line that names its columns";
            return Some(header.to_owned());
        }
        let name = "name the column with the text with `--text COLUMN`";
        (settings == Settings::Columns).then(|| name.to_owned())
    })
}

fn hint_for_columns(is_long: bool, dialect: Dialect, settings: Settings) -> Option<String> {
    let name = match dialect.delimiter {
        b',' => "comma".to_owned(),
        b'\t' => "tab".to_owned(),
        b';' => "semicolon".to_owned(),
        other => format!("`{}`", char::from(other)),
    };
    match (dialect.quoting, is_long) {
        (Quoting::Quoted, true) => Some(format!(
            "put a text that contains a {name} in double quotes"
        )),
        (Quoting::None, _) => {
            let set = settings.set("quoting", "quotes")?;
            Some(format!("if its fields are in double quotes, {set}"))
        }
        (Quoting::Quoted, false) => None,
    }
}

/// "did you mean", where one of the names is close.
fn nearest(name: &str, there: &[String]) -> Option<String> {
    let lower = name.to_lowercase();
    there
        .iter()
        .map(|other| {
            let likeness = strsim::jaro_winkler(&lower, &other.to_lowercase());
            (likeness, other)
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, other)| format!("did you mean `{}`?", excerpt(other)))
}
