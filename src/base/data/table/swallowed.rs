//! Rows that a stray quote swallows: a quote at the start of a text that has no partner joins
//! everything up to the next quote, and where that one ends a field nothing is out of order.

use std::collections::BTreeSet;

use super::cutter::Cutter;

/// Labels that are kept for comparison.
const MOST_LABELS: usize = 1000;

/// Notices fields of several lines whose lines are rows.
#[derive(Debug)]
pub(super) struct Swallowed {
    is_checked: bool,
    label: usize,
    columns: usize,
    /// Labels of records of one line.
    seen: BTreeSet<Vec<u8>>,
    /// Records of several lines that are broken if this is a label: their first line.
    suspects: Vec<(u64, Vec<u8>)>,
}

impl Swallowed {
    pub(super) fn new(is_checked: bool, label: usize, columns: usize) -> Self {
        Self {
            is_checked,
            label,
            columns,
            seen: BTreeSet::new(),
            suspects: Vec::new(),
        }
    }

    /// The line of a quote that swallows rows, once that is certain.
    pub(super) fn check<R: std::io::BufRead>(
        &mut self,
        record: &Cutter<R>,
        line: u64,
    ) -> Option<u64> {
        if !self.is_checked {
            return None;
        }
        let fields = (0..self.columns).map(|index| record.field(index));
        let long = fields.enumerate().find(|(_, field)| field.contains(&b'\n'));
        let Some((index, field)) = long else {
            let label = record.field(self.label).trim_ascii();
            if label.len() < 200 && self.seen.len() < MOST_LABELS && !self.seen.contains(label) {
                self.seen.insert(label.to_vec());
                let is_label = |(_, suspect): &&(u64, Vec<u8>)| suspect == label;
                return self.suspects.iter().find(is_label).map(|(line, _)| *line);
            }
            return None;
        };
        let label = self.label_within(index, field, record.dialect().delimiter)?;
        if self.seen.contains(&label) {
            return Some(line);
        }
        if self.suspects.len() < MOST_LABELS {
            self.suspects.push((line, label));
        }
        None
    }

    /// A label that is read where each line of a field is taken for a row, or the end of one.
    fn label_within(&self, index: usize, field: &[u8], delimiter: u8) -> Option<Vec<u8>> {
        let mut lines = field.split(|&byte| byte == b'\n');
        let first = lines.next()?;
        let mut labels = Vec::new();
        if self.label > index {
            labels.push(label_of(
                first,
                delimiter,
                self.label - index,
                self.columns - index,
            )?);
        }
        let whole: Vec<&[u8]> = lines.collect();
        let (last, inner) = whole.split_last()?;
        for line in inner {
            labels.push(label_of(line, delimiter, self.label, self.columns)?);
        }
        if self.label <= index {
            labels.push(label_of(last, delimiter, self.label, self.columns)?);
        }
        // A text may well end a line in `, 1`.
        let is_number = |label: &Vec<u8>| label.iter().all(|byte| !byte.is_ascii_alphabetic());
        if labels.len() < 2 && labels.iter().any(is_number) {
            return None;
        }
        labels.into_iter().next()
    }
}

/// The field at `place` of a line, where it has that many.
fn label_of(line: &[u8], delimiter: u8, place: usize, columns: usize) -> Option<Vec<u8>> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == delimiter).collect();
    let label = fields
        .get(place)
        .filter(|_| fields.len() == columns)?
        .trim_ascii();
    let bare = label
        .strip_prefix(b"\"")
        .and_then(|label| label.strip_suffix(b"\""));
    Some(bare.unwrap_or(label).to_vec()).filter(|label| !label.is_empty())
}
