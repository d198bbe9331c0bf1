//! What a foreign file is called, and how it becomes what is expected.

use std::path::{Path, PathBuf};

use super::magic::{ByteOrder, Compression, Kind, Pointer};
use super::{Expected, Foreign, STDIN};

impl Foreign {
    /// What it is, with an article: `a gzip-compressed file`.
    pub fn what(&self) -> String {
        match self.kind {
            Kind::Compressed(program) => format!("{}-compressed", program.name()),
            Kind::Archive(form)
            | Kind::Spreadsheet(form)
            | Kind::Frame { form, .. }
            | Kind::OtherWeights(form)
            | Kind::Other(form) => with_article(form),
            Kind::ArrowStream => "an Arrow stream (as `datasets` caches it)".to_owned(),
            Kind::Hdf5 => "an HDF5 file".to_owned(),
            Kind::Sqlite => "an SQLite database".to_owned(),
            Kind::Json | Kind::JsonRecords => "JSON".to_owned(),
            Kind::JsonLines => "JSON lines".to_owned(),
            Kind::Html => "a web page (HTML)".to_owned(),
            Kind::Xml => "XML".to_owned(),
            Kind::Pointer(Pointer::Lfs) => "a Git LFS pointer, not the file itself".to_owned(),
            Kind::Pointer(Pointer::Annex) => "a git-annex pointer, not the file itself".to_owned(),
            Kind::TfRecord => "a TFRecord file".to_owned(),
            Kind::MindRecord => "a MindRecord file".to_owned(),
            Kind::Pickle => "a Python pickle".to_owned(),
            Kind::TorchArchive => "a PyTorch file".to_owned(),
            Kind::Safetensors => "a safetensors file".to_owned(),
            Kind::Zeros { only: true } => "nothing but zero bytes".to_owned(),
            Kind::Zeros { only: false } => "text with zero bytes in it".to_owned(),
            Kind::Utf16(_) => "UTF-16, not UTF-8".to_owned(),
            Kind::Utf32(_) => "UTF-32, not UTF-8".to_owned(),
            Kind::Encoded(encoding) => format!("not UTF-8, most likely {encoding}"),
            Kind::UnknownEncoding => "not UTF-8".to_owned(),
            Kind::MixedEncoding => "UTF-8 in some lines and another encoding in others".to_owned(),
            Kind::CutCharacter => "UTF-8 that ends within a character".to_owned(),
            Kind::CarriageReturns => "text whose lines end in a carriage return alone".to_owned(),
        }
    }

    /// What to do about it, with a command that can be pasted where one is certain to help.
    pub fn hint(&self, path: &Path) -> Option<String> {
        let expected = self.expected;
        Some(match self.kind {
            Kind::Pointer(Pointer::Lfs) => {
                "run `git lfs pull` in its repository to fetch the file".to_owned()
            }
            Kind::Pointer(Pointer::Annex) => {
                "run `git annex get` in its repository to fetch the file".to_owned()
            }
            Kind::Html => "download the file again: the server sent a page instead of it, often one to sign in"
                .to_owned(),
            Kind::Zeros { only: true } => {
                "copy or download it again: its content was never written".to_owned()
            }
            Kind::CutCharacter => "copy or download it again: its end is missing".to_owned(),
            _ if expected == Expected::Weights => return self.hint_for_weights(path),
            Kind::Compressed(program) => with_command(
                "unpack it",
                path,
                &unpacked(path),
                |from, to| format!("{} -dc < {from} > {to}", program.name()),
            ),
            Kind::Utf16(order) => recode("UTF-16", order, path),
            Kind::Utf32(order) => recode("UTF-32", order, path),
            Kind::Encoded(encoding) => convert_by_iconv(encoding, path),
            Kind::MixedEncoding => with_command(
                "convert only the lines that are not UTF-8; list them",
                path,
                Path::new(""),
                |from, _| format!("grep -naxv '.*' {from}"),
            ),
            Kind::CarriageReturns => with_command(
                "convert its line ends",
                path,
                &beside(path, "lines", None),
                |from, to| format!("tr '\\r' '\\n' < {from} > {to}"),
            ),
            Kind::Zeros { only: false } => with_command(
                "copy it again, or remove the zero bytes",
                path,
                &beside(path, "clean", None),
                |from, to| format!("tr -d '\\000' < {from} > {to}"),
            ),
            Kind::Archive(_) => "unpack it first".to_owned(),
            Kind::UnknownEncoding if path == Path::new(STDIN) => {
                "convert it to UTF-8, for example by `iconv -f ENCODING -t UTF-8`".to_owned()
            }
            Kind::UnknownEncoding => "save it as UTF-8 in the program that wrote it".to_owned(),
            Kind::TfRecord | Kind::MindRecord => match expected {
                Expected::Corpus => "records and text cannot be mixed in one `corpus`",
                _ => "records and tables cannot be mixed: `train` and `dev` must both be records",
            }
            .to_owned(),
            _ if expected == Expected::Corpus => {
                "a corpus is plain text, one paragraph per line".to_owned()
            }
            Kind::Spreadsheet(_) => {
                "save the sheet as \"CSV UTF-8\" in the spreadsheet program".to_owned()
            }
            Kind::Frame { reader, .. } => by_pandas(path, &format!("{reader}({PATH})")),
            Kind::JsonLines => by_pandas(path, &format!("read_json({PATH}, lines=True)")),
            Kind::JsonRecords => by_pandas(path, &format!("read_json({PATH})")),
            Kind::Json => "convert it to CSV with a header row, one example per row".to_owned(),
            Kind::ArrowStream => {
                "export it with `datasets`: `Dataset.from_file(FILE).to_csv(FILE)`".to_owned()
            }
            Kind::Sqlite => {
                "export its table: `sqlite3 -header -csv FILE 'SELECT * FROM TABLE'`".to_owned()
            }
            _ => "a table is CSV or TSV with a header row".to_owned(),
        })
    }

