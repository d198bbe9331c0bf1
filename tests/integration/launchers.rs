//! Ranks that a launcher has started: by its variables alone, and by `torchrun`, `mpirun` and `srun` where they are
//! installed.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use rustix::io::ioctl_fionread;
use rustix::process::{Pid, Signal, kill_process};

use crate::chaos::{kernels, results, root};
use crate::harness::{Ran, Started, Test};
use crate::pipeline::real;

/// Exit code of `scripts/one_node_slurm` where the daemons do not run here.
const SLURM_DOES_NOT_START: i32 = 77;

/// Ends with the first long stage.
const FINETUNE: [&str; 4] = ["chaos.toml", "--until", "finetune", "--set"];
const LONG: &str = "stages.finetune.epochs=40";

/// No checkpoint but that of a stop.
const NO_CHECKPOINT: [&str; 4] = [
    "--set",
    "stages.finetune.checkpoint-interval=0",
    "--set",
    "stages.finetune.checkpoint-seconds=3600",
];

/// Seconds in which ranks come on a machine whose cores other tests use.
const WAIT: &str = "10";

/// One process as Open MPI's `mpirun` starts it.
fn rank(test: &Test, rank: usize, size: usize, arguments: &[&str]) -> Started {
    test.start_with(arguments, |command| {
        real(command);
        let rank = rank.to_string();
        let size = size.to_string();
        command
            .env("OMPI_COMM_WORLD_RANK", rank)
            .env("OMPI_COMM_WORLD_SIZE", &size)
            .env("OMPI_COMM_WORLD_LOCAL_SIZE", size)
            .env("PMIX_NAMESPACE", "1.0")
            .env("TINYRUN_RANKS_WAIT", WAIT);
    })
}

fn ranks(test: &Test, size: usize, arguments: &[&str]) -> Vec<Started> {
    (0..size)
        .map(|it| rank(test, it, size, arguments))
        .collect()
}

fn end(started: Vec<Started>) -> Vec<Ran> {
    started.into_iter().map(Started::wait).collect()
}

/// Processes of a root whose command has this argument, oldest first.
fn processes(test: &Test, argument: &str) -> Vec<Pid> {
    let root = test.path("").canonicalize().expect("the root");
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let found = entries.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let mut arguments = command.split(|byte| *byte == 0);
        let is_meant = arguments.any(|it| it == argument.as_bytes());
        let is_here = fs::read_link(entry.path().join("cwd")).ok()? == root;
        (is_meant && is_here).then_some(pid)
    });
    let mut found: Vec<i32> = found.collect();
    found.sort_unstable();
    found.into_iter().filter_map(Pid::from_raw).collect()
}

/// Whether a training has made a step.
fn has_begun(test: &Test) -> bool {
    let stages = fs::read_dir(test.path("runs/work")).into_iter().flatten();
    let metrics = stages.flatten().map(|it| it.path().join("metrics.csv"));
    let mut rows = metrics.filter_map(|path| fs::read_to_string(path).ok());
    rows.any(|text| text.lines().count() > 1)
}

/// Whether every thread of a process has obeyed the signal, or has ended: those that wait for a core are late.
fn is_halted(process: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero()));
    let mut threads = threads.into_iter().flatten().flatten();
    threads.all(|thread| {
        let status = fs::read_to_string(thread.path().join("status"));
        let halted = ["T", "Z", "X"].map(|state| format!("State:\t{state}"));
        status.is_ok_and(|status| halted.iter().any(|state| status.contains(state)))
    })
}

/// Whether something lies in the stdin of a kernel that does not read it.
fn is_told(kernel: Pid) -> bool {
    let stdin = format!("/proc/{}/fd/0", kernel.as_raw_nonzero());
    let unread = fs::File::open(stdin).map(|stdin| ioctl_fionread(&stdin));
    matches!(unread, Ok(Ok(1..)))
}

fn no_process_is_left(test: &Test) {
    test.wait_until("the end of every process", || {
        processes(test, "--join").is_empty() && processes(test, "--launched").is_empty()
    });
}

