//! One training on several processes: the same numbers as on one, and what happens when one of them is lost.
//! `make ranks` prints the differences.

use std::collections::BTreeMap;

use rustix::process::{Signal, kill_process};

use crate::chaos::{kernels, results, root};
use crate::file_systems::lacking;
use crate::harness::Test;
use crate::pipeline::real;

/// Largest relative difference of a loss from that of one rank, in the first steps.
const LARGEST: f64 = 1e-5;

const STEPS: usize = 50;

const STAGES: [&str; 4] = ["finetune", "general-distill", "td-phase1", "td-phase2"];

/// Every loss of a stage, by column, step after step.
fn losses(test: &Test, stage: &str) -> BTreeMap<String, Vec<f64>> {
    let file = test.path(&format!("runs/chaos/{stage}/metrics.csv"));
    let mut table = csv::Reader::from_path(file).expect("metrics");
    let header = table.headers().expect("a header").clone();
    let rows: Vec<_> = table.records().map(|row| row.expect("a row")).collect();
    let is_loss = |(_, name): &(usize, &str)| name.contains("loss") && *name != "loss_scale";
    let columns = header.iter().enumerate().filter(is_loss);
    let numbers = columns.map(|(column, name)| {
        // Rows of dev scores have no loss.
        let cells = rows
            .iter()
            .map(|row| &row[column])
            .filter(|cell| !cell.is_empty());
        let numbers = cells.map(|cell| cell.parse().expect("a number"));
        (name.to_owned(), numbers.take(STEPS).collect())
    });
    numbers.collect()
}

fn run(test: &Test, more: &[&str]) {
    let arguments = [&["chaos.toml", "--set", "threads=1"], more].concat();
    test.run_with(&arguments, real).succeeds();
}

/// Runs the pipeline on one rank, and then each stage from the same inputs on others. The last stage first: none is
/// to have inputs of several ranks, whose rounding it would carry on.
#[expect(clippy::print_stdout, reason = "`make ranks` shows these lines")]
fn compare(all_ranks: &[usize], sets: &[&str]) {
    let test = root();
    run(&test, &[&["--until", "td-phase2"], sets].concat());
    for stage in STAGES.iter().rev() {
        let expected = losses(&test, stage);
        let steps = expected["loss"].len();
        for ranks in all_ranks {
            let ranks = ranks.to_string();
            let again = ["--single-stage", stage, "--force", stage, "--ranks", &ranks];
            run(&test, &[&again[..], sets].concat());
            let found = losses(&test, stage);
            let mut largest: f64 = 0.0;
            for (name, expected) in &expected {
                assert_eq!(found[name].len(), expected.len(), "{stage} {name}");
                let pairs = found[name].iter().zip(expected);
                let differences =
                    pairs.map(|(found, expected)| (found - expected).abs() / expected.abs());
                largest = differences.fold(largest, f64::max);
            }
            println!(
                "{stage:16} {ranks} ranks, {steps} steps: largest difference of a loss {largest:.1e}"
            );
            assert!(largest <= LARGEST, "{stage} on {ranks} ranks: {largest:e}");
        }
    }
}

/// With dropout, packed batches, cached teacher outputs, and dev scored between steps.
#[test]
fn losses_of_two_three_and_four_ranks_are_those_of_one() {
    compare(&[2, 3, 4], &[]);
}

/// With padding and accumulated gradients; three ranks share micro-batches of four rows and fewer.
#[test]
fn losses_of_padded_rows_and_of_micro_batches_are_those_of_one_rank_too() {
    let sets = STAGES.iter().flat_map(|stage| {
        let set = |key: &str| ["--set".to_owned(), format!("stages.{stage}.{key}")];
        [set("pad-to=longest"), set("gradient-accumulation-steps=4")].concat()
    });
    let sets: Vec<String> = sets.collect();
    compare(&[3], &sets.iter().map(String::as_str).collect::<Vec<_>>());
}

