//! Signals that were ignored when the program started, and Ctrl-Z.

use std::process::Command;

use rustix::process::Signal;

use crate::harness::{Started, Test};

/// State of a process, as in `/proc/<pid>/stat`: `T` is stopped.
fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.chars().next()
}

/// A run whose shell ignores signals, as `nohup` and background jobs of scripts do.
fn start_ignoring(test: &Test, signals: &str, file: &str) -> Started {
    let script = format!(
        "trap '' {signals}; exec '{}' {file}",
        env!("CARGO_BIN_EXE_tinyrun")
    );
    test.start_as(Command::new("sh").args(["-c", &script]))
}

/// Whether a process ignores a signal, and whether it has a handler for it.
fn disposition(pid: u32, signal: Signal) -> (bool, bool) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let has = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let mask = u64::from_str_radix(line.expect("a field").trim(), 16).expect("a mask");
        mask >> (signal.as_raw() - 1) & 1 == 1
    };
    (has("SigIgn:"), has("SigCgt:"))
}

const IGNORED: (bool, bool) = (true, false);
const CAUGHT: (bool, bool) = (false, true);

#[test]
fn what_is_ignored_at_the_start_stays_ignored_in_runner_and_kernel() {
    let test = Test::new();
    test.kernel("finetune", "holds");
    let run = start_ignoring(&test, "HUP INT", "x.toml");
    test.wait_for("fake/waits");
    let kernel = test.read("fake/pid").trim().parse().expect("a number");
    for signal in [Signal::HUP, Signal::INT] {
        assert_eq!(disposition(run.pid(), signal), IGNORED, "{signal:?}");
        assert_eq!(disposition(kernel, signal), IGNORED, "{signal:?}");
        run.signal(signal);
    }
    assert_eq!(disposition(run.pid(), Signal::TERM), CAUGHT);
    test.write("fake/go", "");
    run.wait().succeeds();
}

#[test]
fn what_is_not_ignored_is_caught() {
    let test = Test::new();
    test.kernel("finetune", "holds");
    let run = test.start(&["x.toml"]);
    test.wait_for("fake/waits");
    for signal in [Signal::HUP, Signal::INT, Signal::TERM] {
        assert_eq!(disposition(run.pid(), signal), CAUGHT, "{signal:?}");
    }
    test.write("fake/go", "");
    run.wait().succeeds();
}

#[cfg(feature = "kernel")]
#[test]
fn the_real_kernel_leaves_ignored_signals_ignored_too() {
    use std::os::unix::process::CommandExt;
    let test = Test::new();
    let kernel = env!("CARGO_BIN_EXE_tinyrun-kernel");
    // It waits for its job on stdin, with its handlers installed.
    let script = format!("trap '' HUP INT; exec '{kernel}'");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).process_group(0);
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("started");
    let pid = child.id();
    test.wait_until("SIGTERM is caught", || {
        disposition(pid, Signal::TERM) == CAUGHT
    });
    for signal in [Signal::HUP, Signal::INT] {
        assert_eq!(disposition(pid, signal), IGNORED, "{signal:?}");
    }
    child.kill().expect("killed");
    child.wait().expect("waited");
}

#[test]
fn a_run_that_is_suspended_suspends_its_kernel_and_both_continue() {
    let test = Test::new();
    test.kernel("finetune", "waits");
    let run = test.start(&["x.toml", "--verbose"]);
    test.wait_for("fake/waits");
    // The runner has heard of its kernel by then.
    let (run, _) = run.wait_to_say("libtorch 2.11.0");
    let kernel: u32 = test.read("fake/pid").trim().parse().expect("a number");
    run.signal(Signal::TSTP);
    let is_stopped = |pid| state(pid) == Some('T');
    test.wait_until("both are stopped", || {
        is_stopped(run.pid()) && is_stopped(kernel)
    });
    run.signal(Signal::CONT);
    test.wait_until("both continue", || {
        !is_stopped(run.pid()) && !is_stopped(kernel)
    });
    run.signal(Signal::INT);
    run.wait()
        .ends_with(130)
        .says("tinyrun: interrupted in `finetune` at step 4\n");
}
