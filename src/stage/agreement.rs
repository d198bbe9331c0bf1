//! Whether two results of one fingerprint are the same.

use std::fs;
use std::io;
use std::path::Path;

use crate::metrics::csv_file::is_of_speed;
use crate::runs::{Error, Record};

/// A file in which two results differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub file: String,
    /// How.
    pub how: &'static str,
}

/// Files that differ between a result and another, each with its folder; metrics are compared without
/// their columns of speed.
///
/// # Errors
/// A metrics file that cannot be read.
pub fn differences(
    (folder, record): (&Path, &Record),
    (other_folder, other): (&Path, &Record),
) -> Result<Vec<Difference>, Error> {
    let mut found = Vec::new();
    for (file, artifact) in &record.artifacts {
        let how = match other.artifacts.get(file) {
            None => Some("is missing from the new result"),
            Some(same) if same.sha256 == artifact.sha256 => None,
            Some(_) if file == "metrics.csv" => {
                let ours = without_speed(&folder.join(file))?;
                let theirs = without_speed(&other_folder.join(file))?;
                (ours != theirs).then_some("has different numbers")
            }
            // Times are in it.
            Some(_) if file == "report.json" => None,
            Some(_) => Some("has different bytes"),
        };
        let file = file.clone();
        found.extend(how.map(|how| Difference { file, how }));
    }
    let added = other.artifacts.keys();
    let added = added.filter(|file| !record.artifacts.contains_key(*file));
    found.extend(added.map(|file| Difference {
        file: file.clone(),
        how: "is only in the new result",
    }));
    Ok(found)
}

fn without_speed(path: &Path) -> Result<Vec<Vec<String>>, Error> {
    let text = fs::read(path).map_err(Error::read(path))?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(&text[..]);
    let mut rows: Vec<Vec<String>> = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| Error::read(path)(io::Error::other(error)))?;
        rows.push(record.iter().map(str::to_owned).collect());
    }
    let speed: Vec<bool> = rows.first().map_or_else(Vec::new, |header| {
        header.iter().map(|name| is_of_speed(name)).collect()
    });
    for row in &mut rows {
        let mut place = 0;
        row.retain(|_| {
            place += 1;
            !speed.get(place - 1).is_some_and(|speed| *speed)
        });
    }
    Ok(rows)
}