#[test]
fn ranks_of_a_launcher_give_the_bytes_of_ranks_that_tinyrun_starts() {
    let sets = ["chaos.toml", "--set", "threads=1", "--until", "td-phase1"];
    let own = root();
    own.run_with(&[&sets[..], &["--ranks", "3"]].concat(), real)
        .succeeds();
    let test = root();
    let ended = end(ranks(&test, 3, &sets));
    for (rank, ran) in ended.into_iter().enumerate() {
        let ran = ran.succeeds();
        if rank == 0 {
            ran.says("3 ranks, started by mpirun (Open MPI)");
        } else {
            assert_eq!((&ran.stdout[..], &ran.stderr[..]), ("", ""));
        }
    }
    assert!(results(&own) == results(&test));
    assert!(!test.exists("runs/work/ranks-1.0.json"));
    // Nothing to do is done by all.
    for ran in end(ranks(&test, 3, &sets)) {
        ran.succeeds();
    }
    no_process_is_left(&test);
}

#[test]
fn the_process_of_a_rank_that_is_killed_is_named() {
    let test = root();
    let started = ranks(&test, 3, &[&FINETUNE[..], &[LONG]].concat());
    test.wait_for_checkpoint(1);
    let all = processes(&test, "--join");
    assert_eq!(all.len(), 2);
    kill_process(all[0], Signal::KILL).expect("sent");
    let mut ended = end(started).into_iter();
    let first = ended.next().expect("rank 0").ends_with(1);
    assert!(
        first.stderr.contains("rank 1 was ended by signal 9")
            || first.stderr.contains("rank 2 was ended by signal 9"),
        "{}",
        first.stderr
    );
    for ran in ended {
        ran.succeeds();
    }
    no_process_is_left(&test);
    // Another number goes on.
    test.run_with(
        &[&FINETUNE[..], &["stages.finetune.epochs=40"]].concat(),
        real,
    )
    .succeeds()
    .says("resuming from step");
}

#[test]
fn a_rank_that_is_killed_with_its_runner_is_named() {
    let test = root();
    let mut started = ranks(&test, 2, &[&FINETUNE[..], &[LONG]].concat());
    test.wait_for_checkpoint(1);
    let second = started.pop().expect("two");
    second.signal(Signal::KILL);
    started
        .pop()
        .expect("the first")
        .wait()
        .ends_with(1)
        .says("`finetune` failed: rank 1 ");
    no_process_is_left(&test);
}

/// A stage that rank 0 gives up by itself, while the others wait for it.
#[test]
fn a_stage_that_fails_on_the_first_rank_alone_does_not_hold_up_the_next() {
    let test = root();
    let file = test.read("chaos.toml");
    // A teacher that has learned nothing does not pass its check.
    let checked = file
        .replacen("learning-rate = 1e-3", "learning-rate = 1e-9", 1)
        .replace("gate = \"off\"", "gate = 0.9");
    test.write("checked.toml", &checked);
    let arguments = [
        "checked.toml",
        "chaos.toml",
        "--keep-going",
        "--until",
        "td-phase1",
    ];
    let mut ended = end(ranks(&test, 2, &arguments)).into_iter();
    let first = ended.next().expect("rank 0").ends_with(1).stderr;
    assert!(first.contains("`td-phase1` failed"), "{first}");
    assert!(!first.contains("rank 1"), "{first}");
    ended.next().expect("rank 1").succeeds();
    assert!(test.exists("runs/chaos/td-phase1/record.json"), "{first}");
    no_process_is_left(&test);
}

#[test]
fn the_other_ranks_end_with_the_first() {
    let test = root();
    let mut started = ranks(&test, 3, &[&FINETUNE[..], &[LONG]].concat());
    test.wait_for_checkpoint(1);
    let first = started.remove(0);
    first.signal(Signal::KILL);
    for ran in end(started) {
        ran.ends_with(1).says("rank 0 has ended");
    }
    no_process_is_left(&test);
}

#[test]
fn a_signal_to_any_rank_stops_all_with_a_checkpoint() {
    for to in [0, 1] {
        let test = root();
        let started = ranks(&test, 2, &[&FINETUNE[..], &[LONG]].concat());
        test.wait_for_checkpoint(1);
        started[to].signal(Signal::TERM);
        let mut ended = end(started).into_iter();
        ended
            .next()
            .expect("rank 0")
            .ends_with(130)
            .says("it resumes from step");
        ended.next().expect("rank 1").succeeds();
        no_process_is_left(&test);
        for ran in end(ranks(
            &test,
            2,
            &["chaos.toml", "--until", "finetune", "--set", LONG],
        )) {
            ran.succeeds();
        }
    }
}

