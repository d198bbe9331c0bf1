//! A MindRecord file and the database beside it, as MindSpore's writer makes them of one shard.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::database::{Database, Place};
use super::integers::pack;
use crate::data::records::columns::{Column, Values};
use crate::system::{make_atomic, write_atomic};

/// Sizes that MindSpore takes, in bytes; a page of 32 MiB is its default.
const MIN_HEADER: u64 = 16 << 10;
const MIN_PAGE: u64 = 32 << 10;
const MAX_PAGE: u64 = 32 << 20;

/// The scalars of a row that has none, with their length: the map `{"id": 0}` of MessagePack.
const NO_SCALARS: [u8; 13] = *b"\x05\0\0\0\0\0\0\0\x81\xa2id\0";

/// Writes `path` and the database `path.db` with these rows. All have the same columns, in the order of
/// their names, each with as many numbers as in every other row.
///
/// # Errors
/// Where the disk refuses.
pub(in crate::data::records) fn write_rows(
    path: &Path,
    mut rows: impl ExactSizeIterator<Item = Vec<Column<'static>>>,
) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let count = rows.len() as u64;
    let first = rows.next().unwrap_or_default();
    make_atomic(&path.with_file_name(format!("{name}.db")), |database| {
        let mut database = Database::create(database, &name)?;
        write_atomic(path, |file| {
            let mut pages = Pages::new(file, Sizes::of(&first, count));
            let schema = schema_of(&first);
            for row in std::iter::once(first).chain(rows) {
                pages.push(&row, &mut database)?;
            }
            pages.finish(&name, &schema, &mut database)
        })?;
        database.finish()
    })
}

/// The arrays of a row as they stand in a blob, and how many bytes packing has saved.
fn blob(row: &[Column]) -> (Vec<u8>, u64) {
    let (mut bytes, mut saved) = (Vec::new(), 0);
    for column in row {
        let array = match &column.values {
            Values::Ints(values) => {
                let packed = pack(&values.iter().collect::<Vec<_>>());
                // Modulo 2^64, as MindSpore adds them: what is packed may be longer.
                let plain = 8 * values.len() as u64;
                saved = u64::wrapping_add(saved, plain.wrapping_sub(packed.len() as u64));
                packed
            }
            Values::Floats(values) => values.iter().flat_map(|it| it.to_le_bytes()).collect(),
            Values::Texts(_) => unreachable!("rows of token ids have numbers only"),
        };
        bytes.extend((array.len() as u64).to_be_bytes());
        bytes.extend(array);
    }
    (bytes, saved)
}

/// The entry of a header that describes such rows.
fn schema_of(row: &[Column]) -> Value {
    let columns = row.iter().map(|column| {
        let word = match column.values {
            Values::Floats(_) => "float32",
            _ => "int64",
        };
        let column_schema = json!({"shape": [column.values.len()], "type": word});
        (column.name.to_string(), column_schema)
    });
    let columns: Map<String, Value> = columns.collect();
    let names: Vec<&String> = columns.keys().collect();
    json!({"blob_fields": names, "desc": "token ids, written by tinyrun", "schema": columns})
}

/// Sizes of the header and of a page, in bytes.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    header: u64,
    page: u64,
}

impl Sizes {
    /// Pages so small that few rows leave no large holes, and a header that has room for all of them.
    fn of(row: &[Column], rows: u64) -> Self {
        /// Pages that small data are cut into, at most.
        const PAGES: u64 = 64;
        /// Bytes of JSON for a page, and for all else.
        const ENTRY: u64 = 400;
        const REST: u64 = 4 << 10;
        // With its length; as if no number could be packed.
        let longest = row.iter().map(|column| 16 + 9 * column.values.len() as u64);
        let longest = 8 + longest.sum::<u64>();
        let total = rows.saturating_mul(longest);
        let page = (total / PAGES).clamp(MIN_PAGE, MAX_PAGE).max(2 * longest);
        let page = page.next_power_of_two();
        // Of both kinds, each at least half full, and one of each that is not.
        let pages = 2 * (2 * total / page + 1);
        let header = (REST + ENTRY * pages).next_power_of_two();
        Self {
            header: header.max(MIN_HEADER),
            page,
        }
    }
}

/// A page of which rows are still to come.
struct Open {
    id: u64,
    /// Bytes used.
    used: u64,
    /// Its number among the pages of its kind.
    type_id: u64,
    /// Its first row, for a page of arrays.
    start_row: u64,
    /// For a page of scalars: each group of rows and where it begins.
    groups: Vec<Value>,
}

impl Open {
    /// Its entry in the header.
    fn entry(&self, kind: &str, end_row: u64) -> Value {
        json!({
            "end_row_id": end_row,
            "page_id": self.id,
            "page_size": self.used,
            "page_type": kind,
            "page_type_id": self.type_id,
            "row_group_ids": self.groups,
            "shard_id": 0,
            "start_row_id": self.start_row,
        })
    }
}

