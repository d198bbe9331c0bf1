//! The argument of `--set`: any text, for which a shell offers the keys of an experiment file.

use std::ffi::OsStr;
use std::sync::LazyLock;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};

use crate::experiment::keys;

/// `key=`, for every key.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let paths = keys::paths().into_iter();
    paths.map(|path| format!("{path}=")).collect()
});

/// A key and its value, which are read with the file.
#[derive(Debug, Clone)]
pub(super) struct KeyAndValue;

impl TypedValueParser for KeyAndValue {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<String, Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let keys = KEYS.iter().map(String::as_str);
        Some(Box::new(keys.map(PossibleValue::new)))
    }
}
