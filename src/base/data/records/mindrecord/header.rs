//! The header of a MindRecord file: JSON with the schema, the shards and where pages lie.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Deserialize;

use super::layout::{Layout, Type};
use crate::data::error::DataError;
use crate::data::records::fault::FileFault;
use crate::input::excerpt;

/// Header and pages are no larger, in bytes.
const MAX_HEADER: u64 = 128 << 20;
const MAX_PAGE: u64 = 256 << 20;
/// Bytes of a header's JSON at most: a million pages have less.
const MAX_JSON: u64 = 64 << 20;

/// What an encrypted file ends with, after the name of the mode.
const ENCRYPTED: &[u8] = b"ENCRYPT";

/// Modes by which MindSpore encrypts.
pub(super) const MODES: [&str; 3] = ["AES-GCM", "AES-CBC", "SM4-CBC"];

const DAMAGED: &str = "copy the file again, or write it again";

/// Where rows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// First byte in the file.
    pub(super) start: u64,
    /// Bytes used.
    pub(super) size: u64,
    /// Rows; unknown for pages of scalars.
    pub(super) rows: Option<u64>,
}

/// A header that was checked against the size of its file.
#[derive(Debug)]
pub(super) struct Header {
    /// Pages of arrays, in order.
    pub(super) arrays: Vec<Page>,
    /// Pages of scalars, in order.
    pub(super) scalars: Vec<Page>,
    pub(super) layout: Layout,
    /// Names of the files of all shards.
    pub(super) shards: Vec<String>,
    /// Which of them this file is.
    shard: Option<u64>,
}

#[derive(Deserialize)]
struct Written {
    header_size: u64,
    page_size: u64,
    page: Vec<WrittenPage>,
    schema: Vec<WrittenSchema>,
    shard_addresses: Vec<String>,
    #[serde(default)]
    shard_id: serde_json::Value,
    version: String,
}

#[derive(Deserialize)]
struct WrittenPage {
    page_id: u64,
    page_type: String,
    page_type_id: u64,
    page_size: u64,
    start_row_id: u64,
    end_row_id: u64,
}

#[derive(Deserialize)]
struct WrittenSchema {
    blob_fields: Vec<String>,
    schema: IndexMap<String, WrittenColumn>,
}

#[derive(Deserialize)]
struct WrittenColumn {
    r#type: String,
    shape: Option<Vec<i64>>,
}

impl Header {
    /// Reads and checks the header of a file.
    ///
    /// # Errors
    /// Where the file is encrypted or no MindRecord file, or its header does not fit it.
    pub(super) fn read(path: &Path) -> Result<Self, DataError> {
        let io = |source| DataError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let json = match json(&mut file, size).map_err(io)? {
            Ok(json) => json,
            Err(fault) => return Err(fault.of(path)),
        };
        let written: Written = serde_json::from_slice(&json).map_err(|error| {
            let error = excerpt(&error.to_string());
            let fault = FileFault::new(format!("has a header that does not read: {error}"));
            fault.with_hint(DAMAGED).of(path)
        })?;
        written
            .check(size)
            .map_err(|text| FileFault::new(text).with_hint(DAMAGED).of(path))
    }
}

/// The JSON of a header, or why there is none.
fn json(file: &mut File, size: u64) -> io::Result<Result<Vec<u8>, FileFault>> {
    if let Some(mode) = encryption(file, size)? {
        let text = format!("is encrypted by MindSpore ({})", excerpt(&mode));
        let hint = "write it without `set_enc_key`, or read it with MindSpore and write it again";
        return Ok(Err(FileFault::new(text).with_hint(hint)));
    }
    file.seek(SeekFrom::Start(0))?;
    let mut length = [0; 8];
    let whole = size >= 8;
    if whole {
        file.read_exact(&mut length)?;
    }
    let length = u64::from_le_bytes(length);
    if !whole || length > size - 8 || length > MAX_JSON {
        let text = "is not a MindRecord file, or is cut off: its header is not there";
        return Ok(Err(FileFault::new(text).with_hint(DAMAGED)));
    }
    let mut json = Vec::new();
    file.take(length).read_to_end(&mut json)?;
    Ok(Ok(json))
}

/// The mode by which a file is encrypted.
pub(super) fn encryption(file: &mut File, size: u64) -> io::Result<Option<String>> {
    const TAIL: u64 = 24;
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
    file.take(TAIL).read_to_end(&mut tail)?;
    let Some(before) = tail.strip_suffix(ENCRYPTED) else {
        return Ok(None);
    };
    let is_name = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'-' || byte.is_ascii_digit();
    let name: Vec<u8> = before.iter().rev().copied().take_while(is_name).collect();
    let name = name.into_iter().rev().map(char::from).collect();
    Ok(Some(name))
}

impl Written {
    /// Checks what is written against the file's size, in bytes.
    fn check(self, size: u64) -> Result<Header, String> {
        if !["2.0", "3.0"].contains(&self.version.as_str()) {
            let version = excerpt(&self.version);
            return Err(format!("has version `{version}`, expected 2.0 or 3.0"));
        }
        if self.header_size > MAX_HEADER || self.page_size > MAX_PAGE || self.page_size == 0 {
            return Err("has a header whose sizes are out of range".to_owned());
        }
        let [schema] = &self.schema[..] else {
            return Err(format!("has {} schemas, expected 1", self.schema.len()));
        };
        let layout = schema.layout()?;
        let (arrays, scalars) = self.pages(size)?;
        Ok(Header {
            arrays,
            scalars,
            layout,
            shards: self.shard_addresses,
            shard: self.shard_id.as_u64(),
        })
    }