/// `mpirun` kills what it has started a second after it has asked it to end.
#[test]
fn kernels_that_are_asked_to_stop_outlive_their_runners_until_the_checkpoint() {
    let arguments = [&FINETUNE[..], &[LONG], &NO_CHECKPOINT].concat();
    for size in [1, 2] {
        let test = root();
        let started = match size {
            1 => vec![test.start_with(&arguments, real)],
            _ => ranks(&test, size, &arguments),
        };
        test.wait_until("the first step", || has_begun(&test));
        let helpers = processes(&test, "--launched");
        let mut slow = kernels(&test);
        slow.retain(|kernel| !helpers.contains(kernel));
        assert_eq!(slow.len(), size);
        for kernel in &slow {
            kill_process(*kernel, Signal::STOP).expect("sent");
        }
        test.wait_until("the halt", || slow.iter().all(|it| is_halted(*it)));
        for runner in &started {
            runner.signal(Signal::TERM);
        }
        // By their runners, within a second on an idle machine and later on a busy one.
        test.wait_until("the word to stop", || slow.iter().all(|it| is_told(*it)));
        for runner in &started {
            runner.signal(Signal::KILL);
        }
        // The system may continue a kernel when its runner dies.
        test.wait_until("their end", || started.iter().all(Started::is_dead));
        for kernel in &slow {
            let _ = kill_process(*kernel, Signal::STOP);
        }
        test.wait_until("the halt", || slow.iter().all(|it| is_halted(*it)));
        let alive = kernels(&test);
        if slow.iter().all(|it| alive.contains(it)) && !test.has_checkpoint_of("", 1) {
            // It leaves the folder to the kernel, which has yet to write.
            test.run(&["gc", "--interrupted", "--delete"]).succeeds();
        }
        for kernel in &slow {
            let _ = kill_process(*kernel, Signal::CONT);
        }
        // Kernels hold its stderr.
        end(started);
        test.wait_until("the end of every kernel", || kernels(&test).is_empty());
        test.wait_for_checkpoint(1);
        test.run_with(&[&FINETUNE[..], &[LONG]].concat(), real)
            .succeeds()
            .says("resuming from step");
    }
}

/// A stopped process is neither ended nor does it answer.
#[test]
fn a_rank_that_hangs_is_named_once_the_watchdog_has_waited() {
    let test = root();
    let watchdog = "watchdog-seconds=3";
    let started = ranks(
        &test,
        3,
        &[&FINETUNE[..], &[LONG, "--set", watchdog]].concat(),
    );
    test.wait_for_checkpoint(1);
    let hung = processes(&test, "--join")[1];
    kill_process(hung, Signal::STOP).expect("sent");
    let mut ended = end(started).into_iter();
    let first = ended.next().expect("rank 0").ends_with(1).stderr;
    assert!(first.contains("does not answer"), "{first}");
    for ran in ended {
        ran.succeeds();
    }
    no_process_is_left(&test);

    // The same of ranks that tinyrun starts.
    let test = root();
    let started = test.start_with(
        &[
            "chaos.toml",
            "--set",
            LONG,
            "--set",
            watchdog,
            "--ranks",
            "3",
        ],
        real,
    );
    test.wait_until("ranks", || processes(&test, "--join").len() == 2);
    test.wait_for_checkpoint(1);
    kill_process(processes(&test, "--join")[1], Signal::STOP).expect("sent");
    started
        .wait()
        .ends_with(1)
        .says("`finetune` failed: rank 2 does not answer");
    no_process_is_left(&test);
}

