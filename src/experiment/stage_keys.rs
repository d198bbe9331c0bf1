//! Keys that a stage or two have: scoring on dev, the corpus, the teacher check and its cache.

use toml::Value;

use super::records::check_corpus;
use super::schema::{CorpusFormat, GateRule, LongLines, Recipe, WindowForm};
use super::setting::{At, LARGEST, Setting, choices};
use super::settings::{key, settings};
use super::windows::{WindowDefaults, Windows};
use crate::document::{Fault, Located, Section, WordOrNumber};
use crate::job::{Keep, Scoring};

choices! { Keep }

settings! {
    impl Scoring(stage, none: ()) titled "Training stages that score on dev" {
        /// Steps between two scorings on dev, in addition to the end of each epoch.
        counts eval_interval: u64 =
            key("eval-interval").range(0..).range_text("steps; 0 is off"), default 0;
        /// Early stopping: end training after this many scorings on dev in a row without a better
        /// score. The learning rate is scheduled for all epochs.
        counts patience: u64 =
            key("patience").range(0..).unless(0).range_text("scorings; 0 is off"), default 0;
        /// Weights to write: the `best` on dev (by Matthews correlation for `cola`, by the mean of
        /// Pearson and Spearman correlation for a regression, otherwise by accuracy; the earliest
        /// on a tie) or the `last`.
        counts keep: Keep = key("keep"), default Keep::Best;
    }
}

settings! {
    /// Text of general distillation.
    pub struct Corpus(stage, recipe: Recipe) titled "General distillation" checked by check_files {
        /// Text files with one paragraph per line; for records files, globs or folders.
        // They are inputs.
        recorded files: Located<Vec<Located<String>>> =
            key("corpus")
                .required(FILES)
                .kind_text("list of paths or globs")
                .range_text("at least 1");
        /// Format of the corpus: text, or records of token ids, which `auto` detects by the first
        /// file.
        counts format: CorpusFormat =
            key("corpus-format").counted_as(|format: &CorpusFormat| {
                format.records().map(|_| format.value())
            }),
            default CorpusFormat::Auto;
        /// Schema of TFRecord data (MindSpore's JSON): number of rows to read, and columns with
        /// type and shape, which are checked.
        // It is an input.
        recorded schema: Option<Located<String>> =
            key("corpus-schema")
                .kind_text("path")
                .range_text("`tfrecord` only")
                .default_text("none");
        /// Maximum input length, including special tokens; longer records are an error.
        counts max_seq_length: Option<Located<usize>> =
            key("max-seq-length")
                .range(3..=LARGEST)
                .range_text("tokens; 3 to the models' `max-position-embeddings`")
                .default_text("`128`; for records the length of the longest"),
            default format.records().is_none().then_some(128);
        /// Split longer lines into several examples, or truncate them.
        counts long_lines: LongLines = key("long-lines"), default LongLines::Split,
            written if Corpus::is_text;
        /// Examples: one line each; or windows of documents, which end at blank lines and at the end
        /// of a file. `sentences` (one per line) and `paragraphs` (cut into sentences) are pairs of
        /// texts as for BERT's pre-training: half of the second texts are from another document.
        /// `packed` fills each window with the tokens of a document.
        counts windows: Located<WindowForm> =
            key("windows").unless(WindowForm::Lines), default WindowForm::Lines,
            written if Corpus::is_text;
        /// How windows are made.
        group window: Option<Windows> =
            &WindowDefaults {
                recipe: *recipe,
                form: *windows,
            };
    }
}

impl Corpus {
    /// Whether it is text, and not records.
    pub fn is_text(&self) -> bool {
        self.format.records().is_none()
    }
}

const FILES: &str = "a list of globs of text files";

fn check_files(found: &Corpus, stage: &Section<'_>) {
    check_corpus(found.format, stage);
    let files = &found.files;
    if files.is_empty() && files.span.is_some() {
        let message = format!("{} is an empty list", stage.name("corpus"));
        let fault = Fault::new(message, files.span.clone());
        stage.wrong("corpus", fault.with_label(format!("expected {FILES}")));
    }
    if *found.windows != WindowForm::Lines && stage.has("long-lines") {
        let message = format!(
            "{} and `windows` cannot be combined",
            stage.name("long-lines")
        );
        let fault = Fault::new(message, stage.key_span("long-lines"));
        stage.unfit(fault.with_label("windows are made of lines of any length"));
    }
}

