//! A temporary root with an experiment, its data and a teacher; the runner on it, with a
//! script in the kernel's place.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use tempfile::TempDir;
use tinyrun::job::WeightDtype;
use tinyrun::model::{BertConfig, names, write_model_folder};

/// An experiment with every stage. Keys are edited by tests, so each stands on its own line.
pub(crate) const EXPERIMENT: &str = r#"[task]
name = "custom"
train = "data/train.tsv"
dev = "data/dev.tsv"
text = "text"
label = "label"
max-seq-length = 16

[teacher]
model = "teacher"

[student]
num-hidden-layers = 2
hidden-size = 4
intermediate-size = 8
num-attention-heads = 2
max-position-embeddings = 32

[stages.finetune]
epochs = 1

[stages.general-distill]
corpus = ["data/corpus/*.txt"]
max-seq-length = 16

[stages.td-phase1]
learning-rate = 1e-4

[stages.td-phase2]
epochs = 3

[stages.eval]
"#;

/// Tests that a script started in the background ignore signals, and programs inherit that. What has
/// a handler here is reset to its default in them.
fn heed_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let signals = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];
        for signal in signals
            .into_iter()
            .filter(|it| tinyrun::system::is_ignored(*it))
        {
            signal_hook::flag::register(signal, Arc::default()).expect("a handler");
        }
    });
}

pub(crate) const STAGES: [&str; 7] = [
    "data-prep",
    "corpus-prep",
    "finetune",
    "general-distill",
    "td-phase1",
    "td-phase2",
    "eval",
];

/// How long anything may take before a test fails.
const PATIENCE: Duration = Duration::from_mins(2);

pub(crate) struct Test {
    root: TempDir,
}

