//! `tinyrun gc`: what no experiment uses.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use clap::Args;

use super::{Failure, Place, layout, print};
use crate::report::{Removable, Style, age, removable_lines};
use crate::runs::{
    Error, Layout, LeftoverKind, Lock, leftovers, remove_path, stored, teacher_answers,
};

/// `tinyrun gc`
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Delete the listed items
    #[arg(long)]
    delete: bool,

    /// Only items that are older, for example `12h` or `30d`
    #[arg(long, value_name = "AGE", value_parser = parse_age)]
    older_than: Option<Duration>,

    /// Only items that are larger, for example `500kB` or `2GB`
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    larger_than: Option<u64>,

    /// Include interrupted stages, whose checkpoints the next run would resume from
    #[arg(long)]
    interrupted: bool,

    #[command(flatten)]
    place: Place,
}

/// Something to remove, and the lock that keeps others from using it meanwhile.
struct Found {
    path: PathBuf,
    lock: Option<Locked>,
    what: String,
    size: u64,
    modified: SystemTime,
}

/// A lock, and how it is taken.
enum Locked {
    /// Of a stage: beside its folder, with its owner's name in it.
    Stage(PathBuf),
    /// Of a teacher's answers: in their folder, held by the kernels that read them.
    Answers(PathBuf),
}

/// What is held while something is removed.
enum Held {
    Stage { _lock: Lock },
    Answers { _lock: File },
}

impl Locked {
    /// `None` where somebody uses it at this moment.
    fn take(&self) -> Result<Option<Held>, Error> {
        match self {
            Self::Stage(path) => {
                let lock = Lock::try_acquire(path)?;
                Ok(lock.ok().map(|lock| Held::Stage { _lock: lock }))
            }
            Self::Answers(path) => {
                let lock = File::options()
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(path);
                let lock = lock.map_err(Error::read(path))?;
                let taken = lock.try_lock().is_ok();
                Ok(taken.then_some(Held::Answers { _lock: lock }))
            }
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let mut found = find(&layout, arguments.interrupted)?;
    let now = SystemTime::now();
    let old = |item: &Found| now.duration_since(item.modified).unwrap_or_default();
    found.retain(|item| {
        let is_old = arguments.older_than.is_none_or(|least| old(item) >= least);
        is_old && arguments.larger_than.is_none_or(|least| item.size > least)
    });
    let mut list = Vec::new();
    for item in &found {
        if arguments.delete {
            // Whoever has it takes it into use at this moment.
            let held = item.lock.as_ref().map(Locked::take).transpose()?;
            if matches!(held, Some(None)) {
                continue;
            }
            remove_path(&item.path)?;
        }
        list.push(Removable {
            path: item.path.display().to_string(),
            what: format!("{}, {} old", item.what, age(old(item))),
            size: item.size,
        });
    }
    print(&removable_lines(
        &list,
        arguments.delete,
        Style::of(&io::stdout()),
    ))
}

fn find(layout: &Layout, interrupted: bool) -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    for result in stored(layout)? {
        if !result.used_by.is_empty() {
            continue;
        }
        let metadata = std::fs::metadata(&result.folder);
        let modified = metadata.and_then(|metadata| metadata.modified());
        let modified = modified.map_err(Error::read(&result.folder))?;
        let lock = result
            .record
            .as_ref()
            .map(|record| layout.lock(&result.kind, &record.fingerprint));
        found.push(Found {
            path: result.folder,
            lock: lock.map(Locked::Stage),
            what: format!("{}, not used by any experiment", result.kind),
            size: result.size,
            modified,
        });
    }
    for (path, size) in teacher_answers(layout)? {
        // Touched whenever they are used.
        let lock = path.join("lock");
        let used = std::fs::metadata(&lock).or_else(|_| std::fs::metadata(&path));
        let used = used.and_then(|metadata| metadata.modified());
        found.push(Found {
            lock: Some(Locked::Answers(lock)),
            what: "teacher cache, recomputed when it is needed again".to_owned(),
            size,
            modified: used.map_err(Error::read(&path))?,
            path,
        });
    }
    for left in leftovers(layout)? {
        let what = match left.kind {
            LeftoverKind::Work if !interrupted => continue,
            LeftoverKind::Work => "interrupted",
            LeftoverKind::Debris => "leftover of an interrupted move",
        };
        let lock = matches!(left.kind, LeftoverKind::Work).then(|| {
            let mut lock = left.path.clone().into_os_string();
            lock.push(".lock");
            PathBuf::from(lock)
        });
        found.push(Found {
            path: left.path,
            lock: lock.map(Locked::Stage),
            what: what.to_owned(),
            size: left.size,
            modified: left.modified,
        });
    }
    Ok(found)
}

fn parse_age(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "expected an age, for example `12h` or `30d`".to_owned())
}

fn parse_size(text: &str) -> Result<u64, String> {
    let size: Result<ByteSize, _> = text.parse();
    size.map(|size| size.as_u64())
        .map_err(|_| "expected a size, for example `500kB` or `2GB`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_numbers_with_a_unit() {
        assert_eq!(parse_age("30d"), Ok(Duration::from_hours(720)));
        assert_eq!(parse_age("12h"), Ok(Duration::from_hours(12)));
        assert_eq!(parse_age("1h 30m"), Ok(Duration::from_mins(90)));
        for wrong in [
            "",
            "d",
            "12",
            "-1d",
            "1fortnight",
            "99999999999999999999d",
            "é",
        ] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_size("2GB"), Ok(2_000_000_000));
        assert_eq!(parse_size("100 MB"), Ok(100_000_000));
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
        for wrong in ["", "GB", "-1MB", "1 day", "é"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
