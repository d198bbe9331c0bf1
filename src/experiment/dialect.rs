//! How a table is cut, as `format`, `delimiter`, `quoting` and `escape` say it.

use super::Task;
use super::schema::{Escape, Quoting, TableFormat, TaskName};
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

impl Task {
    /// How its tables are cut, as far as the file says. Those of GLUE have quotes that are characters.
    pub fn dialect(&self) -> DialectRule {
        DialectRule {
            literal_tsv: *self.name != TaskName::Custom,
            ..dialect_rule(
                self.format.table(),
                self.delimiter,
                self.quoting,
                self.escape,
            )
        }
    }

    /// Names of all columns, where its tables have no header.
    pub fn column_names(&self) -> Option<Vec<String>> {
        let names = self.name.glue()?.columns?.iter();
        Some(names.map(|&name| name.to_owned()).collect())
    }
}