    /// Pages of arrays and of scalars, each in order.
    fn pages(&self, size: u64) -> Result<(Vec<Page>, Vec<Page>), String> {
        let mut pages: Vec<&WrittenPage> = self.page.iter().collect();
        pages.sort_by_key(|page| page.page_id);
        let (mut arrays, mut scalars) = (Vec::new(), Vec::new());
        let mut rows_before = 0;
        for (place, page) in pages.into_iter().enumerate() {
            let id = page.page_id;
            let begin = id.checked_mul(self.page_size);
            let start = begin.and_then(|begin| begin.checked_add(self.header_size));
            let end = start.and_then(|start| start.checked_add(page.page_size));
            let (Some(start), Some(end)) = (start, end) else {
                return Err(format!("has page {id} beyond the end of the file"));
            };
            if id != place as u64 || page.page_size > self.page_size {
                return Err(format!("has a damaged entry for page {id} in its header"));
            }
            if end > size {
                return Err(format!(
                    "is cut off: page {id} ends at byte {end} of {size}"
                ));
            }
            let is_blob = page.page_type == "BLOB_DATA";
            if !is_blob && page.page_type != "RAW_DATA" {
                let found = excerpt(&page.page_type);
                return Err(format!("has page {id} of the unknown type `{found}`"));
            }
            let list = if is_blob { &mut arrays } else { &mut scalars };
            let rows = page.end_row_id.checked_sub(page.start_row_id);
            let rows = rows.filter(|_| page.start_row_id == rows_before || !is_blob);
            let Some(rows) = rows.filter(|_| page.page_type_id == list.len() as u64) else {
                return Err(format!("has a damaged entry for page {id} in its header"));
            };
            if is_blob {
                rows_before = page.end_row_id;
            }
            list.push(Page {
                start,
                size: page.page_size,
                rows: is_blob.then_some(rows),
            });
        }
        Ok((arrays, scalars))
    }
}

impl WrittenSchema {
    fn layout(&self) -> Result<Layout, String> {
        let mut arrays = Vec::new();
        let mut scalars = Vec::new();
        for (name, column) in &self.schema {
            let Some(r#type) = Type::of(&column.r#type) else {
                let (name, found) = (excerpt(name), excerpt(&column.r#type));
                return Err(format!(
                    "has the unknown type `{found}` for column `{name}`"
                ));
            };
            let length = match &column.shape {
                Some(shape) => length(shape)?,
                None => None,
            };
            if column.shape.is_some() || r#type == Type::Bytes {
                arrays.push((name.clone(), r#type, length));
            } else {
                scalars.push((name.clone(), r#type));
            }
        }
        arrays.sort_by(|left, right| left.0.cmp(&right.0));
        let mut fields: Vec<&String> = self.blob_fields.iter().collect();
        fields.sort();
        if !fields.into_iter().eq(arrays.iter().map(|(name, ..)| name)) {
            return Err("has a header whose `blob_fields` are not those of its schema".to_owned());
        }
        Ok(Layout { arrays, scalars })
    }
}

/// Values of a shape, `None` for any number.
fn length(shape: &[i64]) -> Result<Option<u64>, String> {
    let is_axis = |axis: &i64| *axis >= -1;
    if !shape.iter().all(is_axis) {
        return Err(format!(
            "has the shape {} in its schema",
            excerpt(&format!("{shape:?}"))
        ));
    }
    let mut axes = shape.iter().map(|axis| u64::try_from(*axis).ok());
    Ok(axes.try_fold(1_u64, |product, axis| product.checked_mul(axis?)))
}

/// Checks that every shard that a header names is among the files, unless a file `is_alone`. Returns whether
/// that one is a part.
///
/// # Errors
/// Where one is not, a file has the name of another shard, or a header does not read.
pub(in crate::data::records) fn check_shards(
    files: &[PathBuf],
    is_alone: bool,
) -> Result<bool, DataError> {
    let mut is_part = false;
    for path in files {
        let header = Header::read(path)?;
        if header.shards.len() < 2 {
            continue;
        }
        is_part |= is_alone;
        // Older files name a folder too.
        let short = |shard: &str| shard.rsplit(['/', '\\']).next().map(str::to_owned);
        let of_id = header.shard.and_then(|id| usize::try_from(id).ok());
        let own = of_id.and_then(|id| short(header.shards.get(id)?));
        if let Some(own) = own.filter(|own| !is_alone && path.file_name() != Some(own.as_ref())) {
            let text = format!("is shard `{}` by its header", excerpt(&own));
            let hint = "give the file that name, and put the shard of its present name beside it";
            return Err(FileFault::new(text).with_hint(hint).of(path));
        }
        for shard in header.shards.iter().filter(|_| !is_alone) {
            let name = shard.rsplit(['/', '\\']).next().unwrap_or(shard);
            if !files.contains(&path.with_file_name(name)) {
                let text = format!(
                    "is one of {} shards, and shard `{}` is missing",
                    header.shards.len(),
                    excerpt(name)
                );
                let hint =
                    "put all shards into one folder under their own names, and name the folder";
                return Err(FileFault::new(text).with_hint(hint).of(path));
            }
        }
    }
    Ok(is_part)
}
