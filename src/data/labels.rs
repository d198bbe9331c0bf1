//! Classes of a task: their order, their names, and how a table spells them.

use std::collections::BTreeSet;

/// More labels than this are no classes.
pub const MAX_LABELS: usize = 1000;

/// Where the classes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelRule {
    /// Whatever the training table has, sorted.
    Found,
    /// These.
    Given(LabelSet),
}

/// Classes in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSet {
    /// As they stand in the table.
    spellings: Vec<String>,
    /// As they are shown and stored.
    names: Vec<String>,
}

impl LabelSet {
    /// Classes whose names stand in the table.
    pub fn named(names: Vec<String>) -> Self {
        Self {
            spellings: names.clone(),
            names,
        }
    }

    /// GLUE SST-2: `0` is negative and `1` is positive.
    pub fn sst2() -> Self {
        Self {
            spellings: vec!["0".to_owned(), "1".to_owned()],
            names: vec!["negative".to_owned(), "positive".to_owned()],
        }
    }

    /// The same classes under other names, as many as there are.
    #[must_use]
    pub fn renamed(self, names: Vec<String>) -> Self {
        debug_assert_eq!(names.len(), self.names.len());
        Self { names, ..self }
    }

    /// Found labels in their order: by value where all are whole numbers, else by characters.
    pub(super) fn sorted(found: BTreeSet<String>) -> Self {
        let mut names: Vec<String> = found.into_iter().collect();
        let numbers: Option<Vec<i64>> = names.iter().map(|name| name.parse().ok()).collect();
        if numbers.is_some() {
            // Stable, so that `1` and `01` keep their order.
            names.sort_by_key(|name| name.parse::<i64>().unwrap_or(0));
        }
        Self::named(names)
    }

    /// Class of a label as it stands in a table.
    pub fn class(&self, spelling: &str) -> Option<usize> {
        self.spellings.iter().position(|known| known == spelling)
    }

    /// Names in class order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// What a table may have, in class order.
    pub fn spellings(&self) -> &[String] {
        &self.spellings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(labels: &[&str]) -> Vec<String> {
        let found = labels.iter().map(|&label| label.to_owned()).collect();
        LabelSet::sorted(found).names
    }

    #[test]
    fn whole_numbers_are_sorted_by_value() {
        assert_eq!(sorted(&["10", "9", "-1", "0"]), ["-1", "0", "9", "10"]);
    }

    #[test]
    fn other_labels_are_sorted_by_character() {
        assert_eq!(sorted(&["10", "9", "x"]), ["10", "9", "x"]);
        assert_eq!(sorted(&["pos", "neg"]), ["neg", "pos"]);
    }

    #[test]
    fn sst2_spells_its_labels_as_digits() {
        let labels = LabelSet::sst2();
        assert_eq!(labels.class("1"), Some(1));
        assert_eq!(labels.class("positive"), None);
        assert_eq!(labels.names(), ["negative", "positive"]);
    }
}
