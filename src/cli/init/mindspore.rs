//! `tinyrun init --from-mindspore`: reads the configurations.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::super::Failure;
use crate::document::Source;
use crate::input::excerpt_path;
use crate::kinds::KINDS;
use crate::migrate::{Given, MAX_BYTES, from_mindspore};
use crate::system::reason;

/// Options for configurations of MindSpore's TinyBERT.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// Configurations of MindSpore's TinyBERT in place of a table: `gd_config` and `td_config`, as
    /// `.yaml` or `.py`
    #[arg(
        long, value_name = "FILE", num_args = 1..,
        conflicts_with_all = [
            "table", "text", "label", "pair", "format", "delimiter", "quoting", "escape", "corpus"
        ]
    )]
    from_mindspore: Vec<PathBuf>,

    /// Flag of MindSpore's scripts, for example `task_name=SST-2`; `gd.` or `td.` before the name
    /// selects the program (repeatable)
    #[arg(long, value_name = "NAME=VALUE", requires = "from_mindspore")]
    flag: Vec<String>,

    /// Devices of distributed general distillation, which multiply its batch size
    #[arg(
        long, value_name = "N", requires = "from_mindspore",
        value_parser = clap::value_parser!(u64).range(1..=65536)
    )]
    device_num: Option<u64>,
}

/// The experiment file.
pub(super) fn text(arguments: &Options) -> Result<String, Failure> {
    let files = arguments.from_mindspore.iter().map(|path| read(path));
    let given = Given {
        files: files.collect::<Result<_, _>>()?,
        flags: arguments.flag.clone(),
        device_num: arguments.device_num,
    };
    from_mindspore(KINDS, &given).map_err(Failure::Faults)
}

/// A configuration with its name; no more is read than one may have.
fn read(path: &Path) -> Result<Source, Failure> {
    let shown = excerpt_path(path);
    let usage = |message: String| Failure::Usage {
        message,
        hint: None,
    };
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| usage(format!("cannot read `{shown}`: {}", reason(&error))))?;
    if bytes.len() > MAX_BYTES {
        let message = format!("`{shown}` is longer than {MAX_BYTES} bytes, no configuration");
        return Err(usage(message));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        usage(format!("`{shown}` is not UTF-8 at byte {at}"))
    })?;
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    Ok(Source { name: shown, text })
}
