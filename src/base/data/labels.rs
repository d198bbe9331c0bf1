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
    /// There are none: a label is a number on a scale.
    Values,
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

    /// No classes.
    pub fn none() -> Self {
        Self::named(Vec::new())
    }

    /// Classes that the table spells in another way than they are called, in the same order.
    pub fn spelt(spellings: &[&str], names: Vec<String>) -> Self {
        debug_assert_eq!(spellings.len(), names.len());
        let spellings = spellings.iter().map(|&spelling| spelling.to_owned());
        Self {
            spellings: spellings.collect(),
            names,
        }
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
    fn a_table_may_spell_labels_as_digits() {
        let names = ["negative", "positive"].map(str::to_owned).to_vec();
        let labels = LabelSet::spelt(&["0", "1"], names);
        assert_eq!(labels.class("1"), Some(1));
        assert_eq!(labels.class("positive"), None);
        assert_eq!(labels.names(), ["negative", "positive"]);
    }
}
