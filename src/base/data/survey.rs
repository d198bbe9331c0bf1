//! A first look at a table of the user's: which column is the text, which the label.

mod choice;
mod column;
mod error;
mod label;
mod length;
mod names;

use std::path::Path;

use self::choice::choose;
use self::column::Column;
use self::label::{check_label, classes_of};
use self::length::tokens_of;
use super::error::{DataError, Place};
use super::table::{Dialect, DialectRule, Table, TableLayout};
use super::warning::{DataWarning, label_warnings};
use crate::input::excerpt_path;

pub use self::error::SurveyError;
pub use self::length::estimated_tokens;

/// Rows that are read.
const ROWS: usize = 100_000;

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
    let FirstRows {
        columns,
        rows,
        is_part,
    } = read_rows(path, &mut table)?;
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
        rows,
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

/// What the first rows of a table hold, by column.
struct FirstRows {
    columns: Vec<Column>,
    rows: u64,
    /// Whether there are more.
    is_part: bool,
}

fn read_rows(path: &Path, table: &mut Table) -> Result<FirstRows, DataError> {
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
        });
    }
    Ok(FirstRows {
        columns,
        rows: rows as u64,
        is_part,
    })
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
