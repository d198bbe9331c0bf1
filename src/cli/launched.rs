//! `tinyrun FILE` as one of the ranks that a launcher has started.

use super::{Failure, RunArguments};
use crate::plan::Selection;
use crate::runs::Layout;
use crate::stage::{
    Interrupts, Kernel, KernelError, Ranks, Served, StageError, serve as serve_ranks,
};
use crate::system::{Digest, Launched, launched};

/// The place that a launcher has given this process, if one has.
pub(super) fn of_environment(arguments: &RunArguments) -> Result<Option<Launched>, Failure> {
    let found = launched().map_err(|error| usage(error.to_string(), error.hint()))?;
    if let Some(launched) = &found
        && arguments.jobs > 1
    {
        let message = format!(
            "`--jobs` {} with ranks that {} has started is not supported",
            arguments.jobs, launched.by
        );
        return Err(usage(message, "run one stage at a time, without `--jobs`"));
    }
    Ok(found)
}

/// Waits for the other ranks, as the first one.
pub(super) fn gather(
    kernel: &Kernel,
    launched: &Launched,
    selection: &Selection,
    layout: &Layout,
    interrupts: &Interrupts,
) -> Result<Ranks, Failure> {
    let digest = digest(selection)?;
    Ranks::gather(kernel, launched, &layout.runs(), digest, interrupts).map_err(told)
}

/// Serves the first rank, as another one, until its run is over.
pub(super) fn serve(
    launched: &Launched,
    selection: &Selection,
    layout: &Layout,
) -> Result<(), Failure> {
    let interrupts = Interrupts::listen().map_err(Failure::Output)?;
    let _held = interrupts.hold();
    let digest = digest(selection)?;
    let served = serve_ranks(
        &Kernel::find(),
        launched,
        &layout.runs(),
        digest,
        &interrupts,
    );
    match served.map_err(told)? {
        Served::End => Ok(()),
        Served::Quit => Err(Failure::Interrupted),
    }
}

fn told(source: KernelError) -> Failure {
    StageError::Ranks { source }.into()
}

fn usage(message: String, hint: &str) -> Failure {
    let hint = Some(hint.to_owned());
    Failure::Usage { message, hint }
}

/// What is run and how, the same on all ranks: the experiment files' content and the options that select from it.
fn digest(selection: &Selection) -> Result<String, Failure> {
    let mut all = vec![env!("CARGO_PKG_VERSION").to_owned()];
    all.push(format!("{:?} {:?}", selection.stages, selection.forced));
    all.extend(selection.overrides.iter().cloned());
    for path in &selection.files {
        let content = std::fs::read(path).map_err(Failure::Output)?;
        all.push(Digest::of_bytes(&content).to_string());
    }
    Ok(Digest::of_bytes(all.join("\n").as_bytes()).to_string())
}
