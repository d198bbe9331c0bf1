//! A TOML file as a tree in which everything knows its place: typed reading of tables, `--set`
//! on top of the file, and every fault where it was written. Knows nothing of what the keys mean.

mod collector;
mod convert;
mod fault;
pub(crate) mod node;
pub(crate) mod overrides;
mod section;
mod span;

pub(crate) use collector::Collector;
pub(crate) use convert::{alternatives, did_you_mean, float, range_in_words};
pub use fault::{Fault, Faults, Source, Sources};
pub(crate) use section::{Section, WordOrNumber, WordOrSection};
pub use span::{Located, Span};
