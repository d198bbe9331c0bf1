//! The framing of TFRecord: length, its checksum, data, their checksum.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | length of the data, little-endian |
//! | 4 | masked CRC-32C of these 8 bytes |
//! | length | data, here a `tf.train.Example` |
//! | 4 | masked CRC-32C of the data |
//!
//! Source: <https://www.tensorflow.org/tutorials/load_data/tfrecord>. A whole file may be compressed by gzip or zlib.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use prost::bytes::Bytes;

use super::blocks::Blocks;
use super::fault::{MAX_RECORD_BYTES, RecordFault, Stop};

/// Bytes before the data: length and checksum.
const HEAD: usize = 12;
/// Bytes after the data.
const TAIL: usize = 4;

/// Whether bytes begin with a length and its checksum.
pub(super) fn is_head(bytes: &[u8]) -> bool {
    let Some((length, sum)) = bytes
        .get(..HEAD)
        .and_then(|head| head.split_first_chunk::<8>())
    else {
        return false;
    };
    masked(length).to_le_bytes() == sum
}

/// TensorFlow's checksum: a CRC-32C that is rotated and shifted, so that one of data with checksums
/// in them differs.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

/// A record of these data.
pub(super) fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let sums = [masked(&length), masked(data)].map(u32::to_le_bytes);
    [&length[..], &sums[0], data, &sums[1]].concat()
}

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zlib,
}

impl Packing {
    /// By the first bytes. A length may begin as gzip does: its checksum tells them apart.
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            _ if is_head(head) => Self::Plain,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => Self::Zlib,
            _ => Self::Plain,
        }
    }
}

/// What stands in a file, unpacked.
enum Unpacked<R> {
    Plain(R),
    Gzip(Box<MultiGzDecoder<R>>),
    Zlib(Box<ZlibDecoder<R>>),
}

impl<R: BufRead> Unpacked<R> {
    fn of(packing: Packing, input: R) -> Self {
        match packing {
            Packing::Plain => Self::Plain(input),
            Packing::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(input))),
            Packing::Zlib => Self::Zlib(Box::new(ZlibDecoder::new(input))),
        }
    }
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(input) => input.read(buffer),
            Self::Gzip(input) => input.read(buffer),
            Self::Zlib(input) => {
                let read = input.read(buffer)?;
                // A stream may end before its file does; gzip's decoder sees that itself.
                if read == 0 && !buffer.is_empty() && !input.get_mut().fill_buf()?.is_empty() {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "there are bytes after its end",
                    ));
                }
                Ok(read)
            }
        }
    }
}

/// The first unpacked bytes of a file, as many as there are up to `count`.
pub(super) fn unpacked_head(packed: &[u8], count: usize) -> Vec<u8> {
    let mut head = Vec::new();
    let unpacked = Unpacked::of(Packing::of(packed), packed);
    // What is there before a fault counts.
    let _ = unpacked.take(count as u64).read_to_end(&mut head);
    head
}

/// Whether a file begins with a record, or is too short to tell.
pub(super) fn may_be_file(path: &Path) -> io::Result<bool> {
    let mut packed = Vec::new();
    File::open(path)?.take(1 << 12).read_to_end(&mut packed)?;
    let head = unpacked_head(&packed, HEAD);
    Ok(head.len() < HEAD || is_head(&head))
}

/// Counts the bytes that are read of a file.
struct Counted {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The records of one file in its order.
pub(super) struct TfRecords {
    input: Blocks<Unpacked<BufReader<Counted>>>,
    bytes: Arc<AtomicU64>,
    is_packed: bool,
    /// Place after the last record in the unpacked content.
    at: u64,
    number: u64,
}

/// The data of a record.
pub(super) struct Framed {
    /// Counted from 1.
    pub(super) number: u64,
    /// First byte of the record in the unpacked content.
    pub(super) byte: u64,
    pub(super) data: Bytes,
}

impl TfRecords {
    /// Opens a file. Nothing is read but its first bytes.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let bytes = Arc::<AtomicU64>::default();
        let file = File::open(path)?;
        let counted = Counted {
            file,
            bytes: Arc::clone(&bytes),
        };
        let mut input = BufReader::with_capacity(1 << 16, counted);
        let packing = Packing::of(input.fill_buf()?);
        Ok(Self {
            input: Blocks::new(Unpacked::of(packing, input)),
            bytes,
            is_packed: packing != Packing::Plain,
            at: 0,
            number: 0,
        })
    }

    /// Bytes of the file that were read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The next record; `None` where the file ends after the last.
    pub(super) fn next(&mut self) -> Result<Option<Framed>, Stop> {
        let (number, byte) = (self.number + 1, self.at);
        let read = self.read().map_err(|error| match error {
            Broken::Io(error) if self.is_packed && is_of_content(&error) => Stop::Fault {
                number,
                byte,
                fault: RecordFault::Packed {
                    reason: error.to_string(),
                },
            },
            Broken::Io(error) => Stop::Io(error),
            Broken::Fault(fault) => Stop::Fault {
                number,
                byte,
                fault,
            },
        })?;
        let Some(data) = read else {
            return Ok(None);
        };
        self.number = number;
        self.at += (HEAD + data.len() + TAIL) as u64;
        Ok(Some(Framed { number, byte, data }))
    }

    fn read(&mut self) -> Result<Option<Bytes>, Broken> {
        let head = self.input.take(HEAD as u64)?;
        if head.is_empty() {
            return Ok(None);
        }
        let Some((length, sum)) = head.split_first_chunk::<8>().filter(|_| head.len() == HEAD)
        else {
            return Err(cut_off(HEAD as u64, head.len()));
        };
        if masked(length).to_le_bytes() != sum {
            return Err(RecordFault::LengthChecksum.into());
        }
        let length = u64::from_le_bytes(*length);
        if length > MAX_RECORD_BYTES {
            return Err(RecordFault::Long {
                bytes: length,
                limit: MAX_RECORD_BYTES,
            }
            .into());
        }
        let whole = (HEAD + TAIL) as u64 + length;
        let mut data = self.input.take(length + TAIL as u64)?;
        if data.len() as u64 != length + TAIL as u64 {
            return Err(cut_off(whole, HEAD + data.len()));
        }
        let sum = data.split_off(data.len() - TAIL);
        if masked(&data).to_le_bytes() != sum[..] {
            return Err(RecordFault::DataChecksum.into());
        }
        Ok(Some(data))
    }
}

/// Whether the content of a file is at fault, and not the disk.
fn is_of_content(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

fn cut_off(bytes: u64, there: usize) -> Broken {
    let there = there as u64;
    RecordFault::CutOff { bytes, there }.into()
}

enum Broken {
    Io(io::Error),
    Fault(RecordFault),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<RecordFault> for Broken {
    fn from(fault: RecordFault) -> Self {
        Self::Fault(fault)
    }
}
