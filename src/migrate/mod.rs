//! `tinyrun init --from-mindspore`: an experiment file from the configuration of MindSpore's
//! TinyBERT, as YAML (`gd_config.yaml`, `td_config/*.yaml`) or as the Python literals of r1.2
//! (`gd_config.py`, `td_config.py`). Nothing of a file is executed.

mod config;
mod draft;
mod flag;
mod general;
mod kind;
mod net;
mod nets;
mod python;
mod reasons;
mod task;
#[cfg(test)]
mod tests;
mod value;
mod write;
mod yaml;

use std::cell::RefCell;

use self::config::Config;
use self::draft::Draft;
use self::kind::{Part, part_of};
use self::value::Node;
use crate::document::{Fault, Faults, Source, Sources};
use crate::experiment::Kinds;

/// Bytes of a configuration at most; published ones have 5,000.
pub const MAX_BYTES: usize = 1 << 20;

/// What `tinyrun init --from-mindspore` is given.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Configurations by their names: one of general distillation, one of task distillation, or
    /// both.
    pub files: Vec<Source>,
    /// Flags of the scripts, `NAME=VALUE`, `gd.NAME=VALUE` or `td.NAME=VALUE`.
    pub flags: Vec<String>,
    /// Devices that general distillation ran on; that of the configuration where `None`.
    pub device_num: Option<u64>,
}

/// The experiment file. Values that equal those of `recipe = "mindspore"` are comments; what is not
/// taken over is listed at the end.
///
/// # Errors
/// Every fault of the configurations with its place, and what `kinds` cannot run of them.
pub fn from_mindspore(kinds: Kinds, given: &Given) -> Result<String, Faults> {
    let flags = given.flags.iter().map(|flag| Source {
        name: draft::FLAG.to_owned(),
        text: flag.clone(),
    });
    let sources = Sources::of(given.files.iter().cloned().chain(flags).collect());
    let faults = RefCell::default();
    let mut draft = Draft::new(&sources);
    let configs = read_all(given, &faults);
    if faults.borrow().is_empty() {
        if let Some(general) = &configs.general {
            let config = Config::new(general, &faults);
            general::read(
                &config,
                given.device_num,
                configs.task.is_none(),
                &mut draft,
            );
            draft.list_unread(&config);
        }
        if let Some(task) = &configs.task {
            let config = Config::new(task, &faults);
            task::read(&config, configs.general.is_some(), &mut draft);
            draft.list_unread(&config);
        }
        nets::agree(&draft.nets, &faults);
        task::placeholders(configs.task.as_ref(), &mut draft);
        general::default_precision(&mut draft);
        draft.leave_to_folders();
    }
    let faults = faults.into_inner();
    if faults.is_empty() {
        write::text(kinds, &draft)
    } else {
        Err(Faults::new(faults, sources))
    }
}

/// The configurations by what they are of.
#[derive(Default)]
struct Configs {
    general: Option<Node>,
    task: Option<Node>,
}

fn read_all(given: &Given, faults: &RefCell<Vec<Fault>>) -> Configs {
    let mut found = Configs::default();
    for (source, file) in given.files.iter().enumerate() {
        let is_python = file.name.to_ascii_lowercase().ends_with(".py");
        let read = if file.text.len() > MAX_BYTES {
            let message = format!("a configuration of more than {MAX_BYTES} bytes");
            Err(Box::new(Fault::new(message, None)))
        } else if is_python {
            python::parse(&file.text, source)
        } else {
            yaml::parse(&file.text, source)
        };
        let placed = read.and_then(|node| Ok((part_of(&node)?, node)));
        match placed {
            Ok((part, node)) => {
                let place = match part {
                    Part::General => &mut found.general,
                    Part::Task => &mut found.task,
                };
                if place.is_some() {
                    let message = format!("a second configuration of {}", part.name());
                    faults.borrow_mut().push(Fault::new(message, node.span));
                } else {
                    *place = Some(node);
                }
            }
            Err(fault) => faults.borrow_mut().push(*fault),
        }
    }
    if given.device_num.is_some() && found.general.is_none() && faults.borrow().is_empty() {
        let message = "`--device-num` without a configuration of general distillation";
        let hint = "leave it out: task distillation runs on one device".to_owned();
        faults
            .borrow_mut()
            .push(Fault::new(message, None).with_hint(hint));
    }
    for (index, flag) in given.flags.iter().enumerate() {
        if let Err(fault) = flag::set(flag, given.files.len() + index, &mut found) {
            faults.borrow_mut().push(*fault);
        }
    }
    found
}
