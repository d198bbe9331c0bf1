//! The files in `experiments/`.

use std::fs;
use std::path::Path;

use tinyrun::experiment::{Experiment, Experiments};
use tinyrun::report::diagnostic;

#[test]
fn every_experiment_that_we_ship_is_read_without_faults() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let mut read = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let file = path.display().to_string();
        match Experiments::read(
            tinyrun::kinds::KINDS,
            &file,
            &stem,
            &text,
            &[],
            &tinyrun::experiment::FileAlone,
        ) {
            Ok((experiments, _)) => assert_eq!(experiments.name, stem),
            Err(faults) => panic!("{faults}"),
        }
        read.push(stem);
    }
    read.sort();
    assert!(read.contains(&"reviews".to_owned()) && read.contains(&"sst2".to_owned()));
}

#[test]
fn a_file_that_is_cut_short_anywhere_is_read_or_refused_with_its_faults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/reviews.toml");
    let text = fs::read_to_string(path).unwrap();
    let mut refused = 0;
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        if let Err(faults) =
            Experiment::read(tinyrun::kinds::KINDS, "x.toml", "x", &text[..end], &[])
        {
            let drawn = diagnostic::render(&faults, false);
            assert!(
                drawn.starts_with("error: ") && drawn.contains("--> x.toml:"),
                "{drawn}"
            );
            refused += 1;
        }
    }
    assert!(refused > text.len() / 4);
}
