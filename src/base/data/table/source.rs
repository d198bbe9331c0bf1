//! The bytes of a table: a file, or a stream that may pause.

use std::fmt;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use super::detect::SAMPLE_BYTES;

/// Bytes that are read at once.
const CHUNK: usize = 1 << 16;

/// The start of a table, which its dialect is detected by.
pub(super) struct Sample {
    pub(super) bytes: Vec<u8>,
    /// Whether there may be more than that.
    is_cut: bool,
}

impl Sample {
    /// Of a file the first megabytes. Of a stream what comes with its first line: to wait for more
    /// would keep a row from being read until the next ones are written.
    pub(super) fn read(input: &mut dyn Read, is_file: bool) -> io::Result<Self> {
        let mut bytes = Vec::new();
        if is_file {
            input.take(SAMPLE_BYTES as u64).read_to_end(&mut bytes)?;
            let is_cut = bytes.len() == SAMPLE_BYTES;
            return Ok(Self { bytes, is_cut });
        }
        let mut chunk = vec![0; CHUNK];
        while bytes.len() < SAMPLE_BYTES {
            let read = match input.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            bytes.extend_from_slice(&chunk[..read]);
            if read == 0 || bytes.contains(&b'\n') {
                let is_cut = read > 0;
                return Ok(Self { bytes, is_cut });
            }
        }
        let is_cut = true;
        Ok(Self { bytes, is_cut })
    }

    /// Without a last line that may be incomplete.
    pub(super) fn whole_lines(&self) -> &[u8] {
        let end = self.bytes.iter().rposition(|&byte| byte == b'\n');
        match end {
            Some(end) if self.is_cut => &self.bytes[..=end],
            _ => &self.bytes,
        }
    }
}

/// All bytes of a table.
pub(super) struct Source(BufReader<All>);

/// The sample and what follows it.
type All = Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>;

impl Source {
    /// The sample, and what follows it.
    pub(super) fn new(sample: Sample, rest: Box<dyn Read + Send>) -> Self {
        let all = Cursor::new(sample.bytes).chain(rest);
        Self(BufReader::with_capacity(CHUNK, all))
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}
