//! Signals that were ignored when the program started, as `nohup` and background jobs of scripts have them.

use std::fs;

/// Whether this process ignores a signal. Before handlers are installed, that is what its parent set up.
pub fn is_ignored(signal: i32) -> bool {
    // No unsafe call and no handler changed; a system without it reports that nothing is ignored.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    mask(&status).is_some_and(|mask| {
        u32::try_from(signal - 1).is_ok_and(|bit| bit < 64 && mask >> bit & 1 == 1)
    })
}

/// Those of some signals that are not ignored.
pub fn heeded(signals: &[i32]) -> Vec<i32> {
    let signals = signals.iter().copied();
    signals.filter(|signal| !is_ignored(*signal)).collect()
}

/// The ignored signals of a process as bits, from its `status` in `/proc`.
fn mask(status: &str) -> Option<u64> {
    let digits = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(digits.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_read_from_the_status() {
        let status = "Name:\ttinyrun\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\n";
        assert_eq!(mask(status), Some(0x1003));
        assert_eq!(mask("Name:\ttinyrun\n"), None);
        // Rust's runtime ignores SIGPIPE in every program.
        assert!(is_ignored(signal_hook::consts::SIGPIPE));
        assert!(!is_ignored(signal_hook::consts::SIGUSR2));
    }
}
