//! The training kernel (under construction).
fn main() {}
