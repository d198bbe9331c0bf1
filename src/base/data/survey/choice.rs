//! Which columns of a table are the text, a second text and the label.

use std::path::Path;

use super::Columns;
use super::column::Column;
use super::error::SurveyError;
use super::names::{LABEL_NAMES, PAIRS, SCORE_NAMES, TEXT_NAMES};
use crate::data::table::Table;
use crate::input::excerpt_path;

/// Places of the columns.
pub(super) struct Choice {
    pub(super) text: usize,
    pub(super) pair: Option<usize>,
    pub(super) label: usize,
}

/// The columns that a user names, and for the others those that look like it.
pub(super) fn choose(
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
