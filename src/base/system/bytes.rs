//! The bytes of a file: mapped, or read where the file system has no maps.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::ops::Deref;

use memmap2::Mmap;

use super::is_lacking;

/// The bytes of a file, aligned for `u64`.
#[derive(Debug)]
pub struct FileBytes(Held);

#[derive(Debug)]
enum Held {
    Mapped(Mmap),
    /// Some FUSE file systems have no maps. Words, so that the bytes are aligned as a map is.
    Read {
        words: Vec<u64>,
        length: usize,
    },
}

impl FileBytes {
    /// All of a file. Nobody may shorten it meanwhile.
    ///
    /// # Errors
    /// It cannot be mapped or read.
    pub fn of(file: &File) -> io::Result<Self> {
        match map(file) {
            Ok(map) => Ok(Self(Held::Mapped(map))),
            Err(error) if is_lacking(&error) => Self::read(file),
            Err(error) => Err(error),
        }
    }

    fn read(mut file: &File) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let mut words = vec![0_u64; length.div_ceil(8)];
        file.rewind()?;
        file.read_exact(&mut bytemuck::cast_slice_mut(&mut words)[..length])?;
        Ok(Self(Held::Read { words, length }))
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Mapped(map) => map,
            Held::Read { words, length } => &bytemuck::cast_slice(words)[..*length],
        }
    }
}

#[expect(
    unsafe_code,
    reason = "mapping a file is unsafe because another process may shorten it; callers map what is written once"
)]
fn map(file: &File) -> io::Result<Mmap> {
    // SAFETY: see above; a token store lies under its run's lock, weights are the user's to keep.
    unsafe { Mmap::map(file) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn bytes_are_the_same_mapped_and_read() {
        for length in [0_usize, 1, 7, 8, 9, 1000] {
            let content: Vec<u8> = (0..=250).cycle().take(length).collect();
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(&content).expect("written");
            assert_eq!(&*FileBytes::read(&file).expect("read"), content);
            assert_eq!(&*FileBytes::of(&file).expect("mapped"), content);
        }
    }
}
