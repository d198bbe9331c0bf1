//! Files by their first bytes.

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Compressed by this program, whose `-dc` unpacks it.
    Compressed(Compression),
    /// An archive of several files: what kind.
    Archive(&'static str),
    /// A workbook of a spreadsheet program: which form.
    Spreadsheet(&'static str),
    /// A file that pandas reads by this function.
    Frame {
        /// Its form.
        form: &'static str,
        /// The function of pandas.
        reader: &'static str,
    },
    /// An Arrow stream, as `datasets` caches it.
    ArrowStream,
    /// HDF5: a data file, or weights of Keras.
    Hdf5,
    /// A database.
    Sqlite,
    /// JSON: one value.
    Json,
    /// JSON: a list of objects, which pandas reads as rows.
    JsonRecords,
    /// JSON, one object per line.
    JsonLines,
    /// A web page.
    Html,
    /// XML.
    Xml,
    /// What stands in a repository for a file kept elsewhere: of which program.
    Pointer(Pointer),
    /// Records of TensorFlow.
    TfRecord,
    /// Records of MindSpore.
    MindRecord,
    /// A pickle: PyTorch's older weights, or any Python object.
    Pickle,
    /// An archive of PyTorch.
    TorchArchive,
    /// Weights in safetensors.
    Safetensors,
    /// Weights in another form: which.
    OtherWeights(&'static str),
    /// Something else that holds no text: what.
    Other(&'static str),
    /// Nothing but zero bytes, or a text with them.
    Zeros {
        /// Whether no other byte is there.
        only: bool,
    },
    /// Text in UTF-16.
    Utf16(ByteOrder),
    /// Text in UTF-32.
    Utf32(ByteOrder),
    /// Text in an encoding of one or two bytes per character, by the name that `iconv` has for it.
    Encoded(&'static str),
    /// Text of which no encoding is certain.
    UnknownEncoding,
    /// UTF-8 with bytes between that are not.
    MixedEncoding,
    /// UTF-8 whose last character is cut.
    CutCharacter,
    /// Lines that end in a carriage return alone.
    CarriageReturns,
}

/// Order of the bytes of a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteOrder {
    /// Given by the mark at the start.
    Mark,
    /// Little-endian.
    Little,
    /// Highest first.
    Big,
}

/// Programs that compress one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// zstd.
    Zstd,
    /// lz4.
    Lz4,
    /// lzip.
    Lzip,
    /// compress.
    Compress,
}

/// Programs that keep large files outside a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointer {
    /// Git LFS.
    Lfs,
    /// git-annex.
    Annex,
}

impl Kind {
    /// Whether tinyrun reads weights of this form.
    pub(super) fn is_weights(self) -> bool {
        matches!(self, Self::Pickle | Self::TorchArchive | Self::Safetensors)
            || matches!(self, Self::Archive("zip archive"))
    }
}

/// Forms by the bytes at a place.
const SIGNATURES: &[(usize, &[u8], Kind)] = &[
    (0, b"\x1f\x8b", Kind::Compressed(Compression::Gzip)),
    (0, b"\xfd7zXZ\0", Kind::Compressed(Compression::Xz)),
    (0, b"\x28\xb5\x2f\xfd", Kind::Compressed(Compression::Zstd)),
    (0, b"\x04\x22\x4d\x18", Kind::Compressed(Compression::Lz4)),
    (0, b"LZIP\x01", Kind::Compressed(Compression::Lzip)),
    (0, b"\x1f\x9d", Kind::Compressed(Compression::Compress)),
    (0, b"\x1f\xa0", Kind::Compressed(Compression::Compress)),
    (0, b"7z\xbc\xaf\x27\x1c", Kind::Archive("7z archive")),
    (0, b"Rar!\x1a\x07", Kind::Archive("rar archive")),
    (257, b"ustar", Kind::Archive("tar archive")),
    (0, b"PAR1", frame("Parquet file", "read_parquet")),
    (0, b"PARE", Kind::Other("encrypted Parquet file")),
    (
        0,
        b"ARROW1\0\0",
        frame("Arrow (Feather) file", "read_feather"),
    ),
    (0, b"FEA1", frame("Feather file", "read_feather")),
    (0, b"ORC", frame("ORC file", "read_orc")),
    (0, b"<stata_dta>", frame("Stata file", "read_stata")),
    (0, b"$FL2", frame("SPSS file", "read_spss")),
    (0, b"$FL3", frame("SPSS file", "read_spss")),
    (
        0,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\xc2\xea\x81\x60",
        frame("SAS file", "read_sas"),
    ),
    (0, b"Obj\x01", Kind::Other("Avro file")),
    (0, b"\x89HDF\r\n\x1a\n", Kind::Hdf5),
    (0, b"CDF\x01", Kind::Other("NetCDF file")),
    (0, b"\x93NUMPY", Kind::Other("NumPy array (.npy)")),
    (0, b"SQLite format 3\0", Kind::Sqlite),
    (8, b"DUCK", Kind::Other("DuckDB database")),
    (0, b"RDX", Kind::Other("R data file")),
    (0, b"MATLAB 5.0", Kind::Other("MATLAB file")),
    (
        0,
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        Kind::Spreadsheet("Excel workbook (.xls)"),
    ),
    (0, b"%PDF-", Kind::Other("PDF document")),
    (0, b"{\\rtf", Kind::Other("RTF document")),
    (0, b"\x89PNG\r\n\x1a\n", Kind::Other("PNG image")),
    (0, b"\xff\xd8\xff", Kind::Other("JPEG image")),
    (0, b"GIF8", Kind::Other("GIF image")),
    (8, b"WEBP", Kind::Other("WebP image")),
    (0, b"\x7fELF", Kind::Other("program (ELF)")),
    (0, b"-----BEGIN PGP", Kind::Other("file encrypted by PGP")),
    (
        0,
        b"age-encryption.org/",
        Kind::Other("file encrypted by age"),
    ),
    (0, b"Salted__", Kind::Other("file encrypted by openssl")),
    (0, b"GGUF", Kind::OtherWeights("GGUF file of llama.cpp")),
    (0, b"ggml", Kind::OtherWeights("GGML file of llama.cpp")),
    (0, b"lmgg", Kind::OtherWeights("GGML file of llama.cpp")),
    (4, b"TFL3", Kind::OtherWeights("TensorFlow Lite model")),
    (
        0,
        b"version https://git-lfs.github.com/spec/",
        Kind::Pointer(Pointer::Lfs),
    ),
    (0, b"/annex/objects/", Kind::Pointer(Pointer::Annex)),
];

const fn frame(form: &'static str, reader: &'static str) -> Kind {
    Kind::Frame { form, reader }
}

/// Forms that hold no text, and pointers.
pub(super) fn binary(head: &[u8]) -> Option<Kind> {
    let holds_zero = head[..head.len().min(4096)].contains(&0);
    let signature = SIGNATURES.iter().find(|(at, bytes, _)| {
        // A table may have a column `ORCID`: a few letters alone are no sign.
        let is_word = bytes.iter().all(u8::is_ascii_alphanumeric);
        let there = head.get(*at..).is_some_and(|head| head.starts_with(bytes));
        there && (holds_zero || !is_word)
    });
    if let Some((_, _, kind)) = signature {
        return Some(*kind);
    }
    if head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY") {
        return Some(Kind::Compressed(Compression::Bzip2));
    }
    if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
        return Some(zip(head));
    }
    if !head.is_empty() && head.iter().all(|&byte| byte == 0) {
        return Some(Kind::Zeros { only: true });
    }
    if is_mind_record(head) {
        return Some(Kind::MindRecord);
    }
    if is_safetensors(head) {
        return Some(Kind::Safetensors);
    }
    if is_tf_record(head) {
        return Some(Kind::TfRecord);
    }
    // Protocol 2 to 5, and an opcode that a pickle of something begins with.
    if matches!(head, [0x80, 2..=5, next, ..] if b"\x95}](cN\x8aX\x8c.KMJGUT)".contains(next)) {
        return Some(Kind::Pickle);
    }
    // A schema message with its length, as streams begin since version 0.15.
    if let [0xff, 0xff, 0xff, 0xff, a, b, 0, 0, ..] = head
        && (*a, *b) != (0, 0)
        && head.get(8..16).is_some_and(|message| message.contains(&0))
    {
        return Some(Kind::ArrowStream);
    }
    None
}

