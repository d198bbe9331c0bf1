use super::super::Distill;
use super::super::testing::{MINIMAL, faults, pipeline, read, read_with};
use super::*;
use crate::kinds::KINDS;

#[test]
fn the_name_is_the_file_stem_unless_it_is_written() {
    assert_eq!(read(MINIMAL).name, "x");
    assert_eq!(read(&format!("name = \"y\"\n{MINIMAL}")).name, "y");
}

#[test]
fn a_name_that_cannot_be_a_folder_of_results_is_refused() {
    for name in [
        "a//b",
        "a/",
        "/a",
        "..",
        "a/../b",
        ".hidden",
        "-x",
        "a b",
        "store",
        "work",
        "work/a",
        "a/eval",
        "a/results.csv",
        "a\\\\b",
    ] {
        let found = faults(&format!("name = \"{name}\"\n{MINIMAL}"), &[]);
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert!(found[0].starts_with("x.toml:1:8: experiment name"));
    }
    let stem = Experiment::read(KINDS, "a b.toml", "a b", MINIMAL, &[]).unwrap_err();
    assert_eq!(stem.faults[0].span, None);
    assert!(stem.faults[0].hint.as_ref().unwrap().contains("`name`"));
}

#[test]
fn faults_of_every_kind_are_reported_together_in_the_order_of_the_text() {
    let text = r#"
seed = -1
threds = 4

[task]
name = "sst2"
dev = 4
dev-fraction = 0.6

[teacher]
model = "models/teacher"

[student]
hidden-size = 310

[stages.finetune]
learning-rate = "2e-5"
schedule = "liner"

[stages.td-phase3]
"#;
    let expected = [
        "x.toml:2:8: `seed` is out of range",
        "x.toml:3:1: unknown key `threds`",
        "x.toml:5:1: missing key `train` in `[task]`",
        "x.toml:6:8: unknown task `sst2`",
        "x.toml:7:7: `dev` in `[task]` is an integer",
        "x.toml:8:16: `dev-fraction` in `[task]` is out of range",
        "x.toml:14:15: `hidden-size` 310 is not a multiple of `num-attention-heads` 12",
        "x.toml:17:17: `learning-rate` in `[stages.finetune]` is a string",
        "x.toml:18:12: `schedule` in `[stages.finetune]` cannot be `liner`",
        "x.toml:20:9: unknown stage `td-phase3`",
    ];
    assert_eq!(faults(text, &[]), expected);
}

#[test]
fn a_file_with_nothing_in_it_misses_its_tables() {
    let expected = [
        "x.toml:1:1: missing table `[task]`",
        "x.toml:1:1: missing table `[teacher]`",
    ];
    assert_eq!(faults("", &[]), expected);
}

#[test]
fn a_table_that_is_a_value_is_one_fault() {
    let found = faults("task = 3\n[teacher]\nmodel = \"m\"\n", &[]);
    assert_eq!(found, ["x.toml:1:8: `task` is an integer"]);
}

#[test]
fn syntax_faults_are_reported_together_and_not_what_follows_from_them() {
    let text = "seed = \n[task]\nname = \"sst-2\ndev-fraction = 2\nepochs = 1\nepochs = 2\n";
    let expected = [
        "x.toml:1:8: string values must be quoted, expected literal string",
        "x.toml:3:14: invalid basic string, expected `\"`",
        "x.toml:4:16: `dev-fraction` in `[task]` is out of range",
        "x.toml:5:1: unknown key `epochs` in `[task]`",
        "x.toml:6:1: duplicate key `epochs`",
    ];
    assert_eq!(faults(text, &[]), expected);
}

#[test]
fn whole_numbers_do_for_numbers_and_not_the_other_way_round() {
    let text = pipeline();
    let weight = read_with(&text, &["stages.td-phase1.hidden-weight=2"]).unwrap();
    let phase1: &Distill = weight.stages.get("td-phase1").unwrap().keys();
    assert!((phase1.hidden_weight - 2.0).abs() < f64::EPSILON);
    let found = faults(&text, &["stages.td-phase1.epochs=2.0"]);
    assert_eq!(
        found,
        ["--set:1:25: `epochs` in `[stages.td-phase1]` is a float"]
    );
}

#[test]
fn numbers_that_are_none_and_numbers_without_end_are_out_of_range() {
    for number in ["inf", "-inf", "nan", "1e999", "99999999999999999999"] {
        let set = format!("stages.td-phase1.hidden-weight={number}");
        assert_eq!(
            faults(&pipeline(), &[&set]),
            ["--set:1:32: `hidden-weight` in `[stages.td-phase1]` is out of range"],
            "{number}"
        );
    }
}
