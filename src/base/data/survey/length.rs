//! How long the texts of a table are, in tokens.

use std::path::Path;

use super::ROWS;
use crate::data::error::{DataError, Place};
use crate::data::table::{TableLayout, TableReader};
use crate::data::warning::DataWarning;

/// Rows whose texts are measured.
const MEASURED_ROWS: usize = 20_000;

/// The length that 99 of 100 rows do not exceed, and a warning of rows without tokens. The rows are read as training
/// reads them, so that what it refuses is refused here.
pub(super) fn tokens_of(
    path: &Path,
    layout: &TableLayout,
    count: &dyn Fn(&str) -> usize,
) -> Result<(usize, Option<DataWarning>), DataError> {
    let mut table = TableReader::open(path, layout)?;
    let (mut lengths, mut rows) = (Vec::new(), 0);
    let (mut without, mut first) = (0, None);
    while let Some(row) = table.next_row()? {
        rows += 1;
        if rows > ROWS {
            break;
        }
        if lengths.len() < MEASURED_ROWS {
            let second = row.pair.as_deref().map_or(0, count);
            let length = count(&row.text) + second;
            if length == 0 && !row.is_blank() {
                without += 1;
                first.get_or_insert_with(|| Place::new(path, row.line));
            }
            lengths.push(length);
        }
    }
    let warning = first.map(|first| DataWarning::NoTokens {
        rows: without,
        of: lengths.len() as u64,
        first,
        is_half: false,
    });
    lengths.sort_unstable();
    let most = lengths.get(lengths.len().saturating_sub(1) * 99 / 100);
    Ok((most.copied().unwrap_or(0), warning))
}

/// About how many tokens a BERT makes of a text: one for a Chinese character or a sign, one or more for a
/// word by its length.
pub fn estimated_tokens(text: &str) -> usize {
    let (mut tokens, mut letters) = (0, 0_usize);
    let of_word = |letters: usize| letters.div_ceil(6);
    for letter in text.chars() {
        if letter.is_alphanumeric() && !is_ideograph(letter) {
            letters += 1;
            continue;
        }
        tokens += of_word(letters);
        letters = 0;
        let is_nothing = letter.is_whitespace() || letter.is_control() || is_invisible(letter);
        tokens += usize::from(!is_nothing);
    }
    tokens + of_word(letters)
}

/// Characters of no width, which BERT's tokenizer removes.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

/// Characters that BERT takes apart.
fn is_ideograph(letter: char) -> bool {
    matches!(letter, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
