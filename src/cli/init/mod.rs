//! `tinyrun init`: a starter file from a user's table, or from MindSpore's configurations.

mod mindspore;

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, print, word};
use crate::data::table::is_delimiter;
use crate::data::{Columns, DataWarning, Given, Tokenizer, estimated_tokens, survey};
use crate::experiment::{Escape, Quoting, StarterPaths, TableFormat, dialect_rule, starter};
use crate::input::{escape_lines, excerpt, excerpt_path};
use crate::report::Style;

/// `tinyrun init TABLE` and `tinyrun init --from-mindspore FILE...`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Your labelled table: CSV or TSV with a header row, or JSON lines
    #[arg(value_name = "TABLE", required_unless_present = "from_mindspore")]
    table: Option<PathBuf>,

    #[command(flatten)]
    mindspore: mindspore::Options,

    /// Column of the text
    #[arg(long, value_name = "COLUMN")]
    text: Option<String>,

    /// Column of the label
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,

    /// Column of a second text, for tasks on pairs of texts
    #[arg(long, value_name = "COLUMN")]
    pair: Option<String>,

    /// Table format; chosen by the file name extension if omitted
    #[arg(long, value_name = "WORD", value_parser = word::<TableFormat>())]
    format: Option<TableFormat>,

    /// Character between fields, or `tab`; detected if omitted
    #[arg(long, value_name = "CHARACTER", value_parser = parse_delimiter)]
    delimiter: Option<char>,

    /// Whether double quotes enclose fields; detected if omitted
    #[arg(long, value_name = "WORD", value_parser = word::<Quoting>())]
    quoting: Option<Quoting>,

    /// How a quote within a quoted field is written; detected if omitted
    #[arg(long, value_name = "WORD", value_parser = word::<Escape>())]
    escape: Option<Escape>,

    /// Write the experiment to this file instead of stdout; an existing file is not overwritten
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Unlabelled text for general distillation: a file or a glob
    #[arg(long, value_name = "GLOB")]
    corpus: Option<String>,

    /// Hugging Face folder of the teacher
    #[arg(long, value_name = "FOLDER", default_value = "models/all-MiniLM-L6-v2")]
    teacher: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let text = match &arguments.table {
        Some(table) => of_table(table, arguments)?,
        None => mindspore::text(&arguments.mindspore)?,
    };
    write(&text, arguments.output.as_deref())
}

/// The file for a user's table.
fn of_table(path: &Path, arguments: &Arguments) -> Result<String, Failure> {
    let Some(table) = path.to_str() else {
        return Err(Failure::Usage {
            message: format!("the path `{}` is not UTF-8", excerpt_path(path)),
            hint: Some("rename the file: an experiment file can only name UTF-8 paths".to_owned()),
        });
    };
    let given = Given {
        dialect: dialect_rule(
            arguments.format.unwrap_or(TableFormat::Auto),
            arguments.delimiter,
            arguments.quoting.unwrap_or(Quoting::Auto),
            arguments.escape.unwrap_or(Escape::Auto),
        ),
        columns: Columns {
            text: arguments.text.as_deref(),
            pair: arguments.pair.as_deref(),
            label: arguments.label.as_deref(),
        },
    };
    let tokenizer = Tokenizer::load(Path::new(&arguments.teacher)).ok();
    let count = |text: &str| {
        let tokens = tokenizer
            .as_ref()
            .and_then(|tokenizer| tokenizer.encode(text).ok());
        tokens.map_or_else(|| estimated_tokens(text), |tokens| tokens.len())
    };
    let found = survey(path, given, &count).map_err(|error| Failure::Usage {
        message: error.to_string(),
        hint: error.hint(),
    })?;
    warn(&found.warnings);
    let paths = StarterPaths {
        table,
        corpus: arguments.corpus.as_deref(),
        teacher: &arguments.teacher,
    };
    Ok(starter(&found, paths))
}

/// Writes the experiment file to a new file, or to stdout.
fn write(text: &str, output: Option<&Path>) -> Result<(), Failure> {
    let Some(output) = output else {
        return print(text);
    };
    let file = OpenOptions::new().write(true).create_new(true).open(output);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    let shown = excerpt_path(output);
    written.map_err(|error| Failure::Usage {
        message: format!("cannot write `{shown}`: {error}"),
        hint: (error.kind() == io::ErrorKind::AlreadyExists)
            .then(|| "choose another name, or remove that file".to_owned()),
    })?;
    print(&format!("wrote {shown}\n"))
}

fn parse_delimiter(word: &str) -> Result<char, String> {
    let mut letters = word.chars();
    match (letters.next(), letters.next()) {
        (Some(only), None) if u8::try_from(only).is_ok_and(is_delimiter) => Ok(only),
        _ if matches!(word, "tab" | "\\t") => Ok('\t'),
        _ => {
            let found = excerpt(word);
            Err(format!(
                "expected `tab` or a character, for example `,`, `;` or `|`, found `{found}`"
            ))
        }
    }
}

/// Prints what a user should look at to stderr: stdout may be the file.
fn warn(warnings: &[DataWarning]) {
    let mut stderr = io::stderr().lock();
    let style = Style::of(&stderr);
    for warning in warnings {
        let text = escape_lines(&warning.to_string());
        // A warning that cannot be printed is no reason to write no file.
        let _ = writeln!(stderr, "{}: {text}", style.warning("warning"));
        if let DataWarning::HeaderLikeRow { .. } = warning {
            let hint = "add a first line that names the columns, such as `text,label`";
            let _ = writeln!(stderr, "{}: {hint}", style.strong("hint"));
        }
    }
}
