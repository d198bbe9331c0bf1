//! What a person sees.

pub mod diagnostic;
