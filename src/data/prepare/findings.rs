//! What is odd about the rows of a task, gathered while they pass.

use std::collections::HashMap;
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
    quoted: u64,
    first_quoted: Option<Place>,
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
        self.quoted += rows;
        if rows > 0 {
            self.first_quoted
                .get_or_insert_with(|| Place::new(path, first));
        }
        if let Some((line, name)) = table.label_header() {
            self.header
                .get_or_insert_with(|| (Place::new(path, line), name.to_owned()));
        }
    }

    /// All that is worth a word. `splits` are train, dev and more.
    pub(super) fn warnings(self, splits: &[SplitReport]) -> Vec<DataWarning> {
        let mut warnings = Vec::new();
        if let Some((place, name)) = self.header {
            let is_label = splits.iter().flat_map(|split| &split.labels);
            if is_label
                .clone()
                .any(|label| label.name == name && label.examples > 0)
            {
                warnings.push(DataWarning::HeaderLikeRow { place, name });
            }
        }
        if self.spaced_labels > 0 {
            let rows = self.spaced_labels;
            warnings.push(DataWarning::SpacedLabels { rows });
        }
        if let Some(first) = self.first_quoted {
            let rows = self.quoted;
            warnings.push(DataWarning::QuotesKept { rows, first });
        }
        warnings.extend(class_warnings(splits));
        let of: u64 = splits.iter().map(|split| split.rows_out).sum();
        for (found, is_half) in [(self.no_tokens, false), (self.half_pairs, true)] {
            if let Rows {
                number: rows,
                first: Some(first),
            } = found
            {
                warnings.push(DataWarning::NoTokens {
                    rows,
                    of,
                    first,
                    is_half,
                });
            }
        }
        if let Some(first) = self.other_tokens.first {
            let rows = self.other_tokens.number;
            warnings.push(DataWarning::OtherTokens { rows, of, first });
        }
        let train = &splits[0];
        if train.unknown_share >= NOTABLE_UNKNOWN {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share is between 0 and 1"
            )]
            let percent = (100.0 * train.unknown_share).round() as u64;
            warnings.push(DataWarning::UnknownTokens { percent });
        } else if let Rows {
            number: rows,
            first: Some(first),
        } = self.only_unknown
            && rows as f64 >= of as f64 * NOTABLE_UNKNOWN_ROWS
        {
            warnings.push(DataWarning::OnlyUnknown { rows, of, first });
        }
        let share = |rows: u64| rows as f64 / train.rows_out.max(1) as f64;
        let is_notable = share(self.repeated) >= NOTABLE_SHARE
            || share(self.contradicting) >= NOTABLE_CONTRADICTION;
        if let Some(first) = self.first_contradicting.or(self.first_repeated)
            && is_notable
        {
            warnings.push(DataWarning::Repeated {
                rows: self.repeated,
                of: train.rows_out,
                contradicting: self.contradicting,
                first,
            });
        }
        warnings
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
