//! Faults of several experiments of one file, each reported once.

use crate::document::Fault;

/// Faults, and the variants that have each of them.
#[derive(Default)]
pub(super) struct SharedFaults {
    faults: Vec<(Fault, Vec<String>)>,
    variants: usize,
}

impl SharedFaults {
    /// Those of one more variant.
    pub(super) fn add(&mut self, variant: &str, found: Vec<Fault>) {
        self.variants += 1;
        for fault in found {
            let known = self.faults.iter_mut().find(|(known, _)| *known == fault);
            match known {
                Some((_, variants)) => variants.push(variant.to_owned()),
                None => self.faults.push((fault, vec![variant.to_owned()])),
            }
        }
    }

    /// A fault that not all of them have says whose it is.
    pub(super) fn into_faults(self) -> impl Iterator<Item = Fault> {
        let all = self.variants;
        self.faults.into_iter().map(move |(fault, variants)| {
            if variants.len() == all {
                return fault;
            }
            let more = match variants.len() - 1 {
                0 => String::new(),
                others => format!(" and {others} more"),
            };
            let whose = format!("in variant `{}`{more}", variants[0]);
            let note = match &fault.note {
                Some(note) => format!("{note}; {whose}"),
                None => whose,
            };
            fault.with_note(note)
        })
    }
}
