//! An experiment file reads or is refused with its faults; one that reads is written out as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tinyrun::experiment::{Experiment, to_toml};
use tinyrun::report::diagnostic::render;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Experiment::read(tinyrun::kinds::KINDS, "x.toml", "x", text, &[]) {
        Ok((experiment, _)) => {
            let written = to_toml(&experiment);
            let again = Experiment::read(tinyrun::kinds::KINDS, "y.toml", "y", &written, &[]);
            let (again, _) = again.unwrap_or_else(|faults| panic!("{faults}\n{written}"));
            assert_eq!(again, experiment, "{written}");
        }
        Err(faults) => assert!(render(&faults, false).starts_with("error: ")),
    }
});
