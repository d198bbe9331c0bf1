//! Which dialect a table is in, by its first megabytes.
//!
//! What was read before there was any detection is read in the same way: the dialect of the
//! file's ending stands wherever its header has the columns that are asked for.

use super::cutter::Cutter;
use super::dialect::{Dialect, DialectRule, Escape, Quoting, TableFormat};

/// Bytes that are looked at.
pub(super) const SAMPLE_BYTES: usize = 4 << 20;

/// Delimiters that are tried, in this order where they do equally well.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// How a sample is cut in one dialect.
#[derive(Debug, Default)]
struct Trial {
    header: Vec<String>,
    /// Records below the header.
    rows: u64,
    /// Those with as many fields as the header; empty ones at the end do not count.
    fits: u64,
    faults: u64,
    /// Fields with spaces before a quote.
    spaced: u64,
}

impl Trial {
    fn of(sample: &[u8], dialect: Dialect) -> Self {
        let mut cutter = Cutter::new(sample, dialect);
        let mut trial = Self::default();
        loop {
            match cutter.read() {
                Ok(None) => break,
                Ok(Some(_)) if trial.header.is_empty() => {
                    let names = cutter
                        .fields()
                        .map(|name| String::from_utf8_lossy(name).trim().to_owned());
                    trial.header = names.collect();
                }
                Ok(Some(_)) => {
                    trial.rows += 1;
                    let columns = trial.header.len();
                    let rest_is_empty = cutter.fields().skip(columns).all(<[u8]>::is_empty);
                    trial.fits += u64::from(cutter.len() >= columns && rest_is_empty);
                }
                Err(_) => trial.faults += 1,
            }
        }
        trial.spaced = cutter.spaced;
        trial
    }

    fn has(&self, columns: &[&str]) -> bool {
        !columns.is_empty()
            && columns
                .iter()
                .all(|column| self.header.iter().any(|name| name == column))
    }

    /// Share of rows that fit; 0 for a table of one column, 1 for one of which the header alone is known.
    fn score(&self) -> f64 {
        if self.header.len() < 2 {
            return 0.0;
        }
        if self.rows + self.faults == 0 {
            return 1.0;
        }
        self.fits as f64 / (self.rows + self.faults) as f64
    }

    fn is_regular(&self) -> bool {
        self.faults == 0 && self.fits == self.rows
    }
}

/// The dialect of a table of which `sample` is the start, up to a line's end. `columns` are those that will be asked
/// for; none where that is not known.
pub(super) fn detect(sample: &[u8], rule: DialectRule, is_csv: bool, columns: &[&str]) -> Dialect {
    if rule.format == TableFormat::Tsv || rule.literal_tsv && !is_csv {
        return rule.stated(is_csv);
    }
    let mut dialect = Dialect::standard(is_csv);
    let given = sep_line(sample);
    dialect.has_sep_line = given.is_some();
    dialect.delimiter = match rule.delimiter.or(given) {
        Some(delimiter) => delimiter,
        None => delimiter(sample, dialect, rule, columns),
    };
    dialect.quoting = rule
        .quoting
        .unwrap_or_else(|| quoting(sample, dialect, is_csv));
    escape(sample, dialect, rule)
}

/// The delimiter of Excel's `sep=;`, where that is the first line.
fn sep_line(sample: &[u8]) -> Option<u8> {
    let text = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample);
    let line = text.split(|&byte| byte == b'\n').next()?;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = line
        .strip_prefix(b"\"")
        .and_then(|line| line.strip_suffix(b"\""))
        .unwrap_or(line);
    match line {
        [s, e, p, b'=', delimiter]
            if [*s, *e, *p].eq_ignore_ascii_case(b"sep") && is_delimiter(*delimiter) =>
        {
            Some(*delimiter)
        }
        _ => None,
    }
}

/// Whether a byte can stand between fields.
pub fn is_delimiter(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"\"\\\r\n\0".contains(&byte)
}

fn delimiter(sample: &[u8], standard: Dialect, rule: DialectRule, columns: &[&str]) -> u8 {
    let quoting = |delimiter| match rule.quoting {
        Some(quoting) => quoting,
        None if delimiter == standard.delimiter => standard.quoting,
        None => Quoting::Quoted,
    };
    let trial = |delimiter| {
        let quoting = quoting(delimiter);
        Trial::of(
            sample,
            Dialect {
                delimiter,
                quoting,
                ..standard
            },
        )
    };
    let first = trial(standard.delimiter);
    let is_table = first.is_regular() && first.header.len() > 1;
    if first.has(columns) || columns.is_empty() && is_table {
        return standard.delimiter;
    }
    let mut best = (first.has(columns), first.score(), standard.delimiter);
    for other in DELIMITERS {
        let found = trial(other);
        let found = (found.has(columns), found.score(), other);
        if (found.0, found.1) > (best.0, best.1) {
            best = found;
        }
    }
    best.2
}

/// Quotes are quoting in CSV. In a table cut by tabs they are where its header stands in quotes, or
/// where rows are whole with them and broken without.
fn quoting(sample: &[u8], dialect: Dialect, is_csv: bool) -> Quoting {
    if is_csv || dialect.delimiter != b'\t' {
        return Quoting::Quoted;
    }
    let plain = Trial::of(
        sample,
        Dialect {
            quoting: Quoting::None,
            ..dialect
        },
    );
    let in_quotes = |name: &String| name.len() > 1 && name.starts_with('"') && name.ends_with('"');
    let is_quoted = plain.header.iter().all(in_quotes)
        || !plain.is_regular()
            && Trial::of(
                sample,
                Dialect {
                    quoting: Quoting::Quoted,
                    ..dialect
                },
            )
            .is_regular();
    if is_quoted {
        Quoting::Quoted
    } else {
        Quoting::None
    }
}

/// Backslashes before quotes, and spaces before them, where the sample is whole with them and is not without.
fn escape(sample: &[u8], mut dialect: Dialect, rule: DialectRule) -> Dialect {
    let escapes = match rule.escape {
        Some(escape) => vec![escape],
        None if sample.contains(&b'\\') => vec![Escape::Double, Escape::Backslash],
        None => vec![Escape::Double],
    };
    dialect.escape = escapes[0];
    let base = Trial::of(sample, dialect);
    if base.is_regular() && base.spaced == 0 {
        return dialect;
    }
    for skips_space in [false, true] {
        for &escape in &escapes {
            let other = Dialect {
                escape,
                skips_space,
                ..dialect
            };
            let trial = Trial::of(sample, other);
            if trial.is_regular() && (skips_space || trial.spaced == 0) {
                return other;
            }
        }
    }
    dialect
}

#[cfg(test)]
mod tests;
