//! `tinyrun predict`: answers to texts by a model that was trained to classify them.

mod flow;
mod output;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use self::flow::{Input, Stopped, answer};
use self::output::{Format, Output, Replacing};
use super::given_model::{CheckpointArguments, GivenModel};
use super::{Failure, Place, layout};
use crate::data::{DataError, Settings, Texts};
use crate::input::{STDIN, excerpt_path};
use crate::job::{Device, DeviceError, Precision, Predict};
use crate::kinds::KINDS;
use crate::model::has_tokenizer;
use crate::plan::TrainedModel;
use crate::runs::Layout;
use crate::stage::{Interrupts, Prediction};
use crate::system::{advice_for_output, reason};

/// Formats by the ending of a file; any other is CSV.
const ENDINGS: [(&str, Format); 4] = [
    ("jsonl", Format::Jsonl),
    ("ndjson", Format::Jsonl),
    ("json", Format::Jsonl),
    ("tsv", Format::Tsv),
];

/// `tinyrun predict MODEL [INPUT]`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Model: `EXPERIMENT/STAGE`, for example `sst2/td-phase2`, a Hugging Face folder, a folder of Google's TensorFlow BERT, or a MindSpore checkpoint
    #[arg(value_name = "MODEL")]
    model: PathBuf,

    /// Table or JSON lines; `-` reads stdin, where each line is a text unless `--text` names a column
    #[arg(value_name = "INPUT", default_value = "-", hide_default_value = true)]
    input: PathBuf,

    /// Column with the text [default: that of the experiment, else `text`]
    #[arg(long, value_name = "COLUMN")]
    text: Option<String>,

    /// Column with the second text of a pair [default: that of the experiment]
    #[arg(long, value_name = "COLUMN")]
    pair: Option<String>,

    /// Write to this file; JSON lines if it ends in `.jsonl`, `.ndjson` or `.json`, TSV if in `.tsv`, else CSV
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Form of the answers
    #[arg(long)]
    format: Option<Format>,

    /// Write the columns of the input before each answer
    #[arg(long)]
    keep_columns: bool,

    /// Precision of matrix multiplications; bf16 is faster and less exact
    #[arg(long, default_value = "fp32", value_parser = precision())]
    precision: Precision,

    /// Device to compute on: `auto`, `cpu`, `cuda` or `cuda:N`
    #[arg(long, default_value = "auto", value_parser = device)]
    device: Device,

    /// Maximum number of rows computed at a time; does not change the answers
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    batch_size: u16,

    /// Number of libtorch threads [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    threads: Option<u16>,

    #[command(flatten)]
    checkpoint: CheckpointArguments,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (model, tokenizer) = find_model(arguments, &layout(&arguments.place)?)?;
    let is_stdin = arguments.input == Path::new("-");
    let open = if is_stdin {
        from_stdin(arguments, &model)?
    } else {
        from_file(arguments, &model)?
    };
    let file = arguments.output.as_deref();
    let file = file.filter(|path| *path != Path::new("-"));
    let out = match file {
        Some(path) => create(path, &arguments.input)?,
        None => output::stdout(),
    };
    let is_file = file.is_some();
    let refused = |error| match file {
        Some(path) => Failure::Usage {
            message: format!("cannot write `{}`: {}", excerpt_path(path), reason(&error)),
            hint: advice_for_output(&error),
        },
        None => Failure::Output(error),
    };
    let interrupts = Interrupts::listen().map_err(|error| Failure::Usage {
        message: format!("cannot install signal handlers: {error}"),
        hint: None,
    })?;
    let prediction = Prediction {
        model: Predict {
            folder: model.folder.clone(),
            head: model.head,
        },
        device: arguments.device,
        precision: arguments.precision,
        threads: arguments.threads.map(usize::from),
    };
    let input = Input {
        open,
        tokenizer,
        longest: model.longest,
        batch_size: usize::from(arguments.batch_size),
    };
    let _held = interrupts.hold();
    let format = arguments.format();
    let begin = move |columns| Output::begin(format, out, is_file, model.labels, columns);
    match answer(&prediction, input, &interrupts, arguments.bar(), begin) {
        Ok(()) => Ok(()),
        // A reader that has seen enough, as `head`, is no fault.
        Err(Stopped::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(Stopped::Output(error)) if error.kind() == io::ErrorKind::InvalidData => {
            Err(Failure::Data {
                message: error.to_string(),
                hint: Some("use `--format jsonl`, where rows may have different keys".to_owned()),
            })
        }
        Err(Stopped::Output(error)) => Err(refused(error)),
        Err(Stopped::Data(error)) => Err(wrong_data(&error)),
        Err(Stopped::Stage(error)) => Err(error.into()),
        Err(Stopped::Interrupted) => Err(Failure::Interrupted),
    }
}

fn usage(message: String, hint: impl Into<String>) -> Failure {
    let hint = Some(hint.into());
    Failure::Usage { message, hint }
}

fn wrong_data(error: &DataError) -> Failure {
    Failure::Data {
        message: error.to_string(),
        hint: error.hint_for(Settings::Columns),
    }
}

type Open = Box<dyn FnOnce() -> Result<Texts, DataError> + Send>;