/// The form of a zip archive by the names of its first files, which are not compressed.
fn zip(head: &[u8]) -> Kind {
    let holds = |name: &[u8]| head.windows(name.len()).any(|window| window == name);
    if holds(b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet") {
        Kind::Spreadsheet("OpenDocument spreadsheet (.ods)")
    } else if holds(b"xl/workbook") || holds(b"xl/worksheets") || holds(b"xl/_rels") {
        Kind::Spreadsheet("Excel workbook (.xlsx)")
    } else if holds(b"word/") {
        Kind::Other("Word document")
    } else if holds(b"ppt/") {
        Kind::Other("PowerPoint document")
    } else if holds(b"mimetypeapplication/vnd.oasis.opendocument") {
        Kind::Other("OpenDocument file")
    } else if holds(b"[Content_Types].xml") {
        // The parts of a workbook lie behind: most such files are one.
        Kind::Spreadsheet("Office document, most likely an Excel workbook (.xlsx)")
    } else if holds(b"data.pkl") {
        Kind::TorchArchive
    } else if holds(b".npy") {
        Kind::Other("NumPy archive (.npz)")
    } else {
        Kind::Archive("zip archive")
    }
}

/// The size of a header of JSON, then it.
fn is_safetensors(head: &[u8]) -> bool {
    let size = head.first_chunk().map(|size| u64::from_le_bytes(*size));
    size.is_some_and(|size| size < 1 << 32) && head[8..].starts_with(b"{\"")
}