/// A finished run.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Test {
    /// A root with `x.toml`, data and teacher; nothing has run.
    pub(crate) fn new() -> Self {
        // The runner waits for the disk after every stage; memory is never busy.
        let memory = Path::new("/dev/shm");
        let root = match tempfile::tempdir_in(memory) {
            Ok(root) => root,
            Err(_) => tempfile::tempdir().expect("temp folder"),
        };
        heed_signals();
        let test = Self { root };
        test.write("x.toml", EXPERIMENT)
            .write(
                "data/train.tsv",
                "text\tlabel\ngood film\tpos\nbad film\tneg\n",
            )
            .write(
                "data/dev.tsv",
                "text\tlabel\na good film\tpos\na bad film\tneg\n",
            )
            .write("data/corpus/a.txt", "a good film\n")
            .write("data/corpus/b.txt", "a bad film\n");
        test.write_teacher("teacher");
        fs::create_dir(test.path("fake")).expect("created");
        test
    }

    /// The same with every stage done.
    pub(crate) fn done() -> Self {
        let test = Self::new();
        test.run(&["x.toml"]).succeeds().ran(&STAGES);
        test
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("created");
        fs::write(path, text).expect("written");
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Replaces a piece of a file that is there once.
    pub(crate) fn replace(&self, name: &str, from: &str, to: &str) -> &Self {
        let text = self.read(name);
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {name}");
        self.write(name, &text.replace(from, to))
    }

    /// Removes a file or what is below a folder.
    pub(crate) fn remove(&self, name: &str) -> &Self {
        let path = self.path(name);
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).expect("removed");
        } else {
            fs::remove_file(path).expect("removed");
        }
        self
    }

    /// How the kernel behaves in a stage from now on; see `fake_kernel`.
    pub(crate) fn kernel(&self, stage: &str, mode: &str) -> &Self {
        self.write(&format!("fake/{stage}"), mode)
    }

    /// The job that the kernel got last for a stage.
    pub(crate) fn job(&self, stage: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(&format!("fake/jobs/{stage}.json"))).expect("a job")
    }

    /// Stages that the kernel was started for, in order.
    pub(crate) fn kernel_starts(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("fake/ran")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A tiny BERT with a vocabulary and weights of zeros.
    pub(crate) fn write_teacher(&self, name: &str) {
        self.write_model(name, &[]);
    }

    /// The same with a classifier, where there are labels.
    pub(crate) fn write_model(&self, name: &str, labels: &[&str]) {
        self.write_shape(name, labels, (2, 2, 32));
    }

    /// A small BERT of another shape, that reads 512 tokens.
    pub(crate) fn write_bert(&self, name: &str, layers: usize, heads: usize) {
        self.write_shape(name, &[], (layers, heads, 512));
    }

    fn write_shape(&self, name: &str, labels: &[&str], shape: (usize, usize, usize)) {
        let (layers, heads, positions) = shape;
        let config: BertConfig = serde_json::from_value(serde_json::json!({
            "vocab_size": 9,
            "hidden_size": 4 * heads,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "intermediate_size": 16,
            "max_position_embeddings": positions,
        }))
        .expect("a config");
        let words = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\nbad\nfilm\na\n";
        self.write(&format!("{name}/vocab.txt"), words);
        let is_teacher = name == "teacher";
        let expected = match labels.len() {
            0 => names::expected_encoder(&config),
            classes => names::expected_classifier(&config, classes),
        };
        let tensors = expected.into_iter().map(|(name, shape)| {
            // Another model has other bytes.
            let bytes = vec![u8::from(!is_teacher); shape.iter().product::<usize>() * 4];
            (name, shape, bytes)
        });
        let folder = self.path(name);
        let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
        let json = config.to_json(false, &labels);
        write_model_folder(&folder, &json, WeightDtype::Fp32, tensors, &folder).expect("written");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tinyrun"));
        command.args(arguments);
        self.surround(&mut command);
        command
    }

    /// Gives a command this root, the script in the kernel's place and pipes.
    fn surround(&self, command: &mut Command) {
        command
            .current_dir(self.root.path())
            .env("TINYRUN_KERNEL", Self::fake_kernel())
            .env("FAKE", self.path("fake"))
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    pub(crate) fn fake_kernel() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/fake_kernel")
    }

    /// Runs `tinyrun` in the root.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, |_| {})
    }

    pub(crate) fn run_with(&self, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Ran {
        let mut command = self.command(arguments);
        change(&mut command);
        command.output().expect("started").into()
    }

    /// Starts `tinyrun` in the root.
    pub(crate) fn start(&self, arguments: &[&str]) -> Started {
        self.start_with(arguments, |_| {})
    }

    /// Starts a program that becomes `tinyrun`.
    pub(crate) fn start_as(&self, command: &mut Command) -> Started {
        self.surround(command);
        Started(command.spawn().expect("started"))
    }

    pub(crate) fn start_with(
        &self,
        arguments: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Started {
        let mut command = self.command(arguments);
        change(&mut command);
        Started(command.spawn().expect("started"))
    }

    /// Waits until a file is there.
    pub(crate) fn wait_for(&self, name: &str) -> &Self {
        self.wait_until(name, || self.exists(name))
    }

    /// Waits until a stage has a checkpoint of this step or a later one.
    #[cfg(feature = "kernel")]
    pub(crate) fn wait_for_checkpoint(&self, step: u32) -> &Self {
        self.wait_for_checkpoint_of("", step)
    }

    /// The same of the stage whose name begins so.
    #[cfg(feature = "kernel")]
    pub(crate) fn wait_for_checkpoint_of(&self, stage: &str, step: u32) -> &Self {
        self.wait_until("a checkpoint", || self.has_checkpoint_of(stage, step))
    }

    /// Whether a stage whose name begins so has a checkpoint of this step or of a later one.
    #[cfg(feature = "kernel")]
    pub(crate) fn has_checkpoint_of(&self, stage: &str, step: u32) -> bool {
        let names = |folder: &Path| -> Vec<PathBuf> {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect()
        };
        let name = |path: &Path| -> String {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        let is_late = |path: &PathBuf| {
            let name = name(path);
            let number = name.strip_prefix("checkpoint-");
            let number = number.map(|rest| rest.split('.').next().unwrap_or_default());
            let number = number.and_then(|number| number.parse().ok());
            number.is_some_and(|number: u32| number >= step)
        };
        let folders = names(&self.path("runs/work")).into_iter();
        let mut own = folders.filter(|folder| name(folder).starts_with(stage));
        own.any(|folder| names(&folder).iter().any(is_late))
    }

    /// Waits until something is true; `what` names it if that never happens.
    pub(crate) fn wait_until(&self, what: &str, is_true: impl Fn() -> bool) -> &Self {
        let begin = Instant::now();
        while !is_true() {
            assert!(begin.elapsed() < PATIENCE, "`{what}` never came");
            std::thread::sleep(Duration::from_millis(5));
        }
        self
    }

    /// What `--dry-run` prints, without estimates: a busy machine has some where an idle one has none.
    pub(crate) fn plan(&self) -> String {
        let plan = self.run(&["x.toml", "--dry-run"]).succeeds().stdout;
        let is_estimate = |line: &str| line.starts_with("total: ") || line.contains(", about ");
        let lines = plan.lines().filter(|line| !is_estimate(line));
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// Where each stage stands, by `--dry-run`.
    pub(crate) fn standing(&self) -> BTreeMap<String, String> {
        let plan = self.plan();
        // What a stage may take stands below it.
        let stages = plan.lines().filter(|line| !line.starts_with(' '));
        let lines = stages.map(|line| {
            let (word, rest) = line.split_once("  ").expect("two columns");
            let (stage, why) = rest.split_once(' ').unwrap_or((rest, ""));
            let why = why.trim();
            let standing = if why.is_empty() { word } else { why };
            (stage.to_owned(), standing.to_owned())
        });
        lines.collect()
    }
}

/// A run in progress.
pub(crate) struct Started(Child);

impl Started {
    pub(crate) fn signal(&self, signal: Signal) -> &Self {
        kill_process(Pid::from_child(&self.0), signal).expect("sent");
        self
    }

    /// Whether every thread of it is dead, though others may hold its stderr.
    #[cfg(feature = "kernel")]
    pub(crate) fn is_dead(&self) -> bool {
        let process = format!("/proc/{}", self.0.id());
        let status = fs::read_to_string(format!("{process}/status")).expect("nobody waited for it");
        let threads = fs::read_dir(format!("{process}/task")).expect("nobody waited for it");
        status.contains("State:\tZ") && threads.count() == 1
    }

    /// Reads what it says until `text` is part of a line; gives everything read.
    pub(crate) fn wait_to_say(mut self, text: &str) -> (Self, String) {
        let mut stderr = self.0.stderr.take().expect("piped");
        let mut said = Vec::new();
        let mut byte = [0];
        while !(said.ends_with(b"\n") && String::from_utf8_lossy(&said).contains(text)) {
            let read = stderr.read(&mut byte).expect("it speaks");
            let so_far = String::from_utf8_lossy(&said);
            assert_eq!(read, 1, "it ended without `{text}`:\n{so_far}");
            said.push(byte[0]);
        }
        self.0.stderr = Some(stderr);
        (self, String::from_utf8(said).expect("UTF-8"))
    }

    /// Writes to its stdin, where that is a pipe.
    pub(crate) fn type_in(&mut self, text: &str) -> &mut Self {
        let stdin = self.0.stdin.as_mut().expect("piped");
        stdin.write_all(text.as_bytes()).expect("it reads");
        self
    }

    /// The next line of its stdout.
    pub(crate) fn next_line(&mut self) -> String {
        let stdout = self.0.stdout.as_mut().expect("piped");
        let (mut line, mut byte) = (Vec::new(), [0]);
        while stdout.read(&mut byte).expect("it writes") == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        String::from_utf8(line).expect("UTF-8")
    }

    /// Closes the other end of its stdout.
    pub(crate) fn hang_up(&mut self) {
        drop(self.0.stdout.take());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn wait(self) -> Ran {
        self.0.wait_with_output().expect("waited").into()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

impl Ran {
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        self
    }

    pub(crate) fn succeeds(self) -> Self {
        self.ends_with(0)
    }

    /// Stages that were done, in order.
    pub(crate) fn ran(self, expected: &[&str]) -> Self {
        let lines = self.stderr.lines();
        let done: Vec<&str> = lines
            .filter(|line| line.contains(" done in "))
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(done, expected, "{}", self.stderr);
        self
    }

    pub(crate) fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "no `{text}` in:\n{}",
            self.stderr
        );
        self
    }

    pub(crate) fn says_nothing(self) -> Self {
        assert_eq!(self.stderr, "");
        assert_eq!(self.stdout, "");
        self
    }
}
