//! `tinyrun clean`: an experiment's result of a stage.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::file::Request;
use super::status::{linked, run_arguments};
use super::{Failure, Place, layout, print, stage_names};
use crate::experiment::StageName;
use crate::plan::Planner;
use crate::report::{Removable, Style, removable_lines};
use crate::runs::{Digester, Lock, Owner, Record, leftovers, remove_path, stored};
use crate::stage::Done;

/// `tinyrun clean FILE STAGE`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Experiment file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Stage whose result to delete
    #[arg(value_name = "STAGE", value_parser = stage_names())]
    stage: String,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let run = run_arguments(std::slice::from_ref(&arguments.file), &[]);
    let request = Request::read(&run, &layout)?;
    let Some(stage) = StageName::parse(&arguments.stage) else {
        return Err(Failure::Found);
    };
    let mut digester = Digester::open(layout.digests(), layout.root().to_owned());
    let mut list = Vec::new();
    let file = &request.files[0];
    for place in 0..file.experiments.variants.len() {
        let pipeline = request.pipeline(file, place);
        let name = &pipeline.experiment.name;
        let Some(node) = pipeline.nodes.iter().find(|node| node.stage == stage) else {
            continue;
        };
        // What it was interrupted in, where all before it is there and says what that would be.
        let mut planner = Planner {
            experiment: pipeline.experiment,
            inputs: pipeline.inputs,
            layout: &layout,
            forced: pipeline.forced,
            digester: &mut digester,
        };
        let mut done = Done::new();
        for before in pipeline.nodes.iter().take_while(|node| node.stage != stage) {
            let record = linked(&pipeline, before.stage).and_then(|folder| Record::read(&folder));
            done.extend(record.map(|record| (before.stage, record)));
        }
        let fingerprint = planner.plan(node, &done)?.fingerprint();
        let work = fingerprint.map(|fingerprint| {
            let kind = stage.as_str();
            (
                layout.work(kind, &fingerprint),
                layout.lock(kind, &fingerprint),
            )
        });
        if let Some((work, lock)) = work.filter(|(work, _)| work.exists()) {
            let _lock = Lock::try_acquire(&lock)?.map_err(|owner| in_use(stage, owner.as_ref()))?;
            let size = leftovers(&layout)?
                .iter()
                .find(|it| it.path == work)
                .map_or(0, |it| it.size);
            remove_path(&work)?;
            list.push(Removable {
                path: work.display().to_string(),
                what: "interrupted".to_owned(),
                size,
            });
        }
        let link = layout.link(name, stage.as_str());
        let Some(target) = linked(&pipeline, stage) else {
            continue;
        };
        let fingerprint = Record::read(&target).map(|record| record.fingerprint);
        let lock = fingerprint.map(|fingerprint| layout.lock(stage.as_str(), &fingerprint));
        let _lock = match lock.as_deref().map(Lock::try_acquire).transpose()? {
            Some(Err(owner)) => return Err(in_use(stage, owner.as_ref())),
            Some(Ok(lock)) => Some(lock),
            None => None,
        };
        remove_path(&link)?;
        // Another experiment's result stays.
        let fingerprint = target.file_name().map(ToOwned::to_owned);
        let mut all = stored(&layout)?.into_iter();
        let result = all.find(|it| {
            it.kind == stage.as_str() && it.folder.file_name() == fingerprint.as_deref()
        });
        match result {
            Some(result) if result.used_by.is_empty() => {
                remove_path(&result.folder)?;
                list.push(Removable {
                    path: result.folder.display().to_string(),
                    what: format!("result of `{name}`"),
                    size: result.size,
                });
            }
            other => list.push(Removable {
                path: link.display().to_string(),
                what: other.map_or_else(String::new, |result| {
                    let users: Vec<String> = result.used_by.into_iter().collect();
                    format!("link only: the result is used by `{}`", users.join("`, `"))
                }),
                size: 0,
            }),
        }
    }
    print(&removable_lines(&list, true, Style::of(&io::stdout())))
}

fn in_use(stage: StageName, owner: Option<&Owner>) -> Failure {
    let whom = owner.map_or_else(String::new, |owner| format!(" in process {}", owner.pid));
    Failure::Usage {
        message: format!("`{stage}` is running{whom}"),
        hint: Some("stop that run first".to_owned()),
    }
}
