//! A TensorFlow checkpoint of Google's BERT, read in place: an index of names
//! ([`super::leveldb`]) and files of raw numbers (`tensorflow/core/util/tensor_bundle`).
//!
//! `BundleEntryProto { dtype = 1; shape = 2 { dim = 2 { size = 1 } }; shard_id = 3; offset = 4;
//! size = 5; fixed32 crc32c = 6; slices = 7 { extent = 1 { start = 1; length = 2 } } }`; a field of
//! value 0 is not written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::ModelError;
use super::leveldb::{Fault, each_entry};
use super::open_file::OpenFile;
use super::regions::{Region, Regions};
use super::tensor::{Checked, Checksum, Dtype, Entry, Part};
use crate::input::excerpt;
use crate::input::wire::{Field, Fields};

/// More tensors, or files of numbers, are taken for damage.
const MAX_TENSORS: usize = 50_000;
const MAX_SHARDS: u64 = 10_000;

/// Ending of an index.
const INDEX: &str = ".index";

/// The index of the checkpoint in a folder: the one that `checkpoint` names, the only one, or
/// `bert_model.ckpt`. `None` where there is none.
///
/// # Errors
/// There are several.
pub(super) fn find_index(folder: &Path) -> Result<Option<PathBuf>, ModelError> {
    let text = fs::read_to_string(folder.join("checkpoint")).unwrap_or_default();
    let newest = text.lines().find_map(|line| {
        let path = line.strip_prefix("model_checkpoint_path:")?;
        let path = path.trim().trim_matches('"');
        // It may be a path of the machine that wrote it.
        path.rsplit(['/', '\\']).next()
    });
    let names = newest.into_iter().chain(["bert_model.ckpt"]);
    let mut known = names.map(|name| folder.join(format!("{name}{INDEX}")));
    if let Some(found) = known.find(|path| path.is_file()) {
        return Ok(Some(found));
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(INDEX)).collect();
    names.sort();
    match &names[..] {
        [] => Ok(None),
        [only] => Ok(Some(folder.join(only))),
        _ => Err(ModelError::SeveralCheckpoints {
            folder: folder.to_owned(),
            found: names,
        }),
    }
}

/// Whether a path names a checkpoint as TensorFlow does, by what its files begin with.
pub fn is_tensorflow_prefix(path: &Path) -> bool {
    let mut index = path.as_os_str().to_owned();
    index.push(INDEX);
    !path.exists() && Path::new(&index).is_file()
}

/// Opens a checkpoint by its index, which is the first of the files: all files and every tensor's
/// place in them.
///
/// # Errors
/// A file is missing or damaged.
pub(super) fn open(index: &Path) -> Result<(Vec<OpenFile>, BTreeMap<String, Entry>), ModelError> {
    let file = OpenFile::open(index)?;
    let bundle = Bundle::read(index, &file.bytes)?;
    let prefix = index.to_string_lossy();
    let prefix = prefix.strip_suffix(INDEX).unwrap_or(&prefix);
    let mut files = vec![file];
    for shard in 0..bundle.shards {
        let name = format!("{prefix}.data-{shard:05}-of-{:05}", bundle.shards);
        files.push(OpenFile::open(Path::new(&name))?);
    }
    let entries = bundle.entries(index, &files)?;
    Ok((files, entries))
}

/// A tensor, or a slice of one, as the index describes it.
#[derive(Debug, Clone, Default)]
struct Described {
    dtype: u64,
    dims: Vec<u64>,
    shard: u64,
    offset: u64,
    size: u64,
    crc: u32,
    /// For each slice, first index and length by axis; `None`: all of the axis.
    slices: Vec<Vec<(i64, Option<i64>)>>,
}

struct Bundle {
    shards: u64,
    tensors: BTreeMap<String, Described>,
    /// Slices of partitioned variables, by their key.
    slices: BTreeMap<Vec<u8>, Described>,
}

impl Bundle {
    fn read(path: &Path, bytes: &[u8]) -> Result<Self, ModelError> {
        let mut bundle = Self {
            shards: 0,
            tensors: BTreeMap::new(),
            slices: BTreeMap::new(),
        };
        let read = each_entry(bytes, |key, value, at| {
            let fault = |what| Fault { what, at };
            if key.is_empty() {
                bundle.shards =
                    shards(value).ok_or(fault("its header is damaged, or big-endian"))?;
                return Ok(());
            }
            let described =
                describe(value).ok_or(fault("the description of a tensor is damaged"))?;
            if bundle.tensors.len() + bundle.slices.len() >= MAX_TENSORS {
                return Err(fault("it lists too many tensors"));
            }
            if key[0] == 0 {
                bundle.slices.insert(key.to_vec(), described);
            } else {
                let name = std::str::from_utf8(key).map_err(|_| fault("a name is damaged"))?;
                bundle.tensors.insert(name.to_owned(), described);
            }
            Ok(())
        });
        let damaged = |reason| ModelError::damaged(path, reason);
        read.map_err(|Fault { what, at }| damaged(format!("{what} (byte {at})")))?;
        if bundle.shards == 0 {
            return Err(damaged("it has no header".to_owned()));
        }
        Ok(bundle)
    }

