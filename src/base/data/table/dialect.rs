//! How a table is cut into fields: what the user says of it, and what follows.

use std::path::Path;

/// Form of a table, as `format` in `[task]` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TableFormat {
    /// By the file's ending: `.csv` is CSV, anything else TSV; the delimiter and the quoting are detected.
    #[default]
    Auto,
    /// Tabs, no quoting.
    Tsv,
    /// CSV with quoting; the delimiter is detected.
    Csv,
}

/// What quotes around a field mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// A field may stand in double quotes, and then hold delimiters and line ends.
    Quoted,
    /// A quote is a character like any other.
    None,
}

/// How a quote is written within a quoted field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Twice (RFC 4180).
    Double,
    /// With a backslash before it.
    Backslash,
}

/// What is known of a table before it is opened; `None` is to be detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DialectRule {
    /// Form.
    pub format: TableFormat,
    /// Character between fields.
    pub delimiter: Option<u8>,
    /// Meaning of quotes.
    pub quoting: Option<Quoting>,
    /// How quotes are escaped.
    pub escape: Option<Escape>,
    /// Whether a table without quoting stays one whatever its rows look like, as those of GLUE do.
    pub literal_tsv: bool,
}

impl DialectRule {
    /// Whether the table is CSV by its format or its name.
    pub fn is_csv(self, path: &Path) -> bool {
        match self.format {
            TableFormat::Auto => path
                .extension()
                .is_some_and(|ending| ending.eq_ignore_ascii_case("csv")),
            TableFormat::Tsv => false,
            TableFormat::Csv => true,
        }
    }

    /// The dialect of CSV or TSV with what the rule states; nothing is detected.
    pub(super) fn stated(self, is_csv: bool) -> Dialect {
        let standard = Dialect::standard(is_csv);
        Dialect {
            delimiter: self.delimiter.unwrap_or(standard.delimiter),
            quoting: self.quoting.unwrap_or(standard.quoting),
            escape: self.escape.unwrap_or(standard.escape),
            ..standard
        }
    }
}

/// How a table is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// Character between fields.
    pub delimiter: u8,
    /// Meaning of quotes.
    pub quoting: Quoting,
    /// How quotes are escaped.
    pub escape: Escape,
    /// Whether spaces before a field's quote are skipped, as in `a, "b"`.
    pub skips_space: bool,
    /// Whether the first line is Excel's `sep=;` and not the header.
    pub has_sep_line: bool,
}

impl Dialect {
    /// Tabs without quoting, or CSV of RFC 4180.
    pub fn standard(is_csv: bool) -> Self {
        Self {
            delimiter: if is_csv { b',' } else { b'\t' },
            quoting: if is_csv {
                Quoting::Quoted
            } else {
                Quoting::None
            },
            escape: Escape::Double,
            skips_space: false,
            has_sep_line: false,
        }
    }
}
