//! Raw text to one token store.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::pump::{Watch, count_lines, pump, sizes};
use super::row::specials_of;
use super::windows::{WindowSettings, prepare_windows};
use crate::data::corpus::{CorpusReader, LongLines, cut_line};
use crate::data::encode::{SINGLE_SPECIALS, encode_single};
use crate::data::error::DataError;
use crate::data::report::{FileReport, PrepReport, SplitReport, WindowReport};
use crate::data::store::{StoreMeta, StoreWriter};
use crate::data::tokenizer::{SpecialTokens, Tokenizer};

/// What [`prepare_corpus`] works on.
#[derive(Debug, Clone)]
pub struct CorpusSettings {
    /// Text files, one paragraph a line, in the order to be read.
    pub files: Vec<PathBuf>,
    /// Folder of the tokenizer.
    pub tokenizer: PathBuf,
    /// Longest example in tokens, special tokens included.
    pub max_seq_length: usize,
    /// What happens to longer lines.
    pub long_lines: LongLines,
    /// How documents become examples; lines by themselves where `None`.
    pub windows: Option<WindowSettings>,
}

/// Writes the token store `train/` and `report.json` into `output`: one example a line that is
/// not blank, or several where a long line is split.
///
/// # Errors
/// Where a file does not read or is not UTF-8, no line has text, the tokenizer does not load,
/// the disk is full, or it was stopped. The output is then not a store.
pub fn prepare_corpus(
    settings: &CorpusSettings,
    output: &Path,
    watch: Watch,
) -> Result<PrepReport, DataError> {
    let begin = Instant::now();
    if let Some(windows) = &settings.windows {
        return prepare_documents(settings, windows, output, watch);
    }
    let least = SINGLE_SPECIALS + 1;
    if settings.max_seq_length < least {
        return Err(DataError::MaxSeqLength {
            found: settings.max_seq_length,
            least,
        });
    }
    let tokenizer = Tokenizer::load(&settings.tokenizer)?;
    let bytes_total = sizes(&settings.files)?.iter().sum();
    let mut lines = LineStore::create(settings, &tokenizer, output)?;
    let reader = pump(
        CorpusReader::new(&settings.files),
        || tokenizer.session(),
        |reader: &mut CorpusReader| {
            let line = reader.next_line()?;
            Ok(line.map(|line| (line.to_owned(), line.len())))
        },
        CorpusReader::bytes_read,
        |session, line| -> Result<_, tokenizers::Error> {
            let mut pieces = Vec::new();
            session.encode(&line, &mut pieces)?;
            Ok(pieces)
        },
        |pieces: Vec<u32>| lines.push(&pieces),
        |bytes_done| {
            (watch.progress)(bytes_done, bytes_total);
            watch.check()
        },
    )?;
    let files = count_lines(&settings.files, &reader, &mut lines.split)?;
    let report = report(files, lines.finish()?, None, begin);
    report.write(output)?;
    Ok(report)
}

/// The store of a corpus by lines, and what is counted of them.
struct LineStore {
    writer: StoreWriter,
    split: SplitReport,
    special: SpecialTokens,
    longest: usize,
    long_lines: LongLines,
}

impl LineStore {
    fn create(
        settings: &CorpusSettings,
        tokenizer: &Tokenizer,
        output: &Path,
    ) -> Result<Self, DataError> {
        let (longest, special) = (settings.max_seq_length, tokenizer.special());
        let meta = StoreMeta::new(longest, tokenizer.vocab_size(), special.pad, Vec::new());
        Ok(Self {
            writer: StoreWriter::create(&output.join("train"), meta)?,
            split: SplitReport::new("train", &[]),
            special,
            longest,
            long_lines: settings.long_lines,
        })
    }

