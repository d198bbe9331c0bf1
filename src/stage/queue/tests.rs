use std::cell::RefCell;
use std::collections::BTreeMap;

use chrono::DateTime;

use super::*;
use crate::experiment::testing;
use crate::plan::graph;
use crate::runs::{FORMAT, Key, Summary};

fn nodes() -> Vec<Node> {
    graph(&testing::read(&testing::pipeline()))
}

/// A queue of experiments that are all alike.
fn queue(nodes: &[Node], experiments: usize) -> Queue<'_> {
    let tracks = (0..experiments).map(|_| (nodes.iter().collect(), Done::new()));
    Queue::new(tracks)
}

fn key(kind: &str) -> Key {
    Key {
        kind: kind.to_owned(),
        semantics: 1,
        settings: BTreeMap::new(),
        inputs: BTreeMap::new(),
        upstream: BTreeMap::new(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "what running a stage returns")]
fn done(task: &Task<'_>) -> Result<Ended, StageError> {
    let key = key(task.node.kind);
    let record = Record {
        format: FORMAT,
        fingerprint: key.fingerprint(),
        key,
        artifacts: BTreeMap::new(),
        started: DateTime::UNIX_EPOCH,
        finished: DateTime::UNIX_EPOCH,
        seconds: 0.0,
        resumed_from: None,
        tinyrun: "0.1.0".to_owned(),
        machine: None,
        git: None,
        summary: Summary::default(),
        experiment: String::new(),
    };
    Ok(Ended::Done(Box::new(record), true))
}

/// The next stage, begun.
fn begin<'a>(queue: &mut Queue<'a>) -> Task<'a> {
    match queue.next() {
        Next::Stage { track, place } => queue.begin(track, place),
        Next::Wait => panic!("it waits"),
        Next::Nothing => panic!("nothing is left"),
    }
}

fn name<'a>(task: &Task<'a>) -> &'a str {
    task.node.stage.as_str()
}

#[test]
fn one_worker_does_one_experiment_after_the_other_and_reports_each_when_it_ends() {
    let nodes = nodes();
    let mut queue = queue(&nodes, 2);
    let happened = RefCell::new(Vec::new());
    loop {
        queue.report_finished(|place, outcome| {
            let ran = outcome.count_ran();
            happened.borrow_mut().push(format!("{place} ran {ran}"));
            Ok(())
        });
        let Next::Stage { track, place } = queue.next() else {
            break;
        };
        let task = queue.begin(track, place);
        assert_eq!(task.is_first, place == 0);
        happened
            .borrow_mut()
            .push(format!("{track} {}", name(&task)));
        let ended = done(&task);
        queue.end(&task, ended);
    }
    let mut expected = Vec::new();
    for track in 0..2 {
        expected.extend(nodes.iter().map(|node| format!("{track} {}", node.stage)));
        expected.push(format!("{track} ran {}", nodes.len()));
    }
    assert_eq!(happened.into_inner(), expected);
    let outcomes = queue.outcomes().expect("no failure");
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.stages.len() == nodes.len())
    );
}

#[test]
fn a_stage_begins_when_those_that_it_depends_on_have_ended() {
    let nodes = nodes();
    let mut queue = queue(&nodes, 1);
    let (data, corpus) = (begin(&mut queue), begin(&mut queue));
    assert_eq!([name(&data), name(&corpus)], ["data-prep", "corpus-prep"]);
    assert!(matches!(queue.next(), Next::Wait));
    queue.end(&corpus, done(&corpus));
    let general = begin(&mut queue);
    assert_eq!(name(&general), "general-distill");
    assert!(matches!(queue.next(), Next::Wait));
    queue.end(&data, done(&data));
    let finetune = begin(&mut queue);
    assert_eq!(name(&finetune), "finetune");
    // What the other worker began meanwhile is in its records.
    assert!(finetune.done.contains_key("corpus-prep"));
}

#[test]
fn a_result_that_another_experiment_makes_is_waited_for() {
    let nodes = nodes();
    let mut queue = queue(&nodes[..1], 2);
    let fingerprint = key(nodes[0].kind).fingerprint();
    let (first, second) = (begin(&mut queue), begin(&mut queue));
    assert!(queue.claim(&fingerprint));
    assert!(!queue.claim(&fingerprint));
    queue.end(&second, Ok(Ended::Behind(fingerprint.clone())));
    assert!(matches!(queue.next(), Next::Wait));
    queue.release(&fingerprint);
    queue.end(&first, done(&first));
    let again = begin(&mut queue);
    assert_eq!(again.track, 1);
    // It was released before the one behind it had come back.
    queue.end(&again, Ok(Ended::Behind(fingerprint)));
    assert_eq!(begin(&mut queue).track, 1);
}

#[test]
fn what_depends_on_a_failed_stage_is_left_out_and_the_rest_goes_on() {
    let nodes = nodes();
    let mut queue = queue(&nodes, 1);
    while let Next::Stage { track, place } = queue.next() {
        let task = queue.begin(track, place);
        let ended = match task.node.kind {
            "finetune" => Ok(Ended::Failed),
            _ => done(&task),
        };
        queue.end(&task, ended);
    }
    let outcomes = queue.outcomes().expect("the run went on");
    let ran = outcomes[0].stages.iter().map(|found| found.stage.as_str());
    let ran: Vec<&str> = ran.collect();
    assert_eq!(ran, ["data-prep", "corpus-prep", "general-distill"]);
    assert_eq!(outcomes[0].failed, ["finetune"]);
    assert_eq!(outcomes[0].left_out, ["td-phase1", "td-phase2", "eval"]);
}

#[test]
fn after_a_failure_nothing_begins_and_what_runs_is_waited_for() {
    let nodes = nodes();
    let mut queue = queue(&nodes, 2);
    let (first, second) = (begin(&mut queue), begin(&mut queue));
    let failure = |file: &str| StageError::Incomplete {
        stage: StageName::new("data-prep"),
        file: file.to_owned(),
    };
    queue.end(&first, Err(failure("first")));
    assert!(matches!(queue.next(), Next::Wait));
    queue.end(&second, Err(failure("second")));
    assert!(matches!(queue.next(), Next::Nothing));
    queue.report_finished(|_, _| panic!("no experiment is finished"));
    let error = queue.outcomes().expect_err("it failed");
    assert!(error.to_string().contains("`first`"), "{error}");
}

#[test]
fn a_stage_whose_worker_panicked_is_not_waited_for() {
    let nodes = nodes();
    let mut queue = queue(&nodes, 2);
    begin(&mut queue);
    queue.abandon();
    assert!(matches!(queue.next(), Next::Nothing));
}
