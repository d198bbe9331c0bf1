//! The real pipeline, killed at random moments of every stage, ends in the bytes of one that was not.
//!
//! `TINYRUN_CHAOS_KILLS` says how often (20 where it is not set, 200 in `make chaos`), and
//! `TINYRUN_CHAOS_SEED` from which moments on; a failure names the seed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tinyrun::data::order::SplitMix64;
use tinyrun::metrics::csv_file::is_of_speed;

use crate::harness::{STAGES, Test};
use crate::pipeline::{films, real};

/// Every step leaves a checkpoint, and every third a scoring: most moments are ones of writing.
const FILE: &str = r#"threads = 1
precision = "fp32"
device = "cpu"

[task]
name = "custom"
train = "data/films.tsv"
dev-fraction = 0.2
max-seq-length = 16

[teacher]
model = "bert"

[student]
num-hidden-layers = 1
hidden-size = 20
intermediate-size = 32
num-attention-heads = 4
max-position-embeddings = 32

[stages.finetune]
epochs = 2
batch-size = 16
learning-rate = 1e-3
eval-interval = 3
log-interval = 1
checkpoint-interval = 1

[stages.general-distill]
corpus = ["data/corpus.txt"]
epochs = 1
batch-size = 16
max-seq-length = 16
log-interval = 1
checkpoint-interval = 1

[stages.td-phase1]
epochs = 2
batch-size = 16
learning-rate = 1e-3
log-interval = 1
checkpoint-interval = 1
gate = "off"

[stages.td-phase2]
epochs = 2
batch-size = 16
learning-rate = 1e-3
eval-interval = 3
log-interval = 1
checkpoint-interval = 1
gate = "off"

[stages.eval]
"#;

/// Stages that ranks share.
const TRAINED: [&str; 4] = ["finetune", "general-distill", "td-phase1", "td-phase2"];

/// How long a process that was told to end may take.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Runner,
    Kernel,
    Both,
}

/// A root in which the pipeline is run and killed.
pub(crate) fn root() -> Test {
    let test = films();
    test.write("chaos.toml", FILE);
    test
}

/// Every artifact in the store by its path, metrics without their columns of speed.
pub(crate) fn results(test: &Test) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let store = test.path("runs/store");
    for path in files_below(&store) {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("UTF-8");
        // Times are in these.
        if ["record.json", "log.txt", "report.json"].contains(&name) {
            continue;
        }
        let mut bytes = fs::read(&path).expect("an artifact");
        if name == "metrics.csv" {
            bytes = without_speed(&bytes);
        }
        let shown = path
            .strip_prefix(&store)
            .expect("below")
            .display()
            .to_string();
        found.insert(shown, bytes);
    }
    found
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

fn without_speed(metrics: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(metrics.to_vec()).expect("UTF-8");
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    let kept = |cells: &[&str]| {
        let pairs = header.iter().zip(cells);
        let pairs = pairs.filter(|(name, _)| !is_of_speed(name));
        pairs.map(|(_, cell)| *cell).collect::<Vec<_>>().join(",") + "\n"
    };
    let rows: String = lines.map(|cells| kept(&cells)).collect();
    (kept(&header) + &rows).into_bytes()
}

