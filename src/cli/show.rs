//! `tinyrun show`: how a result came to be.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Place, layout, print};
use crate::report::{Style, record_text};
use crate::runs::{Layout, RECORD, Record, follow};

/// `tinyrun show STAGE`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Result: `EXPERIMENT/STAGE`, for example `sst2/td-phase1`, or its folder or record file
    #[arg(value_name = "RESULT")]
    result: PathBuf,

    /// Print the stored record as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let (folder, record) = find(&arguments.result, &layout)?;
    if arguments.json {
        let text = std::fs::read_to_string(folder.join(RECORD));
        return print(&text.map_err(Failure::Output)?);
    }
    print(&record_text(&record, &folder, Style::of(&io::stdout())))
}

/// The folder and the record that a user means.
pub(super) fn find(result: &Path, layout: &Layout) -> Result<(PathBuf, Record), Failure> {
    let folder = if result.file_name().is_some_and(|name| name == RECORD) {
        result.parent().unwrap_or(Path::new("")).to_owned()
    } else {
        result.to_owned()
    };
    for folder in [folder, layout.runs().join(result)] {
        // A text file where there are no symbolic links.
        let folder = if folder.is_file() {
            follow(&folder).unwrap_or(folder)
        } else {
            folder
        };
        if let Some(record) = Record::read(&folder) {
            return Ok((folder, record));
        }
        if folder.join(RECORD).exists() {
            return Err(Failure::Usage {
                message: format!(
                    "`{}` is not a valid record",
                    folder.join(RECORD).display()
                ),
                hint: Some("if a newer tinyrun wrote it, use that version; otherwise delete its folder and run the stage again".to_owned()),
            });
        }
    }
    Err(Failure::Usage {
        message: format!("result `{}` not found", result.display()),
        hint: Some("name a result as `EXPERIMENT/STAGE`, as in `runs/`".to_owned()),
    })
}