    fn hint_for_weights(&self, path: &Path) -> Option<String> {
        Some(match self.kind {
            Kind::Compressed(program) => {
                with_command("unpack it", path, &unpacked(path), |from, to| {
                    format!("{} -dc < {from} > {to}", program.name())
                })
            }
            Kind::Archive(_) => "unpack it first".to_owned(),
            Kind::Hdf5 => "convert weights of TensorFlow with `transformers`: \
                           `BertModel.from_pretrained(FOLDER, from_tf=True).save_pretrained(OTHER)`"
                .to_owned(),
            Kind::OtherWeights(_) => {
                "use the model's `model.safetensors` or `pytorch_model.bin`".to_owned()
            }
            _ => return None,
        })
    }
}

impl Compression {
    /// Of the format and of the program.
    fn name(self) -> &'static str {
        match self {
            Self::Gzip | Self::Compress => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Lzip => "lzip",
        }
    }

    /// Endings that go when a file is unpacked.
    const ENDINGS: [&'static str; 9] = ["gz", "tgz", "z", "bz2", "xz", "zst", "zstd", "lz4", "lz"];
}

fn with_article(form: &str) -> String {
    // Of letters spoken one by one, `an` stands before those that begin with a vowel's sound.
    let first = form.chars().next();
    let is_vowel = first.is_some_and(|first| "aeioAEIO".contains(first))
        || ["RTF", "R data", "SPSS"]
            .iter()
            .any(|word| form.starts_with(word));
    format!("{} {form}", if is_vowel { "an" } else { "a" })
}

fn recode(encoding: &str, order: ByteOrder, path: &Path) -> String {
    match order {
        ByteOrder::Mark => convert_by_iconv(encoding, path),
        ByteOrder::Little => convert_by_iconv(&format!("{encoding}LE"), path),
        ByteOrder::Big => convert_by_iconv(&format!("{encoding}BE"), path),
    }
}

fn convert_by_iconv(encoding: &str, path: &Path) -> String {
    if path == Path::new(STDIN) {
        return format!("convert it by `iconv -f {encoding} -t UTF-8`");
    }
    with_command(
        "convert it",
        path,
        &beside(path, "utf8", None),
        |from, to| format!("iconv -f {encoding} -t UTF-8 < {from} > {to}"),
    )
}

/// Stands for the path in a call of pandas.
const PATH: &str = "PATH";

fn by_pandas(path: &Path, call: &str) -> String {
    let is_csv = path.extension().is_some_and(|ending| ending == "csv");
    let to = beside(path, if is_csv { "converted" } else { "" }, Some("csv"));
    with_command("convert it", path, &to, |from, to| {
        let call = call.replace(PATH, "sys.argv[1]");
        format!(
            "python3 -c 'import sys, pandas; pandas.{call}.to_csv(sys.argv[2], index=False)' {from} {to}"
        )
    })
}

/// The words and a command for a shell; the words alone where a path cannot be pasted or is that
/// of a stream, or where the command would overwrite a file.
fn with_command(
    words: &str,
    from: &Path,
    to: &Path,
    command: impl Fn(&str, &str) -> String,
) -> String {
    match (quoted(from), quoted(to)) {
        (Some(named), Some(quoted_to)) if !to.is_file() && from != Path::new(STDIN) => {
            format!("{words}: `{}`", command(&named, &quoted_to))
        }
        _ => words.to_owned(),
    }
}

/// A path as a shell takes it for one word and a program for no option. `None` where it holds what is not to
/// be pasted into a terminal.
fn quoted(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    if text.chars().any(|letter| {
        crate::input::excerpt(&letter.to_string()).starts_with("\\u") || letter.is_control()
    }) {
        return None;
    }
    let text = if text.starts_with('-') {
        format!("./{text}")
    } else {
        text.to_owned()
    };
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+,:@%".contains(letter);
    Some(if !text.is_empty() && text.chars().all(is_plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    })
}

/// The name of the unpacked file.
fn unpacked(path: &Path) -> PathBuf {
    let is_packed = path.extension().is_some_and(|ending| {
        Compression::ENDINGS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    });
    if is_packed {
        path.with_extension("")
    } else {
        beside(path, "unpacked", None)
    }
}

/// A name for a converted file: `reviews.csv` with `utf8` is `reviews-utf8.csv`.
fn beside(path: &Path, word: &str, ending: Option<&str>) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    if !word.is_empty() {
        name.push("-");
        name.push(word);
    }
    let ending = ending
        .map(Into::into)
        .or_else(|| path.extension().map(ToOwned::to_owned));
    if let Some(ending) = ending {
        name.push(".");
        name.push(ending);
    }
    path.with_file_name(name)
}
