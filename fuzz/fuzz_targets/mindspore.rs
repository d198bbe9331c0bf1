//! A configuration of MindSpore's TinyBERT, as YAML or as Python literals, becomes an experiment that
//! reads, or is refused with its faults.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tinyrun::document::Source;
use tinyrun::experiment::Experiment;
use tinyrun::kinds::KINDS;
use tinyrun::migrate::{Given, from_mindspore};
use tinyrun::report::diagnostic::render;

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let name = if mode % 2 == 0 { "td.yaml" } else { "gd.py" };
    let given = Given {
        files: vec![Source {
            name: name.to_owned(),
            text: text.to_owned(),
        }],
        flags: Vec::new(),
        device_num: (mode % 3 == 0).then_some(8),
    };
    match from_mindspore(KINDS, &given) {
        Ok(written) => {
            let read = Experiment::read(KINDS, "x.toml", "x", &written, &[]);
            read.unwrap_or_else(|faults| panic!("{faults}\n{written}"));
        }
        Err(faults) => assert!(render(&faults, false).starts_with("error: ")),
    }
});
