//! `tinyrun gc`: what no experiment uses.

use std::io;
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use clap::Args;

use super::{Failure, Place, layout, print};
use crate::report::{Removable, Style, age, removable_lines};
use crate::runs::{UnusedKind, unused};

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

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let layout = layout(&arguments.place)?;
    let now = SystemTime::now();
    let mut list = Vec::new();
    for item in unused(&layout)? {
        let age_of_item = now.duration_since(item.modified).unwrap_or_default();
        let is_wanted = (arguments.interrupted || item.kind != UnusedKind::Interrupted)
            && arguments
                .older_than
                .is_none_or(|least| age_of_item >= least)
            && arguments.larger_than.is_none_or(|least| item.size > least);
        // Whoever has its lock takes it into use at this moment.
        if !is_wanted || (arguments.delete && !item.remove()?) {
            continue;
        }
        let what = match &item.kind {
            UnusedKind::Result(kind) => format!("{kind}, not used by any experiment"),
            UnusedKind::TeacherOutputs => {
                "teacher cache, recomputed when it is needed again".to_owned()
            }
            UnusedKind::Interrupted => "interrupted".to_owned(),
            UnusedKind::Debris => "leftover of an interrupted move".to_owned(),
        };
        list.push(Removable {
            path: item.path.display().to_string(),
            what: format!("{what}, {} old", age(age_of_item)),
            size: item.size,
        });
    }
    let style = Style::of(&io::stdout());
    print(&removable_lines(&list, arguments.delete, style))
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
