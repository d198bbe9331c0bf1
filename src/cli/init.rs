//! `tinyrun init`: a starter file from a user's table.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Args;

use super::{Failure, print};
use crate::data::survey;
use crate::experiment::starter;

/// `tinyrun init TABLE`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Your labelled table, with a header: `.csv`, or columns set apart by tabs
    #[arg(value_name = "TABLE")]
    table: PathBuf,

    /// Write it there; a file that is there already is left alone
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Unlabelled text for general distillation: a file or a glob
    #[arg(long, value_name = "GLOB")]
    corpus: Option<String>,

    /// The teacher's Hugging Face folder
    #[arg(long, value_name = "FOLDER", default_value = "models/all-MiniLM-L6-v2")]
    teacher: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let found = survey(&arguments.table).map_err(|error| Failure::Usage {
        message: error.to_string(),
        hint: Some("a table has a header, and is CSV or cut by tabs".to_owned()),
    })?;
    let table = arguments.table.display().to_string();
    let text = starter(
        &found,
        &table,
        arguments.corpus.as_deref(),
        &arguments.teacher,
    );
    let Some(output) = &arguments.output else {
        return print(&text);
    };
    let file = OpenOptions::new().write(true).create_new(true).open(output);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| Failure::Usage {
        message: format!("cannot write `{}`: {error}", output.display()),
        hint: (error.kind() == io::ErrorKind::AlreadyExists)
            .then(|| "choose another name, or remove that file".to_owned()),
    })?;
    print(&format!("wrote {}\n", output.display()))
}