#[test]
fn ranks_that_do_not_belong_together_say_so() {
    let test = root();
    let sets = ["chaos.toml", "--until", "data-prep"];
    // Another experiment.
    test.write(
        "other.toml",
        &format!("{}\n# other\n", test.read("chaos.toml")),
    );
    let started = vec![
        rank(&test, 0, 2, &sets),
        rank(&test, 1, 2, &["other.toml", "--until", "data-prep"]),
    ];
    for ran in end(started) {
        ran.ends_with(1)
            .says("rank 1 has another experiment file than rank 0, or other options");
    }
    // Another number of them.
    for ran in end(vec![rank(&test, 0, 2, &sets), rank(&test, 1, 3, &sets)]) {
        ran.ends_with(1)
            .says("rank 1 is one of 3 ranks, rank 0 one of 2");
    }
    // One that never comes, and one that comes to nobody.
    rank(&test, 0, 2, &sets)
        .wait()
        .ends_with(1)
        .says(&format!("rank 1 has not come within {WAIT} seconds"));
    rank(&test, 1, 2, &sets)
        .wait()
        .ends_with(1)
        .says(&format!("rank 0 has not come within {WAIT} seconds"));
    // Two processes that are one rank.
    let long = [&FINETUNE[..], &[LONG]].concat();
    let started = ranks(&test, 2, &long);
    test.wait_for_checkpoint(1);
    rank(&test, 1, 2, &long)
        .wait()
        .ends_with(1)
        .says("rank 1 is two processes");
    started[0].signal(Signal::TERM);
    end(started);
    no_process_is_left(&test);
}

