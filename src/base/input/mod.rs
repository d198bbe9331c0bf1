//! Files of others: how their text is shown, and what they are where they are not what a reader expects.

mod excerpt;
mod foreign;
pub mod wire;

pub use excerpt::{escape_lines, excerpt, excerpt_bytes, excerpt_list, excerpt_path, for_terminal};
pub use foreign::{
    ByteOrder, Compression, Expected, Foreign, HEAD_BYTES, Kind, Pointer, STDIN, recognize,
    recognize_file,
};
