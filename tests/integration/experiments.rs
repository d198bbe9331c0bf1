//! The files in `experiments/`.

use std::fs;
use std::path::Path;

use tinyrun::experiment::Experiment;

#[test]
fn every_experiment_that_we_ship_is_read_without_faults() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let mut read = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        match Experiment::read(&path.display().to_string(), &stem, &text, &[]) {
            Ok((experiment, _)) => assert_eq!(experiment.name, stem),
            Err(faults) => panic!("{faults}"),
        }
        read.push(stem);
    }
    read.sort();
    assert!(read.contains(&"reviews".to_owned()) && read.contains(&"sst2".to_owned()));
}