/// Nothing in the store but whole results and teachers' answers; every training stage logged each step once.
fn assert_whole(test: &Test, seed: u64) {
    for path in files_below(&test.path("runs")) {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .expect("UTF-8");
        let shared = path.starts_with(test.path("runs/store/teacher-answers"));
        let is_temporary = ["checkpoint-", "best-", ".tmp-", "teacher-memory"]
            .iter()
            .any(|prefix| name.starts_with(prefix) && !(shared && *prefix == "teacher-memory"));
        assert!(
            !is_temporary && !name.ends_with(".partial") && name != "kernel.lock",
            "seed {seed}: {} was left",
            path.display()
        );
    }
    let work = fs::read_dir(test.path("runs/work")).into_iter().flatten();
    for entry in work {
        let path = entry.expect("an entry").path();
        assert!(
            path.extension().is_some_and(|ending| ending == "lock"),
            "seed {seed}: {} was left",
            path.display()
        );
    }
    for stage in TRAINED {
        let metrics = test.read(&format!("runs/chaos/{stage}/metrics.csv"));
        let steps = metrics.lines().skip(1);
        let steps: Vec<u64> = steps
            .map(|line| {
                line.split(',')
                    .next()
                    .expect("a cell")
                    .parse()
                    .expect("a step")
            })
            .collect();
        let every: Vec<u64> = (1..=steps.len() as u64).collect();
        assert_eq!(steps, every, "seed {seed}: steps of {stage}");
    }
}

/// Processes whose parent this is, or that are kernels which work in this root.
pub(crate) fn kernels(test: &Test) -> Vec<Pid> {
    let root = test.path("").canonicalize().expect("the root");
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let of_root = entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let program = fs::read_link(entry.path().join("exe")).ok()?;
        let is_kernel = program.file_name()?.to_str()?.starts_with("tinyrun-kernel");
        let is_here = fs::read_link(entry.path().join("cwd")).ok()? == root;
        (is_kernel && is_here).then(|| Pid::from_raw(pid)).flatten()
    });
    of_root.collect()
}

/// The stage that is worked on, by its lock.
fn at_work(test: &Test) -> Option<&'static str> {
    let entries = fs::read_dir(test.path("runs/work")).ok()?;
    let mut locks: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter_map(|name| Some(name.strip_suffix(".lock")?.to_owned()))
        .collect();
    locks.sort();
    let lock = locks.pop()?;
    STAGES
        .into_iter()
        .find(|stage| lock.starts_with(&format!("{stage}-")))
}

/// Seconds that each stage took undisturbed.
fn seconds(test: &Test) -> BTreeMap<&'static str, f64> {
    let of = |stage: &'static str| {
        let record = test.read(&format!("runs/chaos/{stage}/record.json"));
        let record: serde_json::Value = serde_json::from_str(&record).expect("a record");
        (stage, record["seconds"].as_f64().expect("seconds"))
    };
    STAGES.into_iter().map(of).collect()
}

/// Waits for an end, and fails rather than forever.
fn wait(child: &mut std::process::Child, seed: u64) -> ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("waited") {
            return status;
        }
        assert!(begin.elapsed() < PATIENCE, "seed {seed}: it never ended");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn number(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

fn start(test: &Test, ranks: u64) -> std::process::Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tinyrun"));
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(test.path("chaos.log"))
        .expect("a log");
    command
        .args(["chaos.toml", "--ranks", &ranks.to_string()])
        .current_dir(test.path(""))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(log);
    real(&mut command);
    command.spawn().expect("started")
}

#[test]
fn killed_at_random_moments_of_every_stage_it_ends_in_the_bytes_of_an_undisturbed_run() {
    survives(1, number("TINYRUN_CHAOS_KILLS", 20));
}

#[test]
fn with_random_ranks_killed_it_ends_in_the_bytes_of_an_undisturbed_run_of_as_many() {
    survives(3, number("TINYRUN_CHAOS_KILLS", 12) / 4);
}

