//! Arguments that may be any text, for which a shell offers what an experiment file may have: the
//! keys for `--set`, and names of stages.

use std::ffi::OsStr;
use std::sync::LazyLock;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, Command, Error};

use crate::experiment::{StageName, keys};
use crate::kinds::KINDS;

/// `key=`, for every key.
static KEYS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let paths = keys::paths(KINDS).into_iter();
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

/// The name of a stage, which the file may give itself.
#[derive(Debug, Clone)]
pub(super) struct StageNames;

impl TypedValueParser for StageNames {
    type Value = StageName;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &OsStr,
    ) -> Result<StageName, Error> {
        let name = StringValueParser::new().parse_ref(command, arg, value)?;
        Ok(StageName::new(&name))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(KINDS.names().into_iter().map(PossibleValue::new)))
    }
}
