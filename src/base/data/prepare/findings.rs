//! What is odd about the rows of a task, gathered while they pass.

use std::collections::HashMap;
use std::mem::take;
use std::path::Path;

use crate::data::encode::{Encoded, SINGLE_SPECIALS};
use crate::data::error::Place;
use crate::data::report::SplitReport;
use crate::data::table::TableReader;
use crate::data::warning::{DataWarning, label_warnings};

/// Texts that are kept for comparison, 12 bytes each; rows beyond are not compared.
const MOST_TEXTS: usize = 1 << 20;

/// A text that is there twice is worth a word from this share of the rows on.
const NOTABLE_SHARE: f64 = 0.01;

/// The same for one with two labels.
const NOTABLE_CONTRADICTION: f64 = 0.005;

/// The same for one of unknown tokens alone, such as an emoji.
const NOTABLE_UNKNOWN_ROWS: f64 = 0.01;

/// Share of unknown tokens from which on a tokenizer does not fit.
const NOTABLE_UNKNOWN: f64 = 0.5;

/// Rows of one kind.
#[derive(Debug, Default)]
struct Rows {
    number: u64,
    first: Option<Place>,
}

impl Rows {
    fn add(&mut self, path: &Path, line: u64) {
        self.number += 1;
        self.first.get_or_insert_with(|| Place::new(path, line));
    }

    /// Number and first of them, if there are any.
    fn found(self) -> Option<(u64, Place)> {
        Some((self.number, self.first?))
    }
}

/// Counts of what is odd.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Label of the first row of each training text, by the text's hash.
    texts: HashMap<u64, f32>,
    repeated: u64,
    contradicting: u64,
    first_repeated: Option<Place>,
    first_contradicting: Option<Place>,
    no_tokens: Rows,
    half_pairs: Rows,
    only_unknown: Rows,
    other_tokens: Rows,
    spaced_labels: u64,
    quoted: Rows,
    /// Names in the first header, and its place.
    header: Option<(Place, String)>,
}

impl Findings {
    /// An example of a training table.
    pub(super) fn train_text(&mut self, hash: u64, value: f32, path: &Path, line: u64) {
        if let Some(first) = self.texts.get(&hash) {
            self.repeated += 1;
            let place = || Place::new(path, line);
            if first.to_bits() == value.to_bits() {
                self.first_repeated.get_or_insert_with(place);
            } else {
                self.contradicting += 1;
                self.first_contradicting.get_or_insert_with(place);
            }
        } else if self.texts.len() < MOST_TEXTS {
            self.texts.insert(hash, value);
        }
    }

    /// An example with its number of special and of unknown tokens.
    pub(super) fn example(
        &mut self,
        example: &Encoded,
        (specials, unknown): (usize, u64),
        path: &Path,
        line: u64,
    ) {
        let tokens = example.input_ids.len();
        let is_pair = specials > SINGLE_SPECIALS;
        // Behind the second text is one of them.
        let before = specials - usize::from(is_pair);
        let (first, second) = (example.text_b_start - before, tokens - example.text_b_start);
        if tokens == specials {
            self.no_tokens.add(path, line);
        } else if unknown == (tokens - specials) as u64 {
            self.only_unknown.add(path, line);
        } else if is_pair && (first == 0 || second == 1) {
            self.half_pairs.add(path, line);
        }
    }

    /// A row that the student's own tokenizer splits otherwise.
    pub(super) fn other_tokens(&mut self, path: &Path, line: u64) {
        self.other_tokens.add(path, line);
    }

    /// A table that was read to its end.
    pub(super) fn table(&mut self, path: &Path, table: &TableReader) {
        self.spaced_labels += table.spaced_labels();
        let (rows, first) = table.quoted_rows();
        if rows > 0 {
            self.quoted.add(path, first);
            self.quoted.number += rows - 1;
        }
        if let Some((line, name)) = table.label_header() {
            self.header
                .get_or_insert_with(|| (Place::new(path, line), name.to_owned()));
        }
    }