settings! {
    /// Check and cache of a teacher that was trained on the task.
    pub struct TaskTeacher(stage, none: ()) titled "Task distillation" {
        /// Teacher check before the stage starts: `auto` rejects a teacher that predicts dev at
        /// chance level, or that is clearly better with another class order or the other `head`; a
        /// number is the minimum accuracy on dev. Changing it does not re-run stages.
        recorded gate: GateRule = key("gate"), default GateRule::Auto;
        /// Maximum size of the teacher cache on disk (`runs/store/teacher-answers`). With more than
        /// one epoch, the teacher forward pass runs once per example and its outputs are reused,
        /// also by other stages with the same teacher outputs (another seed, another learning
        /// rate). The least recently used outputs are evicted. If they do not fit, or with
        /// `teacher-dropout` or reduction `block`, the teacher runs in every step. Changing it does
        /// not re-run stages.
        recorded teacher_memory: f64 =
            key("teacher-memory").range(0.0..=1e6).range_text("gigabytes; 0 is off"), default 10.0;
    }
}

impl Setting for GateRule {
    type Limit = ();

    fn read(at: &At<'_, ()>) -> Option<Located<Self>> {
        let words = [("auto", Self::Auto), ("off", Self::Off)];
        let found = at.section.choice_or_float(at.key, &words, 0.0..=1.0)?;
        Some(found.map(|found| match found {
            WordOrNumber::Word(rule) => rule,
            WordOrNumber::Number(least) => Self::AtLeast(least),
        }))
    }

    fn value(&self) -> Value {
        match self {
            Self::Auto => "auto".into(),
            Self::Off => "off".into(),
            Self::AtLeast(least) => Value::Float(*least),
        }
    }

    fn kind((): &()) -> String {
        "`auto`, `off`, or a number".to_owned()
    }

    fn range((): &()) -> String {
        "accuracy, 0 to 1".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Corpus;
    use super::super::testing::{faults, pipeline, read_with};

    #[test]
    fn an_empty_corpus_is_refused() {
        assert_eq!(
            faults(&pipeline(), &["stages.general-distill.corpus=[]"]),
            ["--set:1:31: `corpus` in `[stages.general-distill]` is an empty list"]
        );
    }

    #[test]
    fn windows_have_keys_that_lines_do_not_have() {
        let set = |key: &str| format!("stages.general-distill.{key}");
        let found = |sets: &[String]| {
            let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
            faults(&pipeline(), &sets)
        };
        assert_eq!(
            found(&[set("masked-lm-prob=0.1")]),
            ["--set:1:24: `masked-lm-prob` in `[stages.general-distill]` requires `windows`"]
        );
        assert_eq!(
            found(&[set("windows=packed"), set("short-seq-prob=0.1")]),
            [
                "--set:1:24: `short-seq-prob` in `[stages.general-distill]` and `windows = \"packed\"` \
              cannot be combined"
            ]
        );
        assert_eq!(
            found(&[set("windows=sentences"), set("long-lines=split")]),
            [
                "--set:1:24: `long-lines` in `[stages.general-distill]` and `windows` cannot be combined"
            ]
        );
    }

    #[test]
    fn each_recipe_masks_as_its_source() {
        let masked = |recipe: &str, form: &str| {
            let sets = [
                format!("recipe={recipe}"),
                format!("stages.general-distill.windows={form}"),
            ];
            let sets: Vec<&str> = sets.iter().map(String::as_str).collect();
            let experiment = read_with(&pipeline(), &sets).unwrap();
            let stage = experiment.stages.get("general-distill").unwrap();
            let corpus: &Corpus = stage.keys();
            corpus
                .window
                .as_ref()
                .map(|window| window.masked_lm_prob.to_string())
        };
        assert_eq!(masked("paper", "lines"), None);
        assert_eq!(masked("paper", "sentences").as_deref(), Some("0"));
        assert_eq!(masked("huawei", "paragraphs").as_deref(), Some("0.001"));
        assert_eq!(masked("mindspore", "packed").as_deref(), Some("0.15"));
    }
}