    /// Every tensor with its place in the files; the first file is the index.
    fn entries(
        &self,
        path: &Path,
        files: &[OpenFile],
    ) -> Result<BTreeMap<String, Entry>, ModelError> {
        let mut entries = BTreeMap::new();
        for (name, described) in &self.tensors {
            let entry = self.entry(name, described, files).map_err(|why| {
                ModelError::damaged(path, format!("tensor `{}` {why}", excerpt(name)))
            })?;
            entries.insert(name.clone(), entry);
        }
        Ok(entries)
    }

    fn entry(
        &self,
        name: &str,
        described: &Described,
        files: &[OpenFile],
    ) -> Result<Entry, &'static str> {
        let dtype = dtype(described.dtype);
        let shape = described.dims.iter().map(|dim| usize::try_from(*dim).ok());
        let shape: Vec<usize> = shape.collect::<Option<_>>().ok_or("has a damaged shape")?;
        let (parts, regions) = if described.slices.is_empty() {
            let part = part(described, files).ok_or("reaches beyond its file")?;
            (vec![part], None)
        } else {
            let (parts, regions) = self.slices(name, described, &shape, files)?;
            (parts, Some(regions))
        };
        let len: usize = parts.iter().map(|part| part.len).sum();
        let mut dims = shape.iter();
        let needed = dtype
            .size()
            .and_then(|size| dims.try_fold(size, |bytes, dim| bytes.checked_mul(*dim)));
        if dtype.size().is_some() && needed != Some(len) {
            return Err("has more or fewer bytes than its shape needs");
        }
        // The kernel of a dense layer is [in, out] there, and [out, in] here.
        let (shape, strides) = match shape[..] {
            [inner, outer] if name.ends_with("/kernel") => {
                (vec![outer, inner], Some(vec![1, outer]))
            }
            _ => (shape, None),
        };
        Ok(Entry {
            dtype,
            shape,
            parts,
            regions,
            strides,
        })
    }

    /// The slices of a partitioned variable of this shape.
    fn slices(
        &self,
        name: &str,
        whole: &Described,
        shape: &[usize],
        files: &[OpenFile],
    ) -> Result<(Vec<Part>, Regions), &'static str> {
        let (mut parts, mut regions) = (Vec::new(), Vec::new());
        for slice in &whole.slices {
            let region = region(slice, shape).ok_or("is cut into damaged slices")?;
            let described = self
                .slices
                .get(&slice_key(name, slice))
                .ok_or("lacks a slice")?;
            if described.dtype != whole.dtype {
                return Err("is cut into slices of different types");
            }
            let part = part(described, files).ok_or("reaches beyond its file")?;
            let size = dtype(whole.dtype).size();
            let needed = size.map(|size| region.numbers().and_then(|all| all.checked_mul(size)));
            if needed.is_some_and(|needed| needed != Some(part.len)) {
                return Err("has a slice of more or fewer bytes than its shape needs");
            }
            parts.push(part);
            regions.push(region);
        }
        Ok((parts, Regions::new(shape.to_vec(), regions)?))
    }
}

/// Where a slice lies in a tensor of this shape. An axis without a length is whole.
fn region(slice: &[(i64, Option<i64>)], shape: &[usize]) -> Option<Region> {
    let axes = slice.iter().zip(shape);
    let axes = axes.map(|((start, length), whole)| {
        let length = match length {
            Some(length) => usize::try_from(*length).ok()?,
            None => *whole,
        };
        Some((usize::try_from(*start).ok()?, length))
    });
    let (start, lengths) = axes.collect::<Option<_>>()?;
    let region = Region {
        start,
        shape: lengths,
    };
    (slice.len() == shape.len()).then_some(region)
}

/// Number of files of numbers; `None` for a damaged header, or big-endian numbers.
fn shards(header: &[u8]) -> Option<u64> {
    let (mut shards, mut endianness) = (0, 0);
    for field in Fields::of(header, 0) {
        match field.ok()? {
            (1, Field::Varint(value)) => shards = value,
            (2, Field::Varint(value)) => endianness = value,
            _ => {}
        }
    }
    (endianness == 0 && (1..=MAX_SHARDS).contains(&shards)).then_some(shards)
}

