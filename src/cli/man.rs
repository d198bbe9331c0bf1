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
    let mut command = CommandLine::command().disable_help_subcommand(true);
    command.build();
    let commands = command.get_subcommands().filter(|it| !it.is_hide_set());
    for command in commands.chain([&command]) {
        // A subcommand has no version of its own, which the foot of its page would show.
        let page = clap_mangen::Man::new(command.clone())
            .source(concat!("tinyrun ", env!("CARGO_PKG_VERSION")))
            .manual("tinyrun");
        let written = page.generate_to(&arguments.folder);
        written.map_err(Error::write(&arguments.folder))?;
    }
    Ok(())
}
