//! `tinyrun rerun`: a recorded stage once more, from its record alone.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Failure, Place, layout, print, show};
use crate::experiment::StageName;
use crate::plan::{Selection, StageRange, Workload, compare};
use crate::report::{Console, Style, Verbosity, agreement};
use crate::runs::{Error, Layout, copy_folder, link_to, remove_path, stored};
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
    let usage = |message: String, hint: &str| Failure::Usage {
        message,
        hint: Some(hint.to_owned()),
    };
    let stage = StageName::parse(&record.key.kind);
    let (Some(stage), false) = (stage, record.experiment.is_empty()) else {
        return Err(usage(
            "the record does not contain its experiment".to_owned(),
            "run the experiment file with `--force` instead: the record is from an older tinyrun",
        ));
    };
    // A place of its own: what is stored stays as it is, whatever comes out.
    let scratch = layout.runs().join("work").join("rerun");
    remove_path(&scratch)?;
    let own = layout.with_runs(scratch.clone());
    borrow_store(&layout, &own, &folder)?;
    let file = scratch.join("experiment.toml");
    crate::runs::write_atomic(&file, record.experiment.as_bytes())?;
    let selection = Selection {
        stages: StageRange::Single(stage),
        ..Selection::of_files(&[file])
    };
    let workload = Workload::read(&selection, &own)?;
    let interrupts = Interrupts::listen().map_err(Failure::Output)?;
    let scheduler = Scheduler {
        jobs: 1,
        keep_going: false,
        kernel: &Kernel::find(),
        interrupts: &interrupts,
        reporter: &Progress,
    };
    let outcomes = scheduler.run(&workload.pipelines())?;
    let again = outcomes.iter().find_map(|outcome| outcome.record_of(stage));
    let Some(again) = again else {
        return Err(Failure::Found);
    };
    if again.fingerprint != record.fingerprint {
        let reasons = compare(&record.key, &again.key, &BTreeSet::new());
        let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
        return Err(usage(
            format!("the stage differs from its record: {}", reasons.join("; ")),
            "restore the recorded input files, or run the experiment in its current state",
        ));
    }
    let came_out = own.store(stage.as_str(), &again.fingerprint);
    let found = differences((&folder, &record), (&came_out, again))?;
    let agrees = found.is_empty();
    print(&agreement(&record, again, &found, Style::of(&io::stdout())))?;
    if !arguments.keep {
        remove_path(&scratch)?;
    }
    if agrees { Ok(()) } else { Err(Failure::Found) }
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
