//! `tinyrun show`: how a result came to be.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Place, layout, print};
use crate::input::{excerpt, excerpt_path};
use crate::report::{Style, record_text};
use crate::runs::{Error, Layout, RECORD, Record, follow, links};

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
    let shown = excerpt_path(result);
    let stages = stages_of(result, layout)?;
    let (message, hint) = if stages.is_empty() {
        let how = "name a result as `EXPERIMENT/STAGE`, as in `runs/`";
        (format!("result `{shown}` not found"), how.to_owned())
    } else {
        let message = format!("`{shown}` is an experiment, not the result of a stage");
        (message, format!("name one of {}", stages.join(", ")))
    };
    Err(Failure::Usage {
        message,
        hint: Some(hint),
    })
}

/// Results of the experiment that a path names, as `EXPERIMENT/STAGE` in backticks.
fn stages_of(path: &Path, layout: &Layout) -> Result<Vec<String>, Error> {
    let name = path.strip_prefix(layout.runs()).unwrap_or(path);
    let links = links(layout)?;
    let of_it = links.keys().filter(|(of, _)| Path::new(of) == name);
    let of_it = of_it.map(|(of, stage)| format!("`{}`", excerpt(&format!("{of}/{stage}"))));
    Ok(of_it.collect())
}
