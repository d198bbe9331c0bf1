//! `metrics.csv` of a training stage.
//!
//! The file is cut back before a run goes on from a checkpoint: rows written after the
//! checkpoint was taken would otherwise appear twice.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::system::{advice, reason};

/// Whether a column of a metrics file tells speed or time, which differ between two runs of equal results.
pub fn is_of_speed(column: &str) -> bool {
    column.ends_with("_per_second") || column.ends_with("_ms") || column == "mfu"
}

/// Why a metrics file could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum MetricsFileError {
    /// The disk said no.
    #[error("cannot write metrics to `{}`: {}", path.display(), reason(source))]
    Io {
        /// The metrics file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },
    /// The file to go on with was written with other columns.
    #[error("`{}` has the columns `{found}`, expected `{expected}`", path.display())]
    Columns {
        /// The metrics file.
        path: PathBuf,
        /// Header of the file.
        found: String,
        /// Header of this run.
        expected: String,
    },
    /// A line before the checkpoint is not a row.
    #[error("line {line} of `{}` is not a valid row of metrics", path.display())]
    Damaged {
        /// The metrics file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
    },
    /// A row with too few or too many values.
    #[error("expected {expected} values in a metrics row, found {found}")]
    Width {
        /// Values given.
        found: usize,
        /// Columns of the file, `step` left out.
        expected: usize,
    },
}

impl MetricsFileError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => advice(source),
            Self::Columns { path, .. } | Self::Damaged { path, .. } => Some(format!(
                "move `{}` away: the run then starts a new file at its checkpoint",
                path.display()
            )),
            Self::Width { .. } => None,
        }
    }
}

/// A CSV file with the column `step` and one column a metric, appended to as a run goes on.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
    writer: csv::Writer<File>,
    columns: usize,
}

impl MetricsFile {
    /// Opens the metrics of a run, with the columns `step` and then `columns`.
    ///
    /// `resume_step` is the step of the checkpoint that the run goes on from: rows after it, and
    /// a last line that was torn off, are cut away and the run appends to the rest. `None` starts
    /// the file anew, as does a file that is not there.
    ///
    /// # Errors
    /// Where the file cannot be written, has other columns, or holds a line before the
    /// checkpoint that is no row.
    pub fn create_or_resume(
        path: &Path,
        columns: &[String],
        resume_step: Option<u64>,
    ) -> Result<Self, MetricsFileError> {
        let io = |source| MetricsFileError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(resume_step.is_none())
            .open(path)
            .map_err(io)?;
        let header = header(columns);
        let keep = match resume_step {
            Some(step) => bytes_until(&file, path, &header, step)?,
            None => 0,
        };
        file.set_len(keep).map_err(io)?;
        file.seek(SeekFrom::End(0)).map_err(io)?;
        let mut metrics = Self {
            path: path.to_owned(),
            writer: csv::Writer::from_writer(file),
            columns: columns.len(),
        };
        if keep == 0 {
            metrics.write(std::iter::once("step").chain(columns.iter().map(String::as_str)))?;
        }
        metrics.sync()?;
        Ok(metrics)
    }

    /// Appends a row. A value that was not measured at this step is `None` and stays empty.
    /// Numbers are written so that reading them gives the same bits.
    ///
    /// # Errors
    /// Where the file cannot be written, or there is not one value a column.
    pub fn append(&mut self, step: u64, values: &[Option<f64>]) -> Result<(), MetricsFileError> {
        if values.len() != self.columns {
            return Err(MetricsFileError::Width {
                found: values.len(),
                expected: self.columns,
            });
        }
        // Debug form of a float: shortest digits that read back the same, `5e-5` rather than 0.00005.
        let values = values
            .iter()
            .map(|value| value.map_or_else(String::new, |value| format!("{value:?}")));
        self.write(std::iter::once(step.to_string()).chain(values))
    }

    /// Hands everything appended to the disk. Called before a checkpoint is completed, so that
    /// its rows are never younger than it.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn sync(&mut self) -> Result<(), MetricsFileError> {
        self.writer
            .flush()
            .and_then(|()| self.writer.get_ref().sync_data())
            .map_err(|source| self.io(source))
    }

    /// Makes everything appended visible to readers of the file, without waiting for the disk.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn flush(&mut self) -> Result<(), MetricsFileError> {
        self.writer.flush().map_err(|source| self.io(source))
    }

    fn write<I, T>(&mut self, fields: I) -> Result<(), MetricsFileError>
    where
        I: Iterator<Item = T>,
        T: AsRef<[u8]>,
    {
        self.writer
            .write_record(fields)
            .map_err(|error| self.io(error.into()))
    }

    fn io(&self, source: io::Error) -> MetricsFileError {
        MetricsFileError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

/// First line of the file, without its line end.
fn header(columns: &[String]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let fields = std::iter::once("step").chain(columns.iter().map(String::as_str));
    let written = writer
        .write_record(fields)
        .map_err(io::Error::from)
        .and_then(|()| {
            writer
                .into_inner()
                .map_err(|error| io::Error::other(error.to_string()))
        });
    // A vector in memory takes whatever it is given.
    let line = written.unwrap_or_default();
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

/// Length of the head of the file that holds the header and the rows up to `step`.
fn bytes_until(file: &File, path: &Path, header: &str, step: u64) -> Result<u64, MetricsFileError> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let (mut offset, mut keep, mut number) = (0_u64, 0_u64, 0_u64);
    let mut damaged = None;
    loop {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(|source| MetricsFileError::Io {
                path: path.to_owned(),
                source,
            })?;
        // Without its line end the last line may lack digits too.
        if line.pop() != Some(b'\n') {
            return Ok(keep);
        }
        offset += read as u64;
        number += 1;
        if number == 1 {
            if line != header.as_bytes() {
                return Err(MetricsFileError::Columns {
                    path: path.to_owned(),
                    found: String::from_utf8_lossy(&line).into_owned(),
                    expected: header.to_owned(),
                });
            }
            keep = offset;
            continue;
        }
        match row_step(&line) {
            Some(row) if row > step => return Ok(keep),
            Some(_) => {
                // Garbage at the end is what a power cut leaves; garbage with rows after it is
                // not, and cutting there would lose them.
                if let Some(line) = damaged {
                    return Err(MetricsFileError::Damaged {
                        path: path.to_owned(),
                        line,
                    });
                }
                keep = offset;
            }
            None => damaged = damaged.or(Some(number)),
        }
    }
}

/// Step of a row; `None` where the line is no row.
fn row_step(line: &[u8]) -> Option<u64> {
    let field = line.split(|&byte| byte == b',').next()?;
    std::str::from_utf8(field).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