fn survives(ranks: u64, kills: u64) {
    let seed = number("TINYRUN_CHAOS_SEED", 1);
    let mut random = SplitMix64::new(seed);

    let undisturbed = root();
    assert!(wait(&mut start(&undisturbed, ranks), seed).success());
    assert_whole(&undisturbed, seed);
    let expected = results(&undisturbed);
    let took = seconds(&undisturbed);

    let test = root();
    let mut hit: BTreeMap<(&str, Victim, i32), u64> = BTreeMap::new();
    let (mut done, mut rounds, mut starts) = (0, 0, 0);
    while done < kills {
        // The stages in turn: a short one would hardly ever be met by chance.
        let aims = if ranks == 1 { &STAGES[..] } else { &TRAINED };
        let aim = aims[usize::try_from(done).expect("few") % aims.len()];
        let mut runner = start(&test, ranks);
        starts += 1;
        assert!(
            starts < 20 * kills + 100,
            "seed {seed}: it does not come forward"
        );
        let status = loop {
            if let Some(status) = runner.try_wait().expect("waited") {
                break Some(status);
            }
            if at_work(&test) == Some(aim) {
                break None;
            }
            std::thread::sleep(Duration::from_micros(300));
        };
        let Some(status) = status else {
            // Somewhere between its beginning and a little after its end.
            let longest = took[aim] * 1.1 + 0.01;
            let share = random.below(1_000_000) as f64 / 1e6;
            std::thread::sleep(Duration::from_secs_f64(longest * share));
            let victim = [Victim::Runner, Victim::Kernel, Victim::Both];
            let victim = victim[usize::try_from(random.below(3)).expect("few")];
            let signal = [Signal::KILL, Signal::TERM, Signal::INT];
            let signal = signal[usize::try_from(random.below(3)).expect("few")];
            let stage = at_work(&test).unwrap_or("between stages");
            let kernels_now = kernels(&test);
            // A preparation has no kernel: there it is the runner's turn.
            let victim = if kernels_now.is_empty() {
                Victim::Runner
            } else {
                victim
            };
            if victim != Victim::Runner {
                // One of the ranks; which is rank 0 is not asked.
                let one = random.below(kernels_now.len() as u64);
                let _ = kill_process(kernels_now[usize::try_from(one).expect("few")], signal);
            }
            if victim != Victim::Kernel {
                let _ = kill_process(Pid::from_child(&runner), signal);
            }
            let status = wait(&mut runner, seed);
            assert!(
                matches!(status.code(), None | Some(0 | 1 | 130)),
                "seed {seed}: {status}\n{}",
                test.read("chaos.log")
            );
            done += 1;
            *hit.entry((stage, victim, signal.as_raw())).or_default() += 1;
            if status.success() {
                rounds += check(&test, &expected, seed);
            }
            continue;
        };
        assert!(
            status.success(),
            "seed {seed}: {status}\n{}",
            test.read("chaos.log")
        );
        rounds += check(&test, &expected, seed);
    }
    // What was begun is brought to its end.
    assert!(
        wait(&mut start(&test, ranks), seed).success(),
        "{}",
        test.read("chaos.log")
    );
    rounds += check(&test, &expected, seed);
    let begin = Instant::now();
    while !kernels(&test).is_empty() {
        assert!(
            begin.elapsed() < PATIENCE,
            "seed {seed}: a kernel outlived its runner"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    // Shown by `--nocapture`, as `make chaos` does.
    let mut by_stage: BTreeMap<&str, u64> = BTreeMap::new();
    for ((stage, ..), count) in &hit {
        *by_stage.entry(stage).or_default() += count;
    }
    let log = test.read("chaos.log");
    assert!(!log.contains("panicked"), "seed {seed}: {log}");
    report(&format!(
        "seed {seed}, ranks {ranks}: {done} kills over {starts} starts, {rounds} runs brought to the same bytes, by stage {by_stage:?}\n"
    ));
}

/// Holds a finished root against the undisturbed one, and clears it for the next round.
fn check(test: &Test, expected: &BTreeMap<String, Vec<u8>>, seed: u64) -> u64 {
    assert_whole(test, seed);
    let found = results(test);
    let names = |results: &BTreeMap<String, Vec<u8>>| results.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(expected), "seed {seed}");
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "seed {seed}: `{name}` differs");
    }
    fs::remove_dir_all(test.path("runs")).expect("removed");
    1
}

#[expect(
    clippy::print_stderr,
    reason = "the harness swallows it unless it is asked for"
)]
fn report(text: &str) {
    eprint!("{text}");
}
