//! Which of the native loops this process runs, and what its processor multiplies.

#![expect(unsafe_code, reason = "a foreign function of a number")]

use std::ffi::OsString;
use std::sync::OnceLock;

use tch::Kind;
use thiserror::Error;
use tinyrun_base::input::{excerpt, excerpt_list};

use crate::processor::Processor;

/// Selects a kind of processor that this machine has (docs/development/testing.md#processor-variants).
const VARIABLE: &str = "TINYRUN_CPU";

unsafe extern "C" {
    fn tinyrun_choose_processor(processor: i32);
}

/// `TINYRUN_CPU` names a kind of processor that is none, or that this machine lacks.
#[derive(Debug, Error)]
#[error(
    "{VARIABLE} is `{}`; this machine has {}",
    excerpt(found),
    excerpt_list(present)
)]
pub(crate) struct NoSuchProcessor {
    found: String,
    present: Vec<&'static str>,
}

/// The kind of processor whose loops and number formats are used: what `TINYRUN_CPU` names, else the best that this
/// machine has. Chosen once.
///
/// # Errors
/// Where `TINYRUN_CPU` names another.
pub(crate) fn choose() -> Result<Processor, NoSuchProcessor> {
    static CHOSEN: OnceLock<Processor> = OnceLock::new();
    if let Some(chosen) = CHOSEN.get() {
        return Ok(*chosen);
    }
    let chosen = named(std::env::var_os(VARIABLE))?;
    Ok(*CHOSEN.get_or_init(|| {
        // SAFETY: a function of a number.
        unsafe { tinyrun_choose_processor(chosen as i32) };
        chosen
    }))
}

/// The same.
///
/// # Panics
/// Where `TINYRUN_CPU` names another; the kernel checks that first.
pub(crate) fn processor() -> Processor {
    choose().unwrap_or_else(|error| panic!("{error}"))
}

fn named(name: Option<OsString>) -> Result<Processor, NoSuchProcessor> {
    let present = || Processor::ALL.into_iter().filter(|kind| kind.is_here());
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return Ok(present().next_back().unwrap_or(Processor::Baseline));
    };
    let found = present().find(|kind| name == kind.name());
    found.ok_or_else(|| NoSuchProcessor {
        found: name.to_string_lossy().into_owned(),
        present: present().map(Processor::name).collect(),
    })
}

/// Whether the processor multiplies matrices of this format by instructions of its own.
pub(crate) fn multiplies(kind: Kind) -> bool {
    match kind {
        Kind::BFloat16 => processor() >= Processor::Avx512Bf16,
        #[cfg(target_arch = "x86_64")]
        Kind::Half => {
            processor() >= Processor::Avx512 && std::arch::is_x86_feature_detected!("avx512fp16")
        }
        #[cfg(not(target_arch = "x86_64"))]
        Kind::Half => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_this_machine_is_chosen_unless_another_is_named() {
        let best = Processor::ALL
            .into_iter()
            .filter(|kind| kind.is_here())
            .max();
        assert_eq!(named(None).ok(), best);
        assert_eq!(named(Some(OsString::new())).ok(), best);
        for kind in Processor::ALL.into_iter().filter(|kind| kind.is_here()) {
            assert_eq!(named(Some(kind.name().into())).ok(), Some(kind));
        }
    }

    #[test]
    fn a_name_that_this_machine_lacks_is_refused_with_those_it_has() {
        let error = named(Some("sse\n9".into())).expect_err("there is none");
        let text = error.to_string();
        assert!(
            text.starts_with("TINYRUN_CPU is `sse\\n9`; this machine has `baseline`"),
            "{text}"
        );
        for kind in Processor::ALL.into_iter().filter(|kind| kind.is_here()) {
            assert!(text.contains(kind.name()), "{text}");
        }
        for kind in Processor::ALL.into_iter().filter(|kind| !kind.is_here()) {
            let error = named(Some(kind.name().into())).expect_err("it is not here");
            assert!(error.to_string().contains(kind.name()));
        }
    }
}
