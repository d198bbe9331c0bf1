//! How a table is cut, as `format`, `delimiter`, `quoting` and `escape` say it.

use super::schema::{Escape, Quoting, TableFormat};
use crate::data::{DialectRule, table};

/// What the data's reader goes by.
pub fn dialect_rule(
    format: TableFormat,
    delimiter: Option<char>,
    quoting: Quoting,
    escape: Escape,
) -> DialectRule {
    DialectRule {
        format: match format {
            TableFormat::Auto => table::TableFormat::Auto,
            TableFormat::Tsv => table::TableFormat::Tsv,
            TableFormat::Csv => table::TableFormat::Csv,
        },
        delimiter: delimiter.and_then(|letter| u8::try_from(letter).ok()),
        quoting: match quoting {
            Quoting::Auto => None,
            Quoting::Quotes => Some(table::Quoting::Quoted),
            Quoting::None => Some(table::Quoting::None),
        },
        escape: match escape {
            Escape::Auto => None,
            Escape::Doubled => Some(table::Escape::Double),
            Escape::Backslash => Some(table::Escape::Backslash),
        },
        literal_tsv: false,
    }
}