/// By more than fp32 does, and by no more than its eight bits.
#[test]
fn gradients_that_travel_in_bf16_change_losses_by_their_rounding() {
    let test = root();
    run(&test, &["--until", "finetune"]);
    let expected = losses(&test, "finetune");
    let exchange = "stages.finetune.gradient-exchange=bf16";
    let again = ["--single-stage", "finetune", "--ranks", "2"];
    run(&test, &[&again[..], &["--set", exchange]].concat());
    let found = losses(&test, "finetune");
    let pairs = found["loss"].iter().zip(&expected["loss"]);
    let differences = pairs.map(|(found, expected)| (found - expected).abs() / expected);
    let largest = differences.fold(0.0, f64::max);
    assert!((1e-6..0.05).contains(&largest), "{largest:e}");
}

/// Also on more ranks than there are batches, some of which have nothing to do.
#[test]
fn a_model_has_the_same_predictions_on_any_number_of_ranks() {
    let test = root();
    run(&test, &[]);
    let files = ["teacher", "student"].map(|model| {
        let path = test.path(&format!("runs/chaos/eval/predictions-{model}.csv"));
        let read = move || std::fs::read_to_string(&path).expect("predictions");
        (read(), read)
    });
    for ranks in ["2", "3", "16"] {
        run(
            &test,
            &[
                "--single-stage",
                "eval",
                "--force",
                "eval",
                "--ranks",
                ranks,
            ],
        );
        for (of_one, read) in &files {
            assert_eq!(&read(), of_one, "{ranks} ranks");
        }
        let record = std::fs::read_to_string(test.path("runs/chaos/eval/record.json"));
        let record: serde_json::Value =
            serde_json::from_str(&record.expect("a record")).expect("JSON");
        assert_eq!(record["machine"]["ranks"][0].to_string(), ranks);
    }
}

#[test]
fn the_same_number_of_ranks_gives_the_same_bytes() {
    let once = root();
    run(&once, &["--until", "td-phase1", "--ranks", "3"]);
    let again = root();
    run(&again, &["--until", "td-phase1", "--ranks", "3"]);
    assert!(results(&once) == results(&again));
}

/// With `reduction-leaves` = 4 a result is the same bytes on 1, 2 and 4 ranks, and so it is after a kill on 4 and a
/// resume on 2.
#[test]
fn leaves_give_the_same_bytes_on_any_number_of_ranks() {
    let leaves = STAGES.iter().flat_map(|stage| {
        let set = format!("stages.{stage}.reduction-leaves=4");
        ["--set".to_owned(), set]
    });
    let leaves: Vec<String> = leaves.collect();
    let mut leaves: Vec<&str> = leaves.iter().map(String::as_str).collect();
    leaves.extend(["--until", "td-phase2"]);
    let one = root();
    run(&one, &leaves);
    let expected = results(&one);
    for ranks in ["2", "4"] {
        let test = root();
        run(&test, &[&leaves[..], &["--ranks", ranks]].concat());
        assert!(results(&test) == expected, "{ranks} ranks");
    }

    let test = root();
    let four = [
        &["chaos.toml", "--set", "threads=1", "--ranks", "4"],
        &leaves[..],
    ]
    .concat();
    for steps in [2, 7] {
        let started = test.start_with(&four, real);
        test.wait_for_checkpoint(steps);
        let all = kernels(&test);
        let last = all.iter().max_by_key(|pid| pid.as_raw_nonzero());
        kill_process(*last.expect("four"), Signal::KILL).expect("sent");
        started.wait().ends_with(1);
    }
    run(&test, &[&leaves[..], &["--ranks", "2"]].concat());
    assert!(results(&test) == expected, "after two kills");
}