    /// Writes a line as an example, or as several.
    fn push(&mut self, pieces: &[u32]) -> Result<(), DataError> {
        let (split, special) = (&mut self.split, self.special);
        let room = self.longest - SINGLE_SPECIALS;
        // A line of characters that the tokenizer drops, such as soft hyphens.
        split.blank += u64::from(pieces.is_empty());
        if pieces.len() > room {
            match self.long_lines {
                LongLines::Split => split.split += 1,
                LongLines::Truncate => split.truncated += 1,
            }
        }
        for pieces in cut_line(pieces, room, self.long_lines) {
            let encoded = encode_single(pieces, special, self.longest);
            split.unknown += pieces.iter().filter(|&&id| id == special.unk).count() as u64;
            let (ids, start) = (&encoded.input_ids, encoded.text_b_start);
            self.writer.push(ids, start, None)?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<SplitReport, DataError> {
        let meta = self.writer.finish()?;
        self.split.rows_out = meta.examples;
        self.split.tokens = meta.tokens;
        self.split.complete(SINGLE_SPECIALS);
        Ok(self.split)
    }
}

/// [`prepare_corpus`] with windows.
fn prepare_documents(
    settings: &CorpusSettings,
    windows: &WindowSettings,
    output: &Path,
    watch: Watch,
) -> Result<PrepReport, DataError> {
    let begin = Instant::now();
    let tokenizer = Tokenizer::load(&settings.tokenizer)?;
    let made = prepare_windows(
        &settings.files,
        &tokenizer,
        settings.max_seq_length,
        windows,
        output,
        watch,
    )?;
    let mut split = made.split;
    split.complete(specials_of(tokenizer.special(), windows.pairs.is_some()));
    let report = report(made.files, split, Some(made.windows), begin);
    report.write(output)?;
    Ok(report)
}

fn report(
    files: Vec<FileReport>,
    split: SplitReport,
    windows: Option<WindowReport>,
    begin: Instant,
) -> PrepReport {
    PrepReport {
        bytes_read: files.iter().map(|file| file.bytes).sum(),
        files,
        splits: vec![split],
        windows,
        seconds: begin.elapsed().as_secs_f64(),
        ..PrepReport::default()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::data::store::TokenStore;
    use crate::data::tokenizer::tests::folder;

    static GO: AtomicBool = AtomicBool::new(false);
    static STOP: AtomicBool = AtomicBool::new(true);

    fn prepare(
        content: &str,
        long_lines: LongLines,
        stop: &AtomicBool,
    ) -> (tempfile::TempDir, Result<PrepReport, DataError>) {
        let folder = folder();
        let file = folder.path().join("text.txt");
        fs::write(&file, content).unwrap();
        let settings = CorpusSettings {
            files: vec![file],
            tokenizer: folder.path().to_owned(),
            max_seq_length: 4,
            long_lines,
            windows: None,
        };
        let seen = RefCell::new(Vec::new());
        let watch = Watch {
            progress: &|done, total| seen.borrow_mut().push((done, total)),
            stop,
        };
        let report = prepare_corpus(&settings, &folder.path().join("out"), watch);
        if report.is_ok() {
            let size = content.len() as u64;
            assert_eq!(seen.borrow().last(), Some(&(size, size)));
        }
        (folder, report)
    }

    fn examples(folder: &tempfile::TempDir) -> Vec<Vec<u32>> {
        let store = TokenStore::open(&folder.path().join("out/train")).unwrap();
        (0..store.len())
            .map(|i| store.input_ids(i).to_vec())
            .collect()
    }

    #[test]
    fn a_long_line_becomes_several_examples_or_is_cut() {
        let text = "a good film not bad\n\n\u{ad}\nwhat\n";
        let (folder, report) = prepare(text, LongLines::Split, &GO);
        let report = report.unwrap();
        let expected = [
            vec![2, 5, 6, 3],
            vec![2, 7, 15, 3],
            vec![2, 8, 3],
            vec![2, 1, 3],
        ];
        assert_eq!(examples(&folder), expected);
        let split = &report.splits[0];
        assert_eq!((split.rows_in, split.rows_out, split.blank), (4, 4, 2));
        assert_eq!((split.split, split.truncated, split.tokens), (1, 0, 14));
        assert_eq!((split.unknown, split.unknown_share), (1, 1.0 / 6.0));
        let text = fs::read(folder.path().join("out/report.json")).unwrap();
        assert_eq!(serde_json::from_slice::<PrepReport>(&text).unwrap(), report);

        let (folder, report) = prepare("a good film not bad\nwhat", LongLines::Truncate, &GO);
        assert_eq!(examples(&folder), [vec![2, 5, 6, 3], vec![2, 1, 3]]);
        let split = &report.unwrap().splits[0];
        assert_eq!((split.split, split.truncated), (0, 1));
        assert!((split.truncated_share - 0.5).abs() < 1e-12);
    }

    #[test]
    fn many_chunks_are_written_in_order() {
        let lines: String = (0..9000)
            .map(|i| ["a", "good", "film", "bad", "not"][i % 5].to_owned() + "\n")
            .collect();
        let (folder, _) = prepare(&lines, LongLines::Split, &GO);
        let found: Vec<u32> = examples(&folder).iter().map(|ids| ids[1]).collect();
        let expected: Vec<u32> = (0..9000).map(|i| [5, 6, 7, 8, 15][i % 5]).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_corpus_of_blank_lines_is_an_error() {
        for content in ["", "\n \n\u{ad}\n"] {
            let (folder, report) = prepare(content, LongLines::Split, &GO);
            let error = report.unwrap_err().to_string();
            assert!(
                error.ends_with("text.txt` has no line that is not blank"),
                "{error}"
            );
            assert!(TokenStore::open(&folder.path().join("out/train")).is_err());
        }
    }

    #[test]
    fn the_stop_flag_ends_it() {
        let (_folder, report) = prepare("a\n", LongLines::Split, &STOP);
        assert!(matches!(report, Err(DataError::Interrupted)));
    }
}
