//! Labelled tables to two token stores.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::found_labels::{find_labels, no_rows, no_text};
use super::pump::{Watch, pump, sizes};
use crate::data::encode::{Encoded, PAIR_SPECIALS, SINGLE_SPECIALS, encode_pair, encode_single};
use crate::data::error::{DataError, Place};
use crate::data::labels::{LabelRule, LabelSet};
use crate::data::report::{FileReport, PrepReport, SplitReport};
use crate::data::split::{is_dev, text_hash};
use crate::data::store::{StoreMeta, StoreWriter};
use crate::data::table::{TableLayout, TableReader, TableRow};
use crate::data::tokenizer::{Session, SpecialTokens, Tokenizer};

/// Where the dev examples come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Dev {
    /// A table of its own, with the columns of the training tables.
    Table(PathBuf),
    /// This share of the training tables, 0 to 1, by hash of the text.
    Fraction(f64),
}

/// What [`prepare_task`] works on.
#[derive(Debug, Clone)]
pub struct TaskSettings {
    /// Training tables, in the order to be read.
    pub train: Vec<PathBuf>,
    /// Dev examples.
    pub dev: Dev,
    /// Further tables to score on: the folder of the store, and the table.
    pub more_dev: Vec<(String, PathBuf)>,
    /// Columns of all tables.
    pub layout: TableLayout,
    /// Classes.
    pub labels: LabelRule,
    /// Folder of the tokenizer.
    pub tokenizer: PathBuf,
    /// Longest example in tokens, special tokens included.
    pub max_seq_length: usize,
}

/// Writes the token stores `train/` and `dev/` and `report.json` into `output`.
///
/// # Errors
/// Where a table is at fault (see [`DataError`]), a side has no rows, the tokenizer does not
/// load, the disk is full, or it was stopped. The output then lacks a whole store.
pub fn prepare_task(
    settings: &TaskSettings,
    output: &Path,
    watch: Watch,
) -> Result<PrepReport, DataError> {
    let begin = Instant::now();
    let specials = if settings.layout.pair.is_some() {
        PAIR_SPECIALS
    } else {
        SINGLE_SPECIALS
    };
    // One token a text.
    let least = 2 * specials - 1;
    if settings.max_seq_length < least {
        return Err(DataError::MaxSeqLength {
            found: settings.max_seq_length,
            least,
        });
    }
    let tokenizer = Tokenizer::load(&settings.tokenizer)?;
    let labels = match &settings.labels {
        LabelRule::Given(labels) => labels.clone(),
        LabelRule::Values => LabelSet::none(),
        LabelRule::Found => find_labels(&settings.train, &settings.layout, &watch)?,
    };
    let dev_table = match &settings.dev {
        Dev::Table(path) => std::slice::from_ref(path),
        Dev::Fraction(_) => &[],
    };
    let more: Vec<PathBuf> = settings
        .more_dev
        .iter()
        .map(|(_, path)| path.clone())
        .collect();
    let paths = [dev_table, &more, &settings.train].concat();
    let bytes_total = sizes(&paths)?.iter().sum();
    let mut preparation = Preparation {
        settings,
        train: Side::create("train", output, settings, &tokenizer, &labels)?,
        dev: Side::create("dev", output, settings, &tokenizer, &labels)?,
        more: settings
            .more_dev
            .iter()
            .map(|(name, _)| Side::create(name, output, settings, &tokenizer, &labels))
            .collect::<Result<_, _>>()?,
        tokenizer,
        labels,
        dev_hashes: HashSet::new(),
        train_texts_in_dev: 0,
        files: Vec::new(),
        bytes_total,
        watch,
    };
    // Dev first: its texts are looked for among the training rows.
    for path in dev_table {
        preparation.read_table(path, |_| Target::Dev)?;
    }
    for (index, path) in more.iter().enumerate() {
        preparation.read_table(path, |_| Target::More(index))?;
    }
    for path in &settings.train {
        preparation.read_table(path, |hash| match settings.dev {
            Dev::Fraction(fraction) if is_dev(hash, fraction) => Target::Dev,
            _ => Target::Train,
        })?;
    }
    let report = preparation.finish(dev_table, specials, begin)?;
    report.write(output)?;
    Ok(report)
}