/// A mean over tokens, of which each rank has another number.
#[test]
fn relations_give_the_same_bytes_on_any_number_of_ranks() {
    let sets = ["general-distill", "td-phase1"].map(|stage| {
        let set = |key: &str| ["--set".to_owned(), format!("stages.{stage}.{key}")];
        [set("attention-loss=relations"), set("reduction-leaves=4")].concat()
    });
    let sets = sets.concat();
    let mut sets: Vec<&str> = sets.iter().map(String::as_str).collect();
    sets.extend(["--until", "td-phase1"]);
    let found = ["1", "2", "4"].map(|ranks| {
        let test = root();
        let ranks = ["--ranks", ranks];
        // Without leaves the teacher would have other bytes.
        run(&test, &["--until", "finetune"]);
        run(&test, &[&sets[..], &ranks].concat());
        results(&test)
    });
    assert!(found[0] == found[1] && found[0] == found[2]);
}

#[test]
fn leaves_that_cannot_be_are_refused_at_their_key() {
    let test = root();
    for (sets, text) in [
        (
            &["stages.finetune.reduction-leaves=3"][..],
            "`reduction-leaves` = 3 is not a power of two",
        ),
        (
            &["stages.finetune.reduction-leaves=32"],
            "`reduction-leaves` 32 exceeds the 16 examples of a batch",
        ),
        (
            &["stages.finetune.reduction-leaves=4", "ranks=3"],
            "`ranks` 3 does not divide the 4 `reduction-leaves` of `finetune`",
        ),
        (
            &["stages.finetune.reduction-leaves=4", "ranks=8"],
            "`ranks` 8 does not divide the 4 `reduction-leaves` of `finetune`",
        ),
        (
            &["stages.finetune.reduction-leaves=4", "precision=fp16"],
            "`reduction-leaves` = 4 in fp16 is not supported",
        ),
        (
            &["stages.finetune.reduction-leaves=4", "device=cuda:0"],
            "`reduction-leaves` = 4 on a CUDA device is not supported",
        ),
        (
            &[
                "stages.finetune.reduction-leaves=4",
                "stages.finetune.gradient-exchange=bf16",
            ],
            "`gradient-exchange` = \"bf16\" with `reduction-leaves` is not supported",
        ),
    ] {
        let sets = sets.iter().flat_map(|set| ["--set", *set]);
        let arguments: Vec<&str> = ["chaos.toml", "--dry-run"]
            .into_iter()
            .chain(sets)
            .collect();
        test.run(&arguments).ends_with(2).says(text);
    }
}

/// Ranks that take all cores have each their own, for all their threads.
#[test]
fn ranks_that_take_all_cores_are_bound_to_their_own() {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if !cores.is_multiple_of(2) {
        return;
    }
    let test = root();
    run(&test, &["--until", "data-prep"]);
    let threads = format!("threads={}", cores / 2);
    let long = ["--set", &threads, "--set", "stages.finetune.epochs=400"];
    let all = [
        &["chaos.toml", "--single-stage", "finetune", "--ranks", "2"],
        &long[..],
    ]
    .concat();
    let started = test.start_with(&all, real);
    test.wait_for_checkpoint(1);
    let bound = |pid: rustix::process::Pid| {
        let status = format!("/proc/{}/status", pid.as_raw_nonzero());
        let status = std::fs::read_to_string(status).expect("a process");
        let mut lines = status.lines();
        let list = lines.find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        list.expect("a list").trim().to_owned()
    };
    let mut lists: Vec<String> = kernels(&test).into_iter().map(bound).collect();
    lists.sort();
    assert_eq!(lists.len(), 2);
    assert_ne!(lists[0], lists[1]);
    started.signal(Signal::INT);
    started.wait().ends_with(130);
}

