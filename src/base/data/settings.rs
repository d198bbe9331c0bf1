//! Where a hint about data lets its reader set something.

/// Where the reader of a hint sets something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settings {
    /// In `[task]` of an experiment file.
    File,
    /// By an option of `tinyrun init`, which runs before there is a file.
    Options,
    /// By an option of `tinyrun predict`, which names columns and nothing else.
    Columns,
}

impl Settings {
    pub(super) fn set(self, key: &str, word: &str) -> Option<String> {
        match self {
            Self::File => Some(format!("set `{key} = \"{word}\"` in `[task]`")),
            Self::Options => Some(format!("add `--{key} {word}`")),
            Self::Columns => None,
        }
    }

    /// About a table of which every row seems to be one field.
    pub(super) fn one_column(self) -> &'static str {
        match self {
            Self::File => "set `format`, `delimiter` and `quoting` in `[task]`",
            Self::Options => "name the character between its columns with `--delimiter CHARACTER`",
            Self::Columns => "separate the columns by tabs or commas",
        }
    }
}