/// One store being written, and what was counted of it.
struct Side {
    writer: StoreWriter,
    report: SplitReport,
}

impl Side {
    fn create(
        name: &str,
        output: &Path,
        settings: &TaskSettings,
        tokenizer: &Tokenizer,
        labels: &LabelSet,
    ) -> Result<Self, DataError> {
        let meta = StoreMeta::new(
            settings.max_seq_length,
            tokenizer.vocab_size(),
            tokenizer.special().pad,
            labels.names().to_vec(),
        );
        Ok(Self {
            writer: StoreWriter::create(&output.join(name), meta)?,
            report: SplitReport::new(name, labels.names()),
        })
    }

    fn finish(self, specials: usize) -> Result<SplitReport, DataError> {
        let Self { writer, mut report } = self;
        let meta = writer.finish()?;
        report.rows_out = meta.examples;
        report.tokens = meta.tokens;
        report.complete(specials);
        Ok(report)
    }
}

/// A row after its text is cut into word pieces.
struct EncodedRow {
    /// `None` where the row is blank.
    example: Option<Encoded>,
    unknown: u64,
    /// Class, where there are classes.
    class: Option<usize>,
    /// Class as a number, or value of a regression.
    value: f32,
    hash: u64,
    target: Target,
}

/// The store that a row goes to.
#[derive(Clone, Copy)]
enum Target {
    Train,
    Dev,
    /// One of [`TaskSettings::more_dev`].
    More(usize),
}

struct Preparation<'a> {
    settings: &'a TaskSettings,
    tokenizer: Tokenizer,
    labels: LabelSet,
    train: Side,
    dev: Side,
    more: Vec<Side>,
    /// Of a dev table; 8 bytes a row and not its text.
    dev_hashes: HashSet<u64>,
    train_texts_in_dev: u64,
    files: Vec<FileReport>,
    bytes_total: u64,
    watch: Watch<'a>,
}

impl Preparation<'_> {
    /// Writes the rows of a table to the store that `target` says of their hash.
    fn read_table(
        &mut self,
        path: &Path,
        target: impl Fn(u64) -> Target + Sync,
    ) -> Result<(), DataError> {
        let Self {
            settings,
            tokenizer,
            labels,
            train,
            dev,
            more,
            dev_hashes,
            train_texts_in_dev,
            files,
            bytes_total,
            watch,
        } = self;
        let bytes_before: u64 = files.iter().map(|file| file.bytes).sum();
        let file_bytes = sizes(&[path.to_owned()])?[0];
        let mut rows = 0;
        let special = tokenizer.special();
        let table = pump(
            TableReader::open(path, &settings.layout)?,
            tokenizer,
            |table: &mut TableReader| {
                let Some(row) = table.next_row()? else {
                    return Ok(None);
                };
                // A blank row is dropped, whatever its label says.
                let label = if row.is_blank() {
                    (None, 0.0)
                } else {
                    label_of(&row, path, labels, &settings.labels)?
                };
                let bytes = row.text.len() + row.pair.as_ref().map_or(0, String::len);
                Ok(Some(((row, label), bytes)))
            },
            TableReader::bytes_read,
            |session, (row, (class, value))| {
                let hash = text_hash(&row.text, row.pair.as_deref());
                let (example, unknown) = encode(session, &row, special, settings.max_seq_length)?;
                Ok(EncodedRow {
                    example,
                    unknown,
                    class,
                    value,
                    hash,
                    target: target(hash),
                })
            },
            |row: EncodedRow| {
                rows += 1;
                let side = match row.target {
                    Target::Train => &mut *train,
                    Target::Dev => &mut *dev,
                    Target::More(index) => &mut more[index],
                };
                side.report.rows_in += 1;
                let Some(example) = row.example else {
                    side.report.blank += 1;
                    return Ok(());
                };
                match (&settings.dev, row.target) {
                    (Dev::Table(_), Target::Train) => {
                        *train_texts_in_dev += u64::from(dev_hashes.contains(&row.hash));
                    }
                    (Dev::Table(_), _) => {
                        dev_hashes.insert(row.hash);
                    }
                    // A text is on one side only.
                    (Dev::Fraction(_), _) => {}
                }
                side.report.truncated += u64::from(example.truncated);
                side.report.unknown += row.unknown;
                if let Some(class) = row.class {
                    side.report.labels[class].examples += 1;
                }
                side.writer
                    .push(&example.input_ids, example.text_b_start, Some(row.value))?;
                Ok(())
            },
            |bytes_done| {
                (watch.progress)(bytes_before + bytes_done.min(file_bytes), *bytes_total);
                watch.check()
            },
        )?;
        if rows == 0 {
            return Err(no_rows(path));
        }
        files.push(FileReport {
            path: path.to_owned(),
            rows,
            skipped: table.skipped(),
            bytes: file_bytes,
        });
        Ok(())
    }

    fn finish(
        self,
        dev_table: &[PathBuf],
        specials: usize,
        begin: Instant,
    ) -> Result<PrepReport, DataError> {
        let sides = [
            (&self.train, &self.settings.train[..]),
            (&self.dev, dev_table),
        ];
        let examples = |side: &Side| side.report.rows_in - side.report.blank;
        for (index, (side, tables)) in sides.into_iter().enumerate() {
            if examples(side) > 0 {
                continue;
            }
            return Err(match self.settings.dev {
                Dev::Fraction(fraction) if sides.iter().any(|(side, _)| examples(side) > 0) => {
                    DataError::SplitEmpty {
                        fraction,
                        side: ["train", "dev"][index],
                    }
                }
                _ => no_text(tables),
            });
        }
        let train = self.train.finish(specials)?;
        let dev = self.dev.finish(specials)?;
        let mut splits = vec![train, dev];
        for (side, (_, table)) in self.more.into_iter().zip(&self.settings.more_dev) {
            if side.report.rows_in == side.report.blank {
                return Err(no_text(std::slice::from_ref(table)));
            }
            splits.push(side.finish(specials)?);
        }
        Ok(PrepReport {
            bytes_read: self.files.iter().map(|file| file.bytes).sum(),
            files: self.files,
            splits,
            train_texts_in_dev: self.train_texts_in_dev,
            seconds: begin.elapsed().as_secs_f64(),
        })
    }
}

