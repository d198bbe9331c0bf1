//! What a checkpoint of another program comes to: read from its tensors, stated, or implied.

use std::fmt::Write as _;

use super::Style;
use crate::input::excerpt;
use crate::plan::Inputs;

/// A line for each checkpoint that an experiment reads.
pub fn checkpoint_lines(inputs: &Inputs, style: Style) -> String {
    let mut text = String::new();
    for (name, folder) in &inputs.folders {
        if folder.is_checkpoint() {
            let word = style.faint("model");
            let described = folder.config.described();
            let _ = writeln!(text, "{word}  {:15} {described}", excerpt(name));
        }
    }
    text
}
