//! `tinyrun compare`: settings that differ beside results that differ.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use clap::Args;

use super::{Failure, Place, layout, print};
use crate::experiment::settings_of;
use crate::kinds::KINDS;
use crate::plan::{Pipeline, Selection, Workload};
use crate::report::{Compared, Style, comparison};

/// `tinyrun compare FILE...`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Experiment files, or one file with a `[matrix]`
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let workload = Workload::read(KINDS, &Selection::of_files(&arguments.files), &layout)?;
    let pipelines = workload.pipelines();
    if pipelines.len() < 2 {
        return Err(Failure::Usage {
            message: "`tinyrun compare` needs at least two experiments".to_owned(),
            hint: Some("pass several files, or a file with a `[matrix]`".to_owned()),
        });
    }
    let compared = pipelines.iter().map(|pipeline| Compared {
        name: pipeline.name.to_owned(),
        settings: settings_of(pipeline.experiment),
        results: results(pipeline),
    });
    let compared: Vec<Compared> = compared.collect();
    print(&comparison(&compared, Style::of(&io::stdout())))
}

/// What was scored last, by what it is called.
fn results(pipeline: &Pipeline<'_>) -> BTreeMap<String, String> {
    let mut results = BTreeMap::new();
    let records = pipeline.scored();
    for (stage, record) in &records {
        // Only where several stages score does it matter which.
        let by = match records.len() {
            1 => String::new(),
            _ => format!("{stage}: "),
        };
        for scored in &record.summary.scored {
            for (metric, value) in &scored.scores {
                let name = format!("{by}{} {metric} on {}", scored.model, scored.split);
                results.insert(name, format!("{value:.4}"));
            }
            let name = format!("{by}{} parameters", scored.model);
            results.insert(name, scored.parameters.to_string());
        }
    }
    results
}
