//! `tinyrun clean`: an experiment's result of a stage.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::{Failure, Place, layout, print, set};
use crate::experiment::StageName;
use crate::kinds::KINDS;
use crate::plan::{Done, Node, Pipeline, Selection, Workload};
use crate::report::{Removable, Style, removable_lines};
use crate::runs::{
    Digester, Error, Fingerprint, RemovalError, Removed, RemovedWhat, remove_interrupted,
    remove_result,
};

/// `tinyrun clean FILE STAGE`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Experiment file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Stage whose result to delete
    #[arg(value_name = "STAGE", value_parser = set::StageNames, hide_possible_values = true)]
    stage: StageName,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let selection = Selection::of_files(std::slice::from_ref(&arguments.file));
    let workload = Workload::read(KINDS, &selection, &layout)?;
    let mut digester = Digester::of(&layout);
    let mut list = Vec::new();
    let mut is_stage = false;
    for pipeline in workload.pipelines() {
        let name = &pipeline.experiment.name;
        let mut nodes = pipeline.nodes.iter();
        if let Some(node) = nodes.find(|node| node.stage == arguments.stage) {
            is_stage = true;
            let fingerprint = fingerprint_of(&pipeline, node, &mut digester)?;
            if let Some(fingerprint) = fingerprint {
                let removed = remove_interrupted(&layout, node.kind, &fingerprint)?;
                list.extend(removed.map(|removed| removable(name, removed)));
            }
        }
        // A stage that was renamed or taken out of the file may have left its result.
        let removed = remove_result(&layout, name, arguments.stage.as_str())?;
        list.extend(removed.map(|removed| removable(name, removed)));
    }
    if !is_stage && list.is_empty() {
        return Err(workload.no_stage(&arguments.stage).into());
    }
    print(&removable_lines(&list, true, Style::of(&io::stdout())))
}

/// The fingerprint that an interrupted stage has, if all before it is there.
fn fingerprint_of(
    pipeline: &Pipeline<'_>,
    node: &Node,
    digester: &mut Digester,
) -> Result<Option<Fingerprint>, Error> {
    let before = node.after.iter();
    let records = before.filter_map(|stage| Some((stage.clone(), pipeline.last_record(stage)?)));
    let done: Done = records.collect();
    Ok(pipeline.planner(digester).plan(node, &done)?.fingerprint())
}

fn removable(experiment: &str, removed: Removed) -> Removable {
    Removable {
        path: removed.path.display().to_string(),
        what: match removed.what {
            RemovedWhat::Interrupted => "interrupted".to_owned(),
            RemovedWhat::Result => format!("result of `{experiment}`"),
            RemovedWhat::Link(users) => {
                let users: Vec<String> = users.into_iter().collect();
                format!("link only: the result is used by `{}`", users.join("`, `"))
            }
            RemovedWhat::BrokenLink => String::new(),
        },
        size: removed.size,
    }
}

impl From<RemovalError> for Failure {
    fn from(error: RemovalError) -> Self {
        match error {
            RemovalError::Disk(error) => error.into(),
            RemovalError::InUse { .. } => Self::Usage {
                message: error.to_string(),
                hint: Some("stop that run first".to_owned()),
            },
        }
    }
}
