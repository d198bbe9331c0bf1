//! Bytes of a file in pieces that share the blocks they were read in.

use std::io::{self, Read};

use prost::bytes::{Bytes, BytesMut};

/// Bytes that are read at once.
const BLOCK: usize = 1 << 16;

/// Cuts what a reader gives into pieces. Nothing is copied or allocated for a piece: records are many and short.
#[derive(Debug)]
pub(super) struct Blocks<R> {
    input: R,
    /// Read, and not taken yet.
    ahead: BytesMut,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            ahead: BytesMut::new(),
        }
    }

    /// The next `count` bytes, fewer where the input ends. Memory grows with what is there, whatever the count.
    pub(super) fn take(&mut self, count: u64) -> io::Result<Bytes> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        while self.ahead.len() < count && self.read_block()? > 0 {}
        let there = count.min(self.ahead.len());
        Ok(self.ahead.split_to(there).freeze())
    }

    fn read_block(&mut self) -> io::Result<usize> {
        let there = self.ahead.len();
        self.ahead.resize(there + BLOCK, 0);
        let read = loop {
            match self.input.read(&mut self.ahead[there..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.ahead
            .truncate(there + read.as_ref().map_or(0, |read| *read));
        read
    }

    /// The input, once what was read ahead is forgotten.
    pub(super) fn input(&mut self) -> &mut R {
        self.ahead.clear();
        &mut self.input
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_bytes_in_their_order() {
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * BLOCK + 5).collect();
        let mut blocks = Blocks::new(&bytes[..]);
        let mut found = Vec::new();
        for count in [0, 1, 700, 65_536, 100_000, 12] {
            let piece = blocks.take(count).unwrap();
            assert_eq!(piece.len() as u64, count);
            found.extend(piece);
        }
        // More than there is: no more than that is read, or allocated.
        found.extend(blocks.take(u64::MAX).unwrap());
        assert!(found == bytes);
        assert!(blocks.take(1).unwrap().is_empty());
    }
}