    /// All that is worth a word. `splits` are train, dev and more.
    pub(super) fn warnings(mut self, splits: &[SplitReport]) -> Vec<DataWarning> {
        let mut warnings = self.table_warnings(splits);
        warnings.extend(class_warnings(splits));
        let repeated = self.repeated_texts(&splits[0]);
        warnings.extend(self.token_warnings(splits));
        warnings.extend(repeated);
        warnings
    }

    /// What is odd about the tables.
    fn table_warnings(&mut self, splits: &[SplitReport]) -> Vec<DataWarning> {
        let mut warnings = Vec::new();
        if let Some((place, name)) = self.header.take() {
            let mut labels = splits.iter().flat_map(|split| &split.labels);
            if labels.any(|label| label.name == name && label.examples > 0) {
                warnings.push(DataWarning::HeaderLikeRow { place, name });
            }
        }
        if self.spaced_labels > 0 {
            let rows = self.spaced_labels;
            warnings.push(DataWarning::SpacedLabels { rows });
        }
        if let Some((rows, first)) = take(&mut self.quoted).found() {
            warnings.push(DataWarning::QuotesKept { rows, first });
        }
        warnings
    }

    /// What is odd about the tokens of the texts.
    fn token_warnings(self, splits: &[SplitReport]) -> Vec<DataWarning> {
        let mut warnings = Vec::new();
        let of: u64 = splits.iter().map(|split| split.rows_out).sum();
        for (found, is_half) in [(self.no_tokens, false), (self.half_pairs, true)] {
            if let Some((rows, first)) = found.found() {
                warnings.push(DataWarning::NoTokens {
                    rows,
                    of,
                    first,
                    is_half,
                });
            }
        }
        if let Some((rows, first)) = self.other_tokens.found() {
            warnings.push(DataWarning::OtherTokens { rows, of, first });
        }
        let unknown = splits[0].unknown_share;
        if unknown >= NOTABLE_UNKNOWN {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share is between 0 and 1"
            )]
            let percent = (100.0 * unknown).round() as u64;
            warnings.push(DataWarning::UnknownTokens { percent });
        } else if let Some((rows, first)) = self.only_unknown.found()
            && rows as f64 >= of as f64 * NOTABLE_UNKNOWN_ROWS
        {
            warnings.push(DataWarning::OnlyUnknown { rows, of, first });
        }
        warnings
    }

    /// Training texts that are there twice, where they are many.
    fn repeated_texts(&mut self, train: &SplitReport) -> Option<DataWarning> {
        let share = |rows: u64| rows as f64 / train.rows_out.max(1) as f64;
        let is_notable = share(self.repeated) >= NOTABLE_SHARE
            || share(self.contradicting) >= NOTABLE_CONTRADICTION;
        let contradicting = self.first_contradicting.take();
        let first = contradicting.or(self.first_repeated.take())?;
        is_notable.then_some(DataWarning::Repeated {
            rows: self.repeated,
            of: train.rows_out,
            contradicting: self.contradicting,
            first,
        })
    }
}

/// What is odd about the classes of the splits.
pub(super) fn class_warnings(splits: &[SplitReport]) -> Vec<DataWarning> {
    let [train, others @ ..] = splits else {
        return Vec::new();
    };
    let total = train.labels.iter().enumerate().map(|(class, label)| {
        let rows = splits.iter().map(|split| split.labels[class].examples);
        (label.name.as_str(), rows.sum::<u64>())
    });
    let mut warnings = label_warnings(total);
    for split in splits {
        let absent = split.labels.iter().filter(|label| label.examples == 0);
        let labels: Vec<String> = absent.map(|label| label.name.clone()).collect();
        let there = split.labels.len() - labels.len();
        if !labels.is_empty() {
            let split = split.name.clone();
            warnings.push(DataWarning::Absent { labels, split });
        }
        let is_scored = others.iter().any(|other| other.name == split.name);
        if there == 1 && is_scored {
            let only = split.labels.iter().find(|label| label.examples > 0);
            warnings.push(DataWarning::SingleClass {
                split: split.name.clone(),
                label: only.map_or_else(String::new, |label| label.name.clone()),
            });
        }
    }
    warnings
}