/// The pages of a file: the rows of a page of arrays are a group, whose scalars are all in one page.
struct Pages<'a, 'b> {
    file: &'a mut BufWriter<&'b File>,
    sizes: Sizes,
    arrays: Open,
    scalars: Option<Open>,
    /// Ends of the rows of the group in their page.
    group: Vec<u64>,
    /// Entries of the pages that are complete.
    entries: Vec<Value>,
    next_id: u64,
    rows: u64,
    saved: u64,
}

impl<'a, 'b> Pages<'a, 'b> {
    fn new(file: &'a mut BufWriter<&'b File>, sizes: Sizes) -> Self {
        Self {
            file,
            sizes,
            arrays: arrays(0, 0, 0),
            scalars: None,
            group: Vec::new(),
            entries: Vec::new(),
            next_id: 1,
            rows: 0,
            saved: 0,
        }
    }

    fn push(&mut self, row: &[Column], database: &mut Database) -> io::Result<()> {
        let (bytes, saved) = blob(row);
        let length = bytes.len() as u64;
        if self.arrays.used + 8 + length > self.sizes.page {
            self.end_group(database)?;
            self.arrays = arrays(self.next_id, self.arrays.type_id + 1, self.rows);
            self.next_id += 1;
        }
        if self.group.is_empty() {
            self.seek(self.arrays.id, 0)?;
        }
        self.file.write_all(&length.to_le_bytes())?;
        self.file.write_all(&bytes)?;
        self.arrays.used += 8 + length;
        self.group.push(self.arrays.used);
        self.rows += 1;
        self.saved = self.saved.wrapping_add(saved);
        Ok(())
    }

    /// Ends the page of arrays: its rows' scalars and places are written.
    fn end_group(&mut self, database: &mut Database) -> io::Result<()> {
        let entry = self.arrays.entry("BLOB_DATA", self.rows);
        self.entries.push(entry);
        let group = std::mem::take(&mut self.group);
        let bytes = (NO_SCALARS.len() * group.len()) as u64;
        let mut scalars = match self.scalars.take() {
            Some(page) if page.used + bytes <= self.sizes.page => page,
            full => {
                let type_id = full.as_ref().map_or(0, |page| page.type_id + 1);
                self.entries
                    .extend(full.map(|page| page.entry("RAW_DATA", 0)));
                self.next_id += 1;
                Open {
                    groups: Vec::new(),
                    ..arrays(self.next_id - 1, type_id, 0)
                }
            }
        };
        let (group_id, offset) = (self.arrays.type_id, scalars.used);
        let begin = json!({"id": group_id, "offset": offset});
        scalars.groups.push(begin);
        self.seek(scalars.id, offset)?;
        let mut start = 0;
        for (row, end) in group.into_iter().enumerate() {
            self.file.write_all(&NO_SCALARS)?;
            let scalars_start = scalars.used;
            scalars.used += NO_SCALARS.len() as u64;
            database.add(&Place {
                row: self.arrays.start_row + row as u64,
                group: group_id,
                scalars: (scalars.id, scalars_start, scalars.used),
                arrays: (self.arrays.id, start, end),
            })?;
            start = end;
        }
        self.scalars = Some(scalars);
        Ok(())
    }

    fn seek(&mut self, page: u64, offset: u64) -> io::Result<()> {
        let place = self.sizes.header + page * self.sizes.page + offset;
        self.file.seek(SeekFrom::Start(place)).map(|_| ())
    }

    /// Writes what the last page lacks, and the header.
    fn finish(mut self, name: &str, schema: &Value, database: &mut Database) -> io::Result<()> {
        self.end_group(database)?;
        let last = self.scalars.take().map(|page| page.entry("RAW_DATA", 0));
        self.entries.extend(last);
        self.entries.sort_by_key(|page| page["page_id"].as_u64());
        // In the order of MindSpore's, by whose first key a file is recognized.
        let header = json!({
            "header_size": self.sizes.header,
            "index_fields": null,
            "page": self.entries,
            "page_size": self.sizes.page,
            "compression_size": self.saved,
            "schema": [schema],
            "shard_addresses": [name],
            "shard_id": 0,
            "statistics": null,
            "version": "3.0",
        });
        let header = header.to_string();
        assert!(header.len() as u64 + 8 <= self.sizes.header, "it has room");
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&(header.len() as u64).to_le_bytes())?;
        self.file.write_all(header.as_bytes())
    }
}

/// A page of arrays without rows, which is a group of its own.
fn arrays(id: u64, type_id: u64, start_row: u64) -> Open {
    Open {
        id,
        used: 0,
        type_id,
        start_row,
        groups: vec![json!({"id": 0, "offset": 0})],
    }
}
