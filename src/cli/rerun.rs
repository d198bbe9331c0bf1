//! `tinyrun rerun`: a recorded stage once more, from its record alone.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Place, gpus, layout, print, show};
use crate::experiment::StageName;
use crate::kinds::{KINDS, WORKS};
use crate::plan::{Selection, StageRange, Workload, compare};
use crate::report::{Console, Style, Verbosity, agreement};
use crate::runs::{Digester, Error, Layout, Record, copy_folder, link_to, remove_path, stored};
use crate::stage::{
    Interrupts, Kernel, Observer, Outcome, Reporter, Scheduler, StageError, differences,
};

/// `tinyrun rerun RESULT`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Result: `EXPERIMENT/STAGE`, for example `sst2/td-phase1`, or its folder or record file
    #[arg(value_name = "RESULT")]
    result: PathBuf,

    /// Keep the new output in `runs/work/rerun`
    #[arg(long)]
    keep: bool,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let (folder, record) = show::find(&arguments.result, &layout)?;
    check_repeatable(&record)?;
    // A place of its own: what is stored stays as it is, whatever comes out.
    let scratch = layout.runs().join("work").join("rerun");
    remove_path(&scratch)?;
    let own = layout.with_runs(scratch.clone());
    borrow_store(&layout, &own, &folder)?;
    let file = scratch.join("experiment.toml");
    crate::runs::write_atomic(&file, record.experiment.as_bytes())?;
    let again = do_again(&record, &Selection::of_files(&[file]), &own)?;
    if again.fingerprint != record.fingerprint {
        let reasons = compare(&record.key, &again.key, &BTreeSet::new());
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        return Err(usage(
            format!("the stage differs from its record: {}", reasons.join("; ")),
            "restore the recorded input files, or run the experiment in its current state",
        ));
    }
    let came_out = own.store(&again.key.kind, &again.fingerprint);
    let found = differences((&folder, &record), (&came_out, &again))?;
    let agrees = found.is_empty();
    print(&agreement(
        &record,
        &again,
        &found,
        Style::of(&io::stdout()),
    ))?;
    if !arguments.keep {
        remove_path(&scratch)?;
    }
    if agrees { Ok(()) } else { Err(Failure::Found) }
}

fn usage(message: String, hint: &str) -> Failure {
    Failure::Usage {
        message,
        hint: Some(hint.to_owned()),
    }
}

/// Refuses a record that lacks its experiment, or that no single run can give again.
fn check_repeatable(record: &Record) -> Result<(), Failure> {
    if record.experiment.is_empty() {
        return Err(usage(
            "the record does not contain its experiment".to_owned(),
            "run the experiment file with `--force` instead: the record is from an older tinyrun",
        ));
    }
    let ranks = record.machine.as_ref().map(|machine| &machine.ranks[..]);
    if ranks.is_some_and(|ranks| ranks.len() > 1) {
        return Err(usage(
            "the result cannot be repeated: its training was resumed with another number of ranks"
                .to_owned(),
            "sums of other ranks differ by rounding; run the experiment with `--force` for a result that can",
        ));
    }
    Ok(())
}

/// Runs the recorded stage of the experiment `all` in a place of its own.
fn do_again(record: &Record, all: &Selection, own: &Layout) -> Result<Record, Failure> {
    let Some(stage) = stage_of(record, &Workload::read(KINDS, all, own)?, own)? else {
        return Err(usage(
            format!(
                "the recorded experiment has no stage of kind `{}`",
                record.key.kind
            ),
            "restore the recorded input files, or run the experiment in its current state",
        ));
    };
    let selection = Selection {
        stages: StageRange::Single(stage.clone()),
        ..all.clone()
    };
    let workload = Workload::read(KINDS, &selection, own)?;
    let interrupts = Interrupts::listen().map_err(Failure::Output)?;
    let kernel = Kernel::find();
    gpus::check(&workload.pipelines(), &kernel)?;
    let scheduler = Scheduler {
        jobs: 1,
        keep_going: false,
        works: WORKS,
        kernel: &kernel,
        interrupts: &interrupts,
        reporter: &Progress,
    };
    let outcomes = scheduler.run(&workload.pipelines())?;
    let again = outcomes
        .iter()
        .find_map(|outcome| outcome.record_of(&stage));
    again.cloned().ok_or(Failure::Found)
}

/// The stage whose result a record is: several may have its kind.
fn stage_of(
    record: &Record,
    workload: &Workload,
    layout: &Layout,
) -> Result<Option<StageName>, Error> {
    let mut digester = Digester::of(layout);
    let mut of_kind = None;
    for pipeline in workload.pipelines() {
        let plan = pipeline.plan(&mut digester)?;
        let stages = pipeline.nodes.iter().zip(plan.stages);
        let stages = stages.filter(|(node, _)| node.kind == record.key.kind);
        for (node, planned) in stages {
            if planned.fingerprint().as_ref() == Some(&record.fingerprint) {
                return Ok(Some(node.stage.clone()));
            }
            of_kind.get_or_insert(node.stage.clone());
        }
    }
    Ok(of_kind)
}

/// Shows the stage that runs.
struct Progress;

impl Reporter for Progress {
    fn observer(&self, _place: usize) -> Box<dyn Observer + '_> {
        Box::new(Console::new(Verbosity::Normal, false))
    }

    fn finished(&self, _place: usize, _outcome: &Outcome) -> Result<(), StageError> {
        Ok(())
    }
}

/// Links every stored result into another store, but for the one that is to be done again.
fn borrow_store(from: &Layout, to: &Layout, but: &Path) -> Result<(), Error> {
    let but = but.canonicalize().map_err(Error::read(but))?;
    for result in stored(from)? {
        let Some(record) = &result.record else {
            continue;
        };
        let own = result
            .folder
            .canonicalize()
            .map_err(Error::read(&result.folder))?;
        if own != but {
            let at = to.store(&result.kind, &record.fingerprint);
            link_to(&own, &at)?;
            // A text file in the place of a link is no folder that a stage can read.
            if at.is_file() {
                remove_path(&at)?;
                copy_folder(&own, &at)?;
            }
        }
    }
    Ok(())
}