/// Two lengths, then a header of JSON.
fn is_mind_record(head: &[u8]) -> bool {
    is_safetensors(head) && head[8..].starts_with(b"{\"header_size\"")
}

/// A length and its masked CRC-32C.
fn is_tf_record(head: &[u8]) -> bool {
    let (Some(length), Some(sum)) = (head.get(..8), head.get(8..12)) else {
        return false;
    };
    let mut crc = u32::MAX;
    for &byte in length {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    let masked = (!crc).rotate_right(15).wrapping_add(0xa282_ead8);
    masked.to_le_bytes() == sum
}

/// Texts that are documents of another kind.
pub(super) fn text_document(head: &[u8]) -> Option<Kind> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = text.trim_ascii_start();
    let begins = |start: &[u8]| {
        let head = text.get(..start.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(start))
    };
    if begins(b"<!doctype html") || begins(b"<html") || begins(b"<head>") || begins(b"<body") {
        return Some(Kind::Html);
    }
    if begins(b"<?xml") {
        let early = &text[..text.len().min(1000)].to_ascii_lowercase();
        let page = early.windows(5).any(|window| window == b"<html");
        return Some(if page { Kind::Html } else { Kind::Xml });
    }
    json(text)
}

/// JSON or lines of it. A value that the head cuts counts, and so does one with a fault in it.
fn json(text: &[u8]) -> Option<Kind> {
    let inner = text.get(1..).unwrap_or_default().trim_ascii_start();
    match text.first()? {
        b'{' => {
            let is_object = inner.starts_with(b"\"") || inner.starts_with(b"}");
            let key = inner.get(1..).unwrap_or_default();
            let end = key.iter().position(|&byte| byte == b'"')?;
            let after = key[end + 1..].trim_ascii_start();
            if !is_object || !after.starts_with(b":") {
                return None;
            }
            let mut lines = text.split(|&byte| byte == b'\n');
            let first = lines.next().unwrap_or_default().trim_ascii();
            let next = lines.map(<[u8]>::trim_ascii).find(|line| !line.is_empty());
            let one_line = first.ends_with(b"}") || next.is_none();
            let lines = one_line && next.is_none_or(|next| next.starts_with(b"{"));
            Some(if lines { Kind::JsonLines } else { Kind::Json })
        }
        b'[' if is_object(inner) => Some(Kind::JsonRecords),
        b'[' if starts_value(inner) => Some(Kind::Json),
        _ => None,
    }
}

/// Whether a list of JSON begins with an object.
fn is_object(inner: &[u8]) -> bool {
    let inner = inner.strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    inner.is_some_and(|inner| inner.starts_with(b"\""))
}

/// Whether a list of JSON begins with a list or a string.
fn starts_value(inner: &[u8]) -> bool {
    inner.starts_with(b"[\"") || inner.starts_with(b"\"")
}
