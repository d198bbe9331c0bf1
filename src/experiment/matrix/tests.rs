use super::*;
use crate::experiment::testing::{pipeline, read_all};
use crate::experiment::{Distill, LayerMapRule, Origin, Role, Training};

fn all(matrix: &str) -> Experiments {
    read_all(&format!("{}\n{matrix}", pipeline()), &[]).unwrap_or_else(|it| panic!("{it}"))
}

fn names(experiments: &Experiments) -> Vec<&str> {
    let variants = experiments.variants.iter();
    variants.map(|variant| variant.name.as_str()).collect()
}

fn faults(matrix: &str) -> Vec<String> {
    let text = format!("{}\n{matrix}", pipeline());
    let faults = read_all(&text, &[]).expect_err("has faults");
    faults.to_string().lines().map(str::to_owned).collect()
}

#[test]
fn a_file_without_a_matrix_is_one_experiment_of_its_own_name() {
    let found = all("");
    assert!(!found.is_matrix);
    assert_eq!(names(&found), [""]);
    assert_eq!(found.variants[0].experiment.name, "x");
}

#[test]
fn every_variant_meets_every_value_in_the_order_of_the_file() {
    let found = all("[matrix]\nseed = [2, 1]\nstages.td-phase1.epochs = [5]\n\
         [matrix.variants]\nfull = {}\nb = { \"stages.td-phase1.attention-weight\" = 0 }\n\
         a = { stages.td-phase1.hidden-weight = 0.5 }");
    let expected = [
        "full.seed-2.epochs-5",
        "full.seed-1.epochs-5",
        "b.seed-2.epochs-5",
        "b.seed-1.epochs-5",
        "a.seed-2.epochs-5",
        "a.seed-1.epochs-5",
    ];
    assert_eq!(names(&found), expected);
    let groups: Vec<&str> = found.variants.iter().map(|it| it.group.as_str()).collect();
    assert_eq!(groups[0], "full.epochs-5");
    assert_eq!(groups[0], groups[1]);
    assert_ne!(groups[1], groups[2]);
    let b = &found.variants[2];
    assert_eq!(b.experiment.name, "x/b.seed-2.epochs-5");
    assert_eq!(b.experiment.seed, 2);
    let stage = |variant: &Variant, name: &str| variant.experiment.stages.get(name).cloned();
    let phase1 = stage(b, "td-phase1").unwrap();
    assert_eq!(*phase1.keys::<Training>().epochs, 5);
    assert!(phase1.keys::<Distill>().attention_weight.abs() < f64::EPSILON);
    let values = [("seed", "2"), ("stages.td-phase1.epochs", "5")];
    let values = values.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(b.values, values);
}

#[test]
fn a_variant_may_leave_stages_out() {
    let found = all("[matrix.variants.no-gd]\nwithout = [\"general-distill\"]\n\
         stages.td-phase1.student = \"random\"");
    let experiment = &found.variants[0].experiment;
    assert!(experiment.stages.get("general-distill").is_none());
    let student = experiment.origin_of(experiment.stages.get("td-phase1").unwrap(), Role::Student);
    let student = student.unwrap();
    assert_eq!(student.value, Origin::Random);
}

#[test]
fn values_may_be_lists_and_tables() {
    let found = all(
        "[matrix]\nstudent.layer-map = [\"uniform\", { attention = [0, 1, 2, 3], hidden = [0, 1, 2, 3, 4] }]",
    );
    assert_eq!(names(&found), ["layer-map-uniform", "layer-map-2"]);
    let rule = &found.variants[1].experiment.student.layer_map.value;
    assert!(matches!(rule, LayerMapRule::Explicit(_)));
    assert!(found.variants[1].values[0].1.starts_with("{ attention"));
}

#[test]
fn axes_of_the_same_last_word_are_named_in_full() {
    let found = all("[matrix]\nstages.td-phase1.epochs = [1, 2]\nstages.td-phase2.epochs = [3]");
    let expected = ["stages.td-phase1.epochs-1.stages.td-phase2.epochs-3"];
    assert_eq!(names(&found)[..1], expected);
}

#[test]
fn a_matrix_that_makes_no_sense_is_refused_at_its_place() {
    let header = pipeline().lines().count() + 2;
    let at = |line: usize, rest: &str| format!("x.toml:{}:{rest}", header + line);
    let cases = [
        ("[matrix]", 0, "1: `[matrix]` is empty"),
        (
            "[matrix]\nseed = 3",
            1,
            "8: `seed` in `[matrix]` is an integer",
        ),
        (
            "[matrix]\nseed = []",
            1,
            "8: `seed` in `[matrix]` is an empty list",
        ),
        (
            "[matrix]\nseed = [1, 2, 1]",
            1,
            "15: `seed` in `[matrix]` has the same value twice",
        ),
        (
            "[matrix]\nname = [\"a\"]",
            1,
            "1: `name` cannot be changed by `[matrix]`",
        ),
        (
            "[matrix]\nvariants = 3",
            1,
            "12: `variants` in `[matrix]` is an integer",
        ),
        ("[matrix.variants]", 0, "1: `[matrix.variants]` is empty"),
        (
            "[matrix.variants]\na = 1",
            1,
            "5: variant `a` is an integer",
        ),
        (
            "[matrix.variants]\neval = {}",
            1,
            "1: variant name `eval` is reserved in the experiment's folder",
        ),
        (
            "[matrix.variants]\n\"a b\" = {}",
            1,
            "1: variant name `a b` may contain only letters, digits, `.`, `_` and `-`",
        ),
        (
            "[matrix.variants]\na = { without = [\"evil\"] }",
            1,
            "18: unknown stage `evil`",
        ),
    ];
    for (matrix, line, rest) in cases {
        assert_eq!(faults(matrix), [at(line, rest)], "{matrix}");
    }
}

#[test]
fn a_value_that_a_key_does_not_take_is_a_fault_in_the_matrix() {
    let found = faults("[matrix]\nseed = [1, -2]\nstages.td-phase1.epohcs = [1]");
    let line = pipeline().lines().count() + 3;
    assert_eq!(
        found,
        [
            format!("x.toml:{line}:12: `seed` is out of range"),
            format!(
                "x.toml:{}:18: unknown key `epohcs` in `[stages.td-phase1]`",
                line + 1
            )
        ]
    );
}

#[test]
fn a_fault_of_one_variant_names_it() {
    let matrix = "[matrix.variants]\nfull = {}\nno-gd = { without = [\"general-distill\"] }";
    let faults = read_all(&format!("{}\n{matrix}", pipeline()), &[]).expect_err("no student");
    assert_eq!(faults.faults.len(), 1);
    let fault = &faults.faults[0];
    assert_eq!(fault.message, "`td-phase1` has no student to start from");
    assert_eq!(fault.note.as_deref(), Some("in variant `no-gd`"));
}

#[test]
fn a_matrix_can_be_given_and_narrowed_on_the_command_line() {
    let text = format!("{}\n[matrix]\nseed = [1, 2]\n", pipeline());
    let found = read_all(&text, &["matrix.seed=[7]"]).unwrap();
    assert_eq!(names(&found), ["seed-7"]);
    let found = read_all(&pipeline(), &["matrix.seed=[7, 8]"]).unwrap();
    assert_eq!(names(&found), ["seed-7", "seed-8"]);
}
