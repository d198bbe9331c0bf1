//! Numbers as a person reads them.

use std::time::Duration;

use bytesize::ByteSize;
use chrono::{DateTime, Local, Utc};
use indicatif::HumanCount;

/// A number with its thousands set apart: `22,713,216`.
pub(super) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A number of things: `1 stage`, `2,000 steps`.
pub(super) fn counted(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", count(number))
}

/// A time with two units at most: `0.4s`, `42s`, `3m12s`, `2h05m`.
pub(super) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 9.95 {
        return format!("{seconds:.1}s");
    }
    let seconds = (time + Duration::from_millis(500)).as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How long ago, in one unit: `3 minutes`, `30 days`.
pub fn age(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match minutes {
        0..60 => counted(minutes, "minute"),
        60..2880 => counted(minutes / 60, "hour"),
        _ => counted(minutes / 1440, "day"),
    }
}

/// A moment in the user's time: `14:03` where it is today, else with its date.
pub(super) fn clock(moment: DateTime<Utc>) -> String {
    let (moment, now) = (moment.with_timezone(&Local), Local::now());
    let format = if moment.date_naive() == now.date_naive() {
        "%H:%M"
    } else {
        "%Y-%m-%d %H:%M"
    };
    moment.format(format).to_string()
}

/// A size in decimal units: `57.4 MB`.
pub(super) fn bytes(size: u64) -> String {
    ByteSize::b(size).display().si().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        let shown = [0, 999, 1000, 22_713_216].map(count);
        assert_eq!(shown, ["0", "999", "1,000", "22,713,216"]);
    }

    #[test]
    fn times_have_two_units_at_most() {
        let shown = [0.04, 0.44, 9.94, 9.96, 59.7, 192.0, 7512.0]
            .map(|seconds| duration(Duration::from_secs_f64(seconds)));
        let expected = ["0.0s", "0.4s", "9.9s", "10s", "1m00s", "3m12s", "2h05m"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn sizes_are_decimal() {
        let shown = [0, 999, 57_400_992, 3_200_000_000].map(bytes);
        assert_eq!(shown, ["0 B", "999 B", "57.4 MB", "3.2 GB"]);
    }
}
