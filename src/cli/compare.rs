//! `tinyrun compare`: settings that differ beside results that differ.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use clap::Args;

use super::file::Request;
use super::status::{linked, run_arguments};
use super::{Failure, Place, layout, print};
use crate::experiment::{StageName, settings_of};
use crate::report::{Compared, Style, comparison};
use crate::runs::Record;

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
    let run = run_arguments(&arguments.files, &[]);
    let request = Request::read(&run, &layout)?;
    if request.count() < 2 {
        return Err(Failure::Usage {
            message: "`tinyrun compare` needs at least two experiments".to_owned(),
            hint: Some("pass several files, or a file with a `[matrix]`".to_owned()),
        });
    }
    let mut compared = Vec::new();
    for file in &request.files {
        for (place, variant) in file.experiments.variants.iter().enumerate() {
            let pipeline = request.pipeline(file, place);
            let record = linked(&pipeline, StageName::Eval);
            let record = record.and_then(|folder| Record::read(&folder));
            let mut results = BTreeMap::new();
            for scored in record.iter().flat_map(|record| &record.summary.scored) {
                for (metric, value) in &scored.scores {
                    let name = format!("{} {metric} on {}", scored.model, scored.split);
                    results.insert(name, format!("{value:.4}"));
                }
                let name = format!("{} parameters", scored.model);
                results.insert(name, scored.parameters.to_string());
            }
            compared.push(Compared {
                name: request.name_of(variant).to_owned(),
                settings: settings_of(&variant.experiment),
                results,
            });
        }
    }
    print(&comparison(&compared, Style::of(&io::stdout())))
}