fn describe(value: &[u8]) -> Option<Described> {
    let mut found = Described::default();
    for field in Fields::of(value, 0) {
        match field.ok()? {
            (1, Field::Varint(dtype)) => found.dtype = dtype,
            (2, Field::Bytes(shape, _)) => found.dims = dims(shape)?,
            (3, Field::Varint(shard)) => found.shard = shard,
            (4, Field::Varint(offset)) => found.offset = offset,
            (5, Field::Varint(size)) => found.size = size,
            (6, Field::Fixed32(crc)) => found.crc = crc,
            (7, Field::Bytes(slice, _)) => found.slices.push(extents(slice)?),
            _ => {}
        }
    }
    Some(found)
}

fn dims(shape: &[u8]) -> Option<Vec<u64>> {
    let mut dims = Vec::new();
    for field in Fields::of(shape, 0) {
        if let (2, Field::Bytes(dim, _)) = field.ok()? {
            let mut size = 0;
            for field in Fields::of(dim, 0) {
                if let (1, Field::Varint(value)) = field.ok()? {
                    size = value;
                }
            }
            dims.push(size);
        }
    }
    Some(dims)
}

/// First index and length of a slice by axis.
fn extents(slice: &[u8]) -> Option<Vec<(i64, Option<i64>)>> {
    let mut extents = Vec::new();
    for field in Fields::of(slice, 0) {
        if let (1, Field::Bytes(extent, _)) = field.ok()? {
            let (mut start, mut length) = (0, None);
            for field in Fields::of(extent, 0) {
                match field.ok()? {
                    (1, Field::Varint(value)) => start = i64::try_from(value).ok()?,
                    (2, Field::Varint(value)) => length = Some(i64::try_from(value).ok()?),
                    _ => {}
                }
            }
            extents.push((start, length));
        }
    }
    Some(extents)
}

/// Where a tensor, or a slice, lies; `None` where its file does not have those bytes.
fn part(described: &Described, files: &[OpenFile]) -> Option<Part> {
    let file = usize::try_from(described.shard).ok()?.checked_add(1)?;
    let start = usize::try_from(described.offset).ok()?;
    let len = usize::try_from(described.size).ok()?;
    files.get(file)?.bytes.get(start..start.checked_add(len)?)?;
    let sum = Checksum::MaskedCrc32c(described.crc);
    Some(Part {
        file,
        start,
        len,
        checked: Some(Checked { start, len, sum }),
    })
}

/// The types of `tensorflow/core/framework/types.proto` that a BERT may have.
fn dtype(number: u64) -> Dtype {
    match number {
        1 => Dtype::F32,
        2 => Dtype::F64,
        3 => Dtype::Other { name: "i32" },
        9 => Dtype::I64,
        14 => Dtype::Bf16,
        19 => Dtype::F16,
        _ => Dtype::Other {
            name: "a type that is not supported",
        },
    }
}

/// Key of a slice in the index (`tensorflow/core/util/saved_tensor_slice_util.cc`): numbers and
/// strings in an encoding that sorts as they do (`core/lib/strings/ordered_code.cc`).
fn slice_key(name: &str, slice: &[(i64, Option<i64>)]) -> Vec<u8> {
    let mut key = vec![0];
    for byte in name.bytes() {
        match byte {
            0 => key.extend([0, 0xff]),
            0xff => key.extend([0xff, 0]),
            byte => key.push(byte),
        }
    }
    key.extend([0, 1]);
    let dims = (slice.len() as u64).to_be_bytes();
    let dims = &dims[slice.len().leading_zeros() as usize / 8..];
    #[expect(clippy::cast_possible_truncation, reason = "at most eight")]
    key.push(dims.len() as u8);
    key.extend(dims);
    for (start, length) in slice {
        put_signed(&mut key, *start);
        put_signed(&mut key, length.unwrap_or(-1));
    }
    key
}

/// A signed number whose first bits are its length.
fn put_signed(key: &mut Vec<u8>, value: i64) {
    let magnitude = if value < 0 { !value } else { value };
    let bits = 64 - magnitude.leading_zeros() as usize;
    let len = bits / 7 + 1;
    let sign = if value < 0 { 0xff } else { 0 };
    let mut bytes = vec![sign; 2];
    bytes.extend(value.to_be_bytes());
    let mut bytes = bytes.split_off(bytes.len() - len);
    let header = !(0xffff_u16
        .checked_shr(u32::try_from(len).unwrap_or(16))
        .unwrap_or(0));
    let [high, low] = header.to_be_bytes();
    bytes[0] ^= high;
    if let Some(second) = bytes.get_mut(1) {
        *second ^= low;
    }
    key.extend(bytes);
}
