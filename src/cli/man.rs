//! `tinyrun man`: man pages, for those who package tinyrun.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _};

use super::{CommandLine, Failure};
use crate::runs::{Error, create_folder};

/// `tinyrun man`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folder to write the pages into, created if missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    create_folder(&arguments.folder)?;
    let pages = clap_mangen::generate_to(CommandLine::command(), &arguments.folder);
    pages.map_err(Error::write(&arguments.folder))?;
    Ok(())
}