#[test]
fn what_a_launcher_cannot_start_is_told_at_the_key_on_every_rank() {
    let test = root();
    test.replace("chaos.toml", "threads = 1", "threads = 1\nranks = 3");
    for ran in end(ranks(&test, 2, &["chaos.toml"])) {
        ran.ends_with(2)
            .says("`ranks` is 3, but mpirun (Open MPI) has started 2")
            .says("chaos.toml:2");
    }
    // A list of devices gives the number without the key.
    test.replace("chaos.toml", "\nranks = 3", "");
    let list = ["--set", r#"device=["cpu","cpu","cpu"]"#];
    for ran in end(ranks(&test, 2, &[&["chaos.toml"][..], &list].concat())) {
        ran.ends_with(2)
            .says("`device` lists 3 devices, but mpirun (Open MPI) has started 2 ranks")
            .says("hint: list a device for each rank, or start 3 ranks");
    }
    for ran in end(ranks(&test, 2, &["chaos.toml", "--jobs", "2"])) {
        ran.ends_with(2).says("`--jobs` 2 with ranks that mpirun");
    }
    for ran in end(ranks(&test, 17, &["chaos.toml"])) {
        ran.ends_with(2)
            .says("`ranks` 17 exceeds the 16 examples of a batch");
    }
}

/// As Kubeflow and scripts set it up: rank 0 listens on a given port.
#[test]
fn an_address_is_used_and_a_busy_port_is_named() {
    let test = root();
    let listening = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listening
        .local_addr()
        .expect("an address")
        .port()
        .to_string();
    let start = |rank: &str| {
        test.start_with(&["chaos.toml", "--until", "finetune"], |command| {
            real(command);
            command
                .env("RANK", rank)
                .env("WORLD_SIZE", "2")
                .env("MASTER_ADDR", "localhost")
                .env("MASTER_PORT", &port)
                .env("TINYRUN_RANKS_WAIT", WAIT);
        })
    };
    start("0")
        .wait()
        .ends_with(1)
        .says(&format!("rank 0 cannot listen on port {port}"))
        .says("set `MASTER_PORT` to a free port");
    drop(listening);
    for ran in end(vec![start("0"), start("1")]) {
        ran.succeeds();
    }
}

/// Two ranks with a network of their own each, and a link between them.
struct Networks {
    names: [String; 2],
}

impl Networks {
    /// `None` where this machine does not let us.
    fn new() -> Option<Self> {
        let names = ["a", "b"].map(|letter| format!("tinyrun-{}-{letter}", std::process::id()));
        let networks = Self { names };
        let [a, b] = &networks.names;
        let made = [
            format!("netns add {a}"),
            format!("netns add {b}"),
            format!("link add va netns {a} type veth peer name vb netns {b}"),
            format!("-n {a} addr add 10.77.0.1/24 dev va"),
            format!("-n {b} addr add 10.77.0.2/24 dev vb"),
            format!("-n {a} link set lo up"),
            format!("-n {b} link set lo up"),
            format!("-n {a} link set va up"),
            format!("-n {b} link set vb up"),
        ];
        made.iter().all(|line| ip(line)).then_some(networks)
    }

    fn start(&self, test: &Test, rank: usize, arguments: &[&str]) -> Started {
        let mut command = Command::new("ip");
        let program = env!("CARGO_BIN_EXE_tinyrun");
        let kernel = env!("CARGO_BIN_EXE_tinyrun-kernel");
        let variables = [
            format!("RANK={rank}"),
            "WORLD_SIZE=2".to_owned(),
            "MASTER_ADDR=10.77.0.1".to_owned(),
            "MASTER_PORT=29600".to_owned(),
            format!("TINYRUN_KERNEL={kernel}"),
        ];
        command
            .args(["netns", "exec", &self.names[rank], "env"])
            .args(variables)
            .arg(program)
            .args(arguments);
        test.start_as(&mut command)
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for name in &self.names {
            ip(&format!("netns del {name}"));
        }
    }
}

fn ip(arguments: &str) -> bool {
    let mut ip = Command::new("ip");
    let output = ip.args(arguments.split_whitespace()).output();
    output.is_ok_and(|output| output.status.success())
}

/// As on two machines.
#[test]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
#[cfg_attr(not(has_networks), ignore = "networks cannot be made by this user")]
fn a_link_that_is_cut_ends_the_ranks_on_both_sides() {
    let Some(networks) = Networks::new() else {
        println!("skipped: networks cannot be made here");
        return;
    };
    let test = root();
    let arguments = [&FINETUNE[..], &[LONG, "--set", "watchdog-seconds=3"]].concat();
    let second = networks.start(&test, 1, &arguments);
    let first = networks.start(&test, 0, &arguments);
    test.wait_for_checkpoint(1);
    assert!(ip(&format!("-n {} link set va down", networks.names[0])));
    first
        .wait()
        .ends_with(1)
        .says("`finetune` failed: rank 1 does not answer");
    second
        .wait()
        .ends_with(1)
        .says("rank 0 has not answered for 30 seconds");
    no_process_is_left(&test);
}

/// A port that nobody listens on at this moment: torchrun's own is the same for all.
fn free_port() -> String {
    let listening = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listening
        .local_addr()
        .expect("an address")
        .port()
        .to_string()
}

/// What a launcher with its own processes did.
fn launch(test: &Test, launcher: &str, arguments: &[&str], attempt: &str) -> Ran {
    let two_stages = ["chaos.toml", "--set", "threads=1", "--until", "td-phase1"];
    let rank = rank_script(test, attempt, &two_stages);
    let mut command = Command::new(launcher);
    test.start_as(command.args(arguments).args(rank)).wait()
}

/// The command of a rank: `attempt`, and then tinyrun with these arguments.
fn rank_script(test: &Test, attempt: &str, arguments: &[&str]) -> [&'static str; 2] {
    // `start_as` puts the fake kernel in place.
    let (program, kernel) = (
        env!("CARGO_BIN_EXE_tinyrun"),
        env!("CARGO_BIN_EXE_tinyrun-kernel"),
    );
    let arguments = arguments.join(" ");
    let script = format!(
        "#!/bin/sh\nexport TINYRUN_KERNEL={kernel}\n{attempt}\nexec {program} {arguments}\n"
    );
    test.write("rank.sh", &script);
    ["sh", "rank.sh"]
}

/// Sends a signal to a launcher during a stage, and runs the stage again.
fn stops_with_a_checkpoint(test: &Test, launcher: &str, arguments: &[&str], signal: Signal) {
    let rank = rank_script(test, "", &[&FINETUNE[..], &[LONG], &NO_CHECKPOINT].concat());
    let mut command = Command::new(launcher);
    let started = test.start_as(command.args(arguments).args(rank));
    test.wait_until("the first step", || has_begun(test));
    started.signal(signal);
    let ran = started.wait();
    assert_ne!(ran.code, Some(0), "{}", ran.stderr);
    no_process_is_left(test);
    test.wait_for_checkpoint(1);
    test.run_with(&[&FINETUNE[..], &[LONG]].concat(), real)
        .succeeds()
        .says("resuming from step");
}

/// The bytes of two ranks that tinyrun starts itself.
fn two_ranks() -> std::collections::BTreeMap<String, Vec<u8>> {
    let own = root();
    let two = [
        "chaos.toml",
        "--set",
        "threads=1",
        "--until",
        "td-phase1",
        "--ranks",
        "2",
    ];
    own.run_with(&two, real).succeeds();
    results(&own)
}

#[test]
#[cfg_attr(
    not(has_mpirun),
    ignore = "mpirun was not found when the tests were built"
)]
fn mpirun_starts_ranks() {
    let test = root();
    let arguments = ["--allow-run-as-root", "--oversubscribe", "-np", "2"];
    launch(&test, "mpirun", &arguments, "")
        .succeeds()
        .says("2 ranks, started by mpirun (Open MPI)");
    assert!(two_ranks() == results(&test));
    no_process_is_left(&test);
}

