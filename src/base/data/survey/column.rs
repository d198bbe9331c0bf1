//! A column of a table: what its values look like.

use std::collections::BTreeMap;

use super::names::{KEY_NAMES, LABEL_NAMES};
use crate::data::labels::MAX_LABELS;

/// Most classes of a column whose name says nothing.
const MOST_CLASSES: usize = 50;

/// Different numbers from which on a column is a scale, unless its name says that it has classes.
const SCALE_VALUES: usize = 50;

/// Different fractions from which on it is one whatever its name.
const SCALE_FRACTIONS: usize = 10;

/// What a column holds.
#[derive(Debug)]
pub(super) struct Column {
    /// A name without case and signs.
    pub(super) key: String,
    pub(super) values: BTreeMap<String, u64>,
    /// More values than a classification has.
    pub(super) is_wide: bool,
    pub(super) rows: u64,
    words: u64,
    is_number: bool,
    has_fractions: bool,
}

impl Column {
    pub(super) fn new(name: &str) -> Self {
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

    pub(super) fn add(&mut self, value: &str) {
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

    pub(super) fn mean_words(&self) -> f64 {
        self.words as f64 / self.rows.max(1) as f64
    }

    fn is_named(&self, names: &[&str]) -> bool {
        names.contains(&self.key.as_str())
    }

    /// A handful of values that come back, whatever the column is called.
    pub(super) fn is_classes(&self) -> bool {
        let classes = self.values.len();
        !self.is_wide
            && (2..=MOST_CLASSES).contains(&classes)
            && self.mean_words() < 5.0
            && classes as u64 * 2 <= self.rows
    }

    /// Numbers that are no names of classes.
    pub(super) fn is_scale(&self) -> bool {
        let values = self.values.len();
        let most = if self.is_named(&LABEL_NAMES) {
            MAX_LABELS
        } else {
            SCALE_VALUES
        };
        self.is_number
            && (self.is_wide || values > most || self.has_fractions && values > SCALE_FRACTIONS)
    }

    pub(super) fn is_text(&self) -> bool {
        !self.is_number && self.words > 0 && !self.is_key()
    }

    pub(super) fn is_key(&self) -> bool {
        self.key.is_empty() || self.is_named(&KEY_NAMES) || self.key.starts_with("unnamed")
    }
}