/// Class of a row and that as a number, or its value.
fn label_of(
    row: &TableRow,
    path: &Path,
    labels: &LabelSet,
    rule: &LabelRule,
) -> Result<(Option<usize>, f32), DataError> {
    let found = match rule {
        LabelRule::Values => row
            .label
            .parse()
            .ok()
            .filter(|value: &f32| value.is_finite())
            .map(|value| (None, value)),
        _ => labels
            .class(&row.label)
            .map(|class| (Some(class), class as f32)),
    };
    found.ok_or_else(|| {
        let (place, label) = (Place::new(path, row.line), row.label.clone());
        let known = labels.spellings().to_vec();
        match rule {
            LabelRule::Values => DataError::LabelNoNumber { place, label },
            LabelRule::Given(_) => DataError::LabelUnknown {
                place,
                label,
                allowed: known,
            },
            LabelRule::Found => DataError::LabelUnseen {
                place,
                label,
                found: known,
            },
        }
    })
}

/// The example of a row, `None` where it is blank, and its number of unknown tokens.
fn encode(
    session: &mut Session,
    row: &TableRow,
    special: SpecialTokens,
    max_seq_length: usize,
) -> Result<(Option<Encoded>, u64), tokenizers::Error> {
    if row.is_blank() {
        return Ok((None, 0));
    }
    let mut pieces = Vec::new();
    session.encode(&row.text, &mut pieces)?;
    let example = if let Some(pair) = &row.pair {
        let length = pieces.len();
        session.encode(pair, &mut pieces)?;
        let (a, b) = pieces.split_at(length);
        encode_pair(a, b, special, max_seq_length)
    } else {
        encode_single(&pieces, special, max_seq_length)
    };
    let unknown = example.input_ids.iter().filter(|&&id| id == special.unk);
    let unknown = unknown.count() as u64;
    Ok((Some(example), unknown))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::sync::atomic::AtomicBool;

    use tempfile::TempDir;

    use super::*;
    use crate::data::labels::MAX_LABELS;
    use crate::data::report::LabelCount;
    use crate::data::store::TokenStore;
    use crate::data::table::TableFormat;
    use crate::data::tokenizer::tests::folder;

    static GO: AtomicBool = AtomicBool::new(false);

    fn settings(folder: &TempDir, train: &str, dev: Option<&str>) -> TaskSettings {
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            path
        };
        TaskSettings {
            train: vec![write("train.tsv", train)],
            dev: dev.map_or(Dev::Fraction(0.3), |dev| Dev::Table(write("dev.tsv", dev))),
            layout: TableLayout {
                format: TableFormat::Auto,
                text: "sentence".to_owned(),
                pair: None,
                label: "label".to_owned(),
                columns: None,
                skip_short: false,
            },
            more_dev: Vec::new(),
            labels: LabelRule::Found,
            tokenizer: folder.path().to_owned(),
            max_seq_length: 5,
        }
    }

    fn prepare(settings: &TaskSettings, folder: &TempDir) -> Result<PrepReport, DataError> {
        let watch = Watch {
            progress: &|done, total| assert!(done <= total),
            stop: &GO,
        };
        prepare_task(settings, &folder.path().join("out"), watch)
    }

    fn fault(train: &str, dev: &str) -> DataError {
        let folder = folder();
        prepare(&settings(&folder, train, Some(dev)), &folder).unwrap_err()
    }

    fn open(folder: &TempDir, side: &str) -> TokenStore {
        TokenStore::open(&folder.path().join("out").join(side)).unwrap()
    }

    const TRAIN: &str =
        "sentence\tlabel\na good film\t1\nnot a good film\t0\n \t1\nbad .\t0\nwhat\t1\n";
    const DEV: &str = "sentence\tlabel\nbad . \t1\ngood\t0\n";

    #[test]
    fn tables_become_two_stores_and_a_report() {
        let folder = folder();
        let mut settings = settings(&folder, TRAIN, Some(DEV));
        settings.labels = LabelRule::Given(LabelSet::spelt(
            &["0", "1"],
            ["negative", "positive"].map(str::to_owned).to_vec(),
        ));
        let report = prepare(&settings, &folder).unwrap();
        let train = open(&folder, "train");
        assert_eq!(train.len(), 4);
        assert_eq!(train.input_ids(0), [2, 5, 6, 7, 3]);
        assert_eq!(train.input_ids(1), [2, 15, 5, 6, 3]);
        assert_eq!(train.label(1), Some(0.0));
        assert_eq!(train.text_b_start(1), 5);
        assert_eq!(train.meta().labels, ["negative", "positive"]);
        assert_eq!(open(&folder, "dev").len(), 2);

        let split = &report.splits[0];
        assert_eq!((split.rows_in, split.rows_out, split.blank), (5, 4, 1));
        assert_eq!((split.truncated, split.unknown, split.tokens), (1, 1, 17));
        assert!((split.truncated_share - 0.25).abs() < 1e-12);
        assert!((split.unknown_share - 1.0 / 9.0).abs() < 1e-12);
        let counts = ["negative", "positive"].map(|name| LabelCount {
            name: name.to_owned(),
            examples: 2,
        });
        assert_eq!(split.labels, counts);
        assert_eq!(report.train_texts_in_dev, 1);
        assert_eq!(report.bytes_read, (TRAIN.len() + DEV.len()) as u64);
        let text = fs::read(folder.path().join("out/report.json")).unwrap();
        assert_eq!(serde_json::from_slice::<PrepReport>(&text).unwrap(), report);
    }

    #[test]
    fn a_pair_has_both_its_texts() {
        let folder = folder();
        let table = "a\tb\tlabel\ngood\tbad\tx\nfilm\t\ty\n";
        let mut settings = settings(&folder, table, Some(table));
        settings.layout.text = "a".to_owned();
        settings.layout.pair = Some("b".to_owned());
        prepare(&settings, &folder).unwrap();
        let train = open(&folder, "train");
        assert_eq!(train.input_ids(0), [2, 6, 3, 8, 3]);
        assert_eq!(train.input_ids(1), [2, 7, 3, 3]);
        assert_eq!([0, 1].map(|i| train.text_b_start(i)), [3, 3]);
        assert_eq!(train.meta().labels, ["x", "y"]);
        settings.max_seq_length = 4;
        let error = prepare(&settings, &folder).unwrap_err();
        assert!(matches!(error, DataError::MaxSeqLength { least: 5, .. }));
    }

    #[test]
    fn a_fraction_keeps_duplicates_on_one_side() {
        let folder = folder();
        let table: Vec<String> = (0..400)
            .map(|i| format!("{}\t{}", "good ".repeat(i % 97), i % 2))
            .collect();
        let table = format!("sentence\tlabel\n{}", table.join("\n"));
        let mut settings = settings(&folder, &table, None);
        settings.max_seq_length = 128;
        let report = prepare(&settings, &folder).unwrap();
        let texts = |side: &str| -> BTreeSet<usize> {
            let store = open(&folder, side);
            (0..store.len()).map(|i| store.length(i)).collect()
        };
        assert!(texts("train").is_disjoint(&texts("dev")));
        assert_eq!(texts("train").len() + texts("dev").len(), 96);
        let [train, dev] = &report.splits[..] else {
            panic!("two splits");
        };
        assert_eq!(train.rows_in + dev.rows_in, 400);
        // 0.3 of the texts; standard deviation 4.5 of 96.
        assert!((15..43).contains(&texts("dev").len()));
    }

    #[test]
    fn the_same_data_gives_the_same_bytes() {
        let bytes = || {
            let folder = folder();
            prepare(&settings(&folder, TRAIN, Some(DEV)), &folder).unwrap();
            [
                "train/tokens.bin",
                "train/rows.bin",
                "train/store.json",
                "dev/rows.bin",
            ]
            .map(|name| fs::read(folder.path().join("out").join(name)).unwrap())
        };
        assert_eq!(bytes(), bytes());
    }

    #[test]
    fn a_label_that_training_lacks_is_named_with_its_line_and_those_it_has() {
        let error = fault(TRAIN, "sentence\tlabel\ngood\t1\ngood\t2\n");
        let text = error.to_string();
        assert!(
            text.ends_with(
                "dev.tsv:3` has the label `2`, which no training row has; they have `0`, `1`"
            ),
            "{text}"
        );
        assert!(error.hint().is_some());
    }

    #[test]
    fn the_labels_of_a_regression_are_numbers() {
        let folder = folder();
        let train = "sentence\tlabel\ngood\t2.5\nbad\t0\n";
        let mut settings = settings(&folder, train, Some("sentence\tlabel\na\t5\n"));
        settings.labels = LabelRule::Values;
        prepare(&settings, &folder).unwrap();
        let store = open(&folder, "train");
        assert_eq!((store.label(0), store.label(1)), (Some(2.5), Some(0.0)));
        assert!(store.meta().labels.is_empty());
        std::fs::write(&settings.train[0], "sentence\tlabel\ngood\thigh\n").unwrap();
        let error = prepare(&settings, &folder).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("train.tsv:2` has the label `high`, which is no number"),
            "{error}"
        );
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_column_of_one_label_or_of_a_thousand_is_no_label() {
        let error = fault("sentence\tlabel\na\tx\nb\tx\n", DEV);
        assert!(matches!(&error, DataError::LabelSingle { label, .. } if label == "x"));
        assert!(error.hint().is_some());
        let rows: Vec<String> = (0..=MAX_LABELS).map(|i| format!("a\t{i}.5")).collect();
        let error = fault(&format!("sentence\tlabel\n{}", rows.join("\n")), DEV);
        assert!(matches!(error, DataError::LabelsMany { .. }), "{error}");
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_table_without_rows_is_an_error() {
        let error = fault(TRAIN, "sentence\tlabel\n").to_string();
        assert!(
            error.ends_with("dev.tsv` has no rows below the header"),
            "{error}"
        );
        let error = fault(TRAIN, "sentence\tlabel\n \t1\n").to_string();
        assert!(
            error.ends_with("dev.tsv` has no row with a text"),
            "{error}"
        );
        let error = fault("sentence\tlabel\n", DEV).to_string();
        assert!(
            error.ends_with("train.tsv` has no rows below the header"),
            "{error}"
        );
    }

    #[test]
    fn a_fraction_that_leaves_a_side_empty_is_an_error() {
        let folder = folder();
        let mut settings = settings(&folder, TRAIN, None);
        for (fraction, expected) in [(0.0, "dev"), (1.0, "train")] {
            settings.dev = Dev::Fraction(fraction);
            let error = prepare(&settings, &folder).unwrap_err();
            assert!(
                matches!(error, DataError::SplitEmpty { side, .. } if side == expected),
                "{error}"
            );
        }
    }
}