#[test]
#[cfg_attr(
    not(has_mpirun),
    ignore = "mpirun was not found when the tests were built"
)]
fn mpirun_that_is_asked_to_end_leaves_a_checkpoint() {
    let test = root();
    let arguments = ["--allow-run-as-root", "--oversubscribe", "-np", "2"];
    stops_with_a_checkpoint(&test, "mpirun", &arguments, Signal::TERM);
}

#[test]
#[cfg_attr(
    not(has_torchrun),
    ignore = "torchrun was not found when the tests were built"
)]
fn torchrun_that_is_asked_to_end_leaves_a_checkpoint() {
    for signal in [Signal::TERM, Signal::INT] {
        let test = root();
        let port = free_port();
        let of_torchrun = ["--nproc-per-node", "2", "--no-python"];
        let arguments = [&of_torchrun[..], &["--master-port", &port]].concat();
        stops_with_a_checkpoint(&test, env!("TORCHRUN"), &arguments, signal);
    }
}

#[test]
#[cfg_attr(
    not(has_slurm),
    ignore = "root with Slurm was not found when the tests were built"
)]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn srun_starts_ranks() {
    let test = root();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/one_node_slurm");
    let arguments = ["slurm", "srun", "-n", "2", "--overcommit"];
    let ran = launch(&test, script, &arguments, "");
    if ran.code == Some(SLURM_DOES_NOT_START) {
        println!("skipped: {}", ran.stderr);
        return;
    }
    ran.succeeds().says("2 ranks, started by srun");
    assert!(two_ranks() == results(&test));
    no_process_is_left(&test);
}

/// The job's name is that of its step's program.
const CANCELLED: &str = "#!/bin/sh
srun -n 2 --overcommit sh rank.sh &
until grep -qs '^1,' runs/work/*/metrics.csv; do sleep 0.1; done
scancel --name sh
wait $!
";

#[test]
#[cfg_attr(
    not(has_slurm),
    ignore = "root with Slurm was not found when the tests were built"
)]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn a_job_that_slurm_cancels_leaves_a_checkpoint() {
    let test = root();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/one_node_slurm");
    rank_script(
        &test,
        "",
        &[&FINETUNE[..], &[LONG], &NO_CHECKPOINT].concat(),
    );
    test.write("cancelled.sh", CANCELLED);
    let mut command = Command::new(script);
    let command = command.args(["slurm", "sh", "cancelled.sh"]);
    let ran = test.start_as(command).wait();
    if ran.code == Some(SLURM_DOES_NOT_START) {
        println!("skipped: {}", ran.stderr);
        return;
    }
    ran.ends_with(130).says("it resumes from step");
    test.wait_for_checkpoint(1);
    no_process_is_left(&test);
}

#[test]
#[cfg_attr(
    not(has_torchrun),
    ignore = "torchrun was not found when the tests were built"
)]
fn torchrun_starts_ranks_and_restarts_them() {
    let test = root();
    // The launcher keeps its store when it starts all ranks anew.
    let fails_once = "[ $RANK$TORCHELASTIC_RESTART_COUNT = 10 ] && sleep 2 && exit 9";
    // So it does for a second run in one launch.
    let program = env!("CARGO_BIN_EXE_tinyrun");
    let before = format!("{program} chaos.toml --set threads=1 --until finetune || exit");
    let attempt = format!("{fails_once}\n{before}");
    let port = free_port();
    let arguments = [
        "--nproc-per-node",
        "2",
        "--max-restarts",
        "1",
        "--no-python",
        "--master-port",
        &port,
    ];
    launch(&test, env!("TORCHRUN"), &arguments, &attempt)
        .succeeds()
        .says("2 ranks, started by torchrun");
    assert!(two_ranks() == results(&test));
    no_process_is_left(&test);
}
