use super::*;
use crate::kinds::KINDS;

fn nodes(more: &str) -> Vec<Node> {
    let text = format!(
        "[task]\nname = \"sst-2\"\ntrain = \"train.tsv\"\ndev = \"dev.tsv\"\n\
         [teacher]\nmodel = \"teacher\"\n{more}"
    );
    let read = Experiment::read(KINDS, "x.toml", "x", &text, &[]);
    graph(&read.expect("no faults").0)
}

fn order(nodes: &[Node]) -> Vec<&str> {
    nodes.iter().map(|node| node.stage.as_str()).collect()
}

fn taken(nodes: &[Node], stage: &str) -> Vec<String> {
    let node = nodes.iter().find(|node| node.stage == *stage);
    let node = node.expect("in the graph");
    let takes = node.takes.iter();
    let takes = takes.map(|take| format!("{}: {}", take.role, take.name()));
    let folders = node.folders.iter();
    takes
        .chain(folders.map(|(role, folder)| format!("{role}: {folder}/")))
        .collect()
}

const ALL: &str = "[stages.finetune]\n[stages.general-distill]\ncorpus = [\"*.txt\"]\n\
                   [stages.td-phase1]\n[stages.td-phase2]\n[stages.eval]\n";

#[test]
fn every_stage_takes_the_nearest_earlier_student_and_its_teacher() {
    let nodes = nodes(ALL);
    let expected: [(&str, &[&str]); 7] = [
        ("data-prep", &["tokenizer: teacher/"]),
        ("corpus-prep", &["tokenizer: teacher/"]),
        (
            "finetune",
            &[
                "train: data-prep/train",
                "dev: data-prep/dev",
                "teacher: teacher/",
            ],
        ),
        (
            "general-distill",
            &["corpus: corpus-prep/train", "teacher: teacher/"],
        ),
        (
            "td-phase1",
            &[
                "train: data-prep/train",
                "teacher: finetune/model",
                "student: general-distill/model",
            ],
        ),
        (
            "td-phase2",
            &[
                "train: data-prep/train",
                "dev: data-prep/dev",
                "teacher: finetune/model",
                "student: td-phase1/model",
            ],
        ),
        (
            "eval",
            &[
                "dev: data-prep/dev",
                "teacher: finetune/model",
                "student: td-phase2/model",
            ],
        ),
    ];
    assert_eq!(order(&nodes), expected.map(|(stage, _)| stage));
    for (stage, takes) in expected {
        assert_eq!(taken(&nodes, stage), takes, "{stage}");
    }
}

#[test]
fn a_stage_with_a_teacher_of_its_own_takes_the_tokenizer_of_the_task() {
    let nodes =
        nodes("[student]\nmodel = \"student\"\n[stages.td-phase1]\nteacher = \"models/large\"\n");
    assert_eq!(
        taken(&nodes, "td-phase1"),
        [
            "train: data-prep/train",
            "tokenizer: teacher/",
            "teacher: models/large/",
            "student: student/"
        ]
    );
}

#[test]
fn a_stage_that_another_names_runs_before_it() {
    let nodes = nodes(
        "[student]\nmodel = \"student\"\n[stages.td-phase1]\nstudent = \"td-phase2\"\n\
         [stages.td-phase2]\nstudent = \"./student\"\n",
    );
    assert_eq!(order(&nodes), ["data-prep", "td-phase2", "td-phase1"]);
    assert_eq!(
        taken(&nodes, "td-phase2"),
        [
            "train: data-prep/train",
            "dev: data-prep/dev",
            "teacher: teacher/",
            "student: ./student/"
        ]
    );
}

#[test]
fn stages_of_one_kind_are_apart_and_stored_under_it() {
    let more = "[stages.hot]\nkind = \"td-phase2\"\nstudent = \"td-phase1\"\n\
                [stages.eval-hot]\nkind = \"eval\"\nstudent = \"hot\"\n";
    let nodes = nodes(&format!("{ALL}{more}"));
    assert_eq!(order(&nodes)[5..], ["td-phase2", "hot", "eval", "eval-hot"]);
    assert_eq!(nodes[6].kind, "td-phase2");
    assert_eq!(taken(&nodes, "hot")[3], "student: td-phase1/model");
    assert_eq!(taken(&nodes, "eval")[2], "student: hot/model");
    assert_eq!(taken(&nodes, "eval-hot")[2], "student: hot/model");
}