/// Rank 0 writes checkpoints, every rank its part of the teacher's outputs.
#[test]
#[cfg_attr(not(has_cc), ignore = "cc was not found when the tests were built")]
fn a_full_disk_of_one_rank_ends_all_and_names_it_and_the_next_run_resumes() {
    let before = root();
    // A rank asks about so many tokens at once that a small table is one rank's work.
    let rows = before.read("data/films.tsv");
    let (header, rows) = rows.split_once('\n').expect("a header");
    before.write("data/films.tsv", &format!("{header}\n{}", rows.repeat(6)));
    run(&before, &["--until", "general-distill"]);
    for (rank, says) in [(0, "cannot write"), (1, "rank 1 failed: cannot write")] {
        let arguments = ["--single-stage", "td-phase1", "--ranks", "2"];
        let all = [&["chaos.toml", "--set", "threads=1"], &arguments[..]].concat();
        let ended = before.run_with(&all, |command| {
            real(command);
            lacking(command, &format!("space-{rank}"));
        });
        let ended = ended.ends_with(1).says(says);
        assert!(ended.stderr.contains("o space left"), "{}", ended.stderr);
        before.wait_until("the end of every rank", || kernels(&before).is_empty());
    }
    run(&before, &["--single-stage", "td-phase1", "--ranks", "3"]);
}

/// Every rank knows of the scores that end a training.
#[test]
fn a_training_that_is_out_of_patience_ends_on_all_ranks_after_the_same_step() {
    let test = root();
    let sets = [
        "--until",
        "finetune",
        "--set",
        "stages.finetune.epochs=40",
        "--set",
        "stages.finetune.patience=2",
    ];
    run(&test, &sets);
    let expected = losses(&test, "finetune")["loss"].len();
    run(
        &test,
        &[&sets[..], &["--force", "finetune", "--ranks", "3"]].concat(),
    );
    assert_eq!(losses(&test, "finetune")["loss"].len(), expected);
    // 40 epochs have more steps than are read.
    assert!(expected < STEPS, "{expected} steps");
}

#[test]
fn ranks_that_cannot_be_are_refused_before_anything_runs() {
    let test = root();
    test.run(&["chaos.toml", "--ranks", "17"])
        .ends_with(2)
        .says("`ranks` 17 exceeds the 16 examples of a batch of `finetune`");
    test.run(&["chaos.toml", "--ranks", "2", "--set", "device=cuda:0"])
        .ends_with(2)
        .says("`ranks` = 2 on one CUDA device is not supported")
        .says("as in `device = [\"cuda:0\", \"cuda:1\"]`, or set `ranks` to 1");
    test.run(&["chaos.toml", "--ranks", "3", "--set", TWO_CPUS])
        .ends_with(2)
        .says("`ranks` is 3, but `device` lists 2 devices")
        .says("remove `ranks`: a list has a device for each rank");
}

const TWO_CPUS: &str = r#"device=["cpu", "cpu"]"#;

#[test]
fn a_list_of_devices_trains_on_a_rank_each() {
    let test = root();
    run(&test, &["--until", "finetune", "--ranks", "2"]);
    let expected = results(&test);
    run(
        &test,
        &[
            "--until", "finetune", "--set", TWO_CPUS, "--force", "finetune",
        ],
    );
    assert_eq!(results(&test), expected);
    let record = test.read("runs/chaos/finetune/record.json");
    let record: serde_json::Value = serde_json::from_str(&record).expect("a record");
    assert_eq!(record["machine"]["ranks"], serde_json::json!([2]));
}

/// No machine has so many: the list is looked through before any stage runs, whichever of its devices is missing.
#[test]
fn a_cuda_device_that_is_not_there_is_named_at_its_key_before_anything_runs() {
    let test = root();
    let list = r#"device=["cuda:998", "cuda:999"]"#;
    for device in [list, "device='cuda:998'"] {
        test.run_with(&["chaos.toml", "--set", device], real)
            .ends_with(2)
            .says("no CUDA device 998")
            .says("--set:1:8")
            .says("use device `cpu` or `auto`");
        assert!(!test.exists("runs/chaos"));
    }
    // What runs does not compute there, or nothing runs.
    run(&test, &["--until", "data-prep", "--set", list]);
    run(&test, &["--until", "finetune"]);
    run(&test, &["--until", "finetune", "--set", list]);
    // The data are prepared again, and are what they were.
    let again = ["--until", "finetune", "--force", "data-prep"];
    run(&test, &[&again[..], &["--set", list]].concat());
}