/// Lines of stdin, or a table where a column is named.
fn from_stdin(arguments: &Arguments, model: &TrainedModel) -> Result<Open, Failure> {
    let name = Path::new(STDIN);
    let keeps_columns = arguments.keep_columns;
    if arguments.text.is_some() || arguments.pair.is_some() {
        let layout = model.layout.clone();
        return Ok(Box::new(move || {
            Texts::stream(name, Box::new(io::stdin()), &layout, keeps_columns)
        }));
    }
    if model.layout.pair.is_some() {
        return Err(usage(
            format!(
                "`{}` reads pairs of texts, and a line of stdin is one text",
                arguments.model.display()
            ),
            "name the columns of a table or of JSON lines with `--text COLUMN` and `--pair COLUMN`",
        ));
    }
    if keeps_columns {
        return Err(usage(
            "`--keep-columns`: plain lines have no columns".to_owned(),
            "name the column with the text with `--text COLUMN` to read a table or JSON lines",
        ));
    }
    Ok(Box::new(move || {
        Ok(Texts::lines(name, Box::new(io::stdin())))
    }))
}

fn from_file(arguments: &Arguments, model: &TrainedModel) -> Result<Open, Failure> {
    let texts = Texts::open(&arguments.input, &model.layout, arguments.keep_columns);
    let texts = texts.map_err(|error| match &error {
        DataError::Io { .. } => Failure::Usage {
            message: error.to_string(),
            hint: error.hint_for(Settings::Columns),
        },
        _ => wrong_data(&error),
    })?;
    Ok(Box::new(move || Ok(texts)))
}

fn create(path: &Path, input: &Path) -> Result<Box<dyn Write>, Failure> {
    let id = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let shown = excerpt_path(path);
    let input = if input == Path::new("-") {
        Path::new("/dev/stdin")
    } else {
        input
    };
    if id(path).is_some_and(|own| id(input) == Some(own)) {
        let message = format!("`{shown}` is both input and output");
        return Err(usage(message, "choose another name for `--output`"));
    }
    // What is there stays until there is an answer to put in its place.
    let mut kept = File::options();
    match kept.write(true).create(true).truncate(false).open(path) {
        Ok(file) => Ok(Box::new(Replacing::new(file))),
        Err(error) => Err(Failure::Usage {
            message: format!("cannot write `{shown}`: {}", reason(&error)),
            hint: advice_for_output(&error),
        }),
    }
}

impl Arguments {
    fn format(&self) -> Format {
        let ending = self.output.as_deref().and_then(Path::extension);
        let named = |ending: &OsStr| {
            let mut endings = ENDINGS.iter();
            let (_, format) = endings.find(|(known, _)| ending.eq_ignore_ascii_case(known))?;
            Some(*format)
        };
        self.format
            .or_else(|| ending.and_then(named))
            .unwrap_or(Format::Csv)
    }

    /// A bar on stderr, where answers and texts do not go through the same terminal.
    fn bar(&self) -> Option<ProgressBar> {
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let is_stdout = self
            .output
            .as_deref()
            .is_none_or(|path| path == Path::new("-"));
        let is_busy = is_stdout && io::stdout().is_terminal()
            || self.input == Path::new("-") && io::stdin().is_terminal();
        if dumb || is_busy || !io::stderr().is_terminal() {
            return None;
        }
        let file = fs::metadata(&self.input).ok().filter(fs::Metadata::is_file);
        let bar = ProgressBar::with_draw_target(
            file.as_ref().map(fs::Metadata::len),
            ProgressDrawTarget::stderr(),
        );
        let form = if file.is_some() {
            "predict  {bar:32} {percent:>3}%  {msg}  {eta} left"
        } else {
            "predict  {spinner} {msg}"
        };
        let style = ProgressStyle::with_template(form).expect("a valid template");
        Some(bar.with_style(style))
    }
}

/// The model with its texts in the columns that are named, and its tokenizer.
fn find_model(arguments: &Arguments, layout: &Layout) -> Result<(TrainedModel, PathBuf), Failure> {
    let found = GivenModel::find(&arguments.model, &arguments.checkpoint, layout)?;
    let model = TrainedModel::open(KINDS, &found.model, found.record.as_ref());
    let mut model = model.map_err(|error| Failure::Usage {
        message: error.to_string(),
        hint: error.hint(),
    })?;
    let tokenizer = found.tokenizer;
    let tokenizer = tokenizer.filter(|path| path.is_file() || has_tokenizer(path));
    let tokenizer = tokenizer.ok_or_else(|| Failure::Usage {
        message: format!("`{}` has no tokenizer", excerpt_path(&found.model)),
        hint: Some("name its vocabulary with `--vocab FILE`".to_owned()),
    })?;
    if let Some(text) = &arguments.text {
        model.layout.text.clone_from(text);
        // Who names a column has a table with names.
        model.layout.columns = None;
    }
    if arguments.pair.is_some() {
        model.layout.pair.clone_from(&arguments.pair);
    }
    Ok((model, tokenizer))
}

fn precision() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(["fp32", "bf16"]).map(|name| match name.as_str() {
        "bf16" => Precision::Bf16,
        _ => Precision::Fp32,
    })
}

fn device(word: &str) -> Result<Device, String> {
    word.parse()
        .map_err(|error: DeviceError| match error.hint() {
            Some(hint) => format!("{error}\nhint: {hint}"),
            None => error.to_string(),
        })
}
