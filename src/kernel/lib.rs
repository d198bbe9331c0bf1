//! The training kernel: one stage on one device. It reads a job from stdin, sends events
//! to stdout, and knows neither the experiment file nor the run directory.

// Empty where there is no libtorch.
#![cfg(feature = "kernel")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "libtorch counts in i64, everything outside in usize; shapes fit both"
)]
#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "tests write and damage files directly"
    )
)]

mod answers;
mod batch;
mod check;
mod checkpoint;
mod cpu;
mod cuda;
mod device;
mod dropout;
mod encoder;
mod ensemble;
mod error;
mod evaluate;
mod feed;
mod flops;
mod folder;
mod fused;
mod gate;
mod loss_scale;
mod losses;
mod memory;
mod native;
mod objective;
mod optimizer;
mod parameters;
mod predict;
mod processor;
mod ranks;
mod reporter;
mod row;
mod schedule;
mod score;
mod seed;
mod session;
mod step;
mod stop;
mod stopwatch;
mod target;
#[cfg(test)]
mod tests;
mod trainee;
mod training;

use std::fs::File;
use std::io::{BufReader, stdin};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tinyrun_base::job::{self, Event, Failure, Job, Work};
use tinyrun_base::system::{KERNEL_LOCK, Locking, try_lock};

use crate::device::Compute;
use crate::error::KernelError;
use crate::ranks::{Ranks, Seat};
use crate::reporter::Reporter;
use crate::stop::{Stop, end_at_once};
use crate::training::Ended;

pub(crate) use tinyrun_base::job::LIBTORCH_VERSION;

/// The program `tinyrun-kernel`: does the job on stdin, or serves the rank that its arguments name.
pub fn main() -> ExitCode {
    if let Some(launch) = ranks::launch_of_arguments() {
        return ranks::serve_launch(launch);
    }
    if let Some(measured) = ranks::measurement_of_arguments() {
        return measured;
    }
    if let Some(told) = device::gpus_of_arguments() {
        return told;
    }
    let seat = Seat::of_arguments();
    // The first rank speaks for all.
    let reporter = match seat {
        None => Reporter::to_runner(),
        Some(_) => Reporter::silent(),
    };
    let stop = Stop::on_signals();
    // A panic below is a bug or an error of libtorch: the user gets its sentence, the log its trace.
    let outcome = catch_unwind(AssertUnwindSafe(|| run(seat, &reporter, &stop)));
    match outcome {
        Ok(Ok((Ended::Done { steps }, peak_memory))) => {
            reporter.send(&Event::Done { steps, peak_memory });
            ExitCode::SUCCESS
        }
        Ok(Ok((Ended::Interrupted { step }, _))) => {
            reporter.send(&Event::Interrupted { step });
            ExitCode::from(job::EXIT_INTERRUPTED)
        }
        Ok(Err(error)) => {
            reporter.send(&Event::Failed(error.failure()));
            end_at_once(match error {
                KernelError::LostRanks { .. } | KernelError::Rank { .. } => ranks::EXIT_LOST,
                _ => 1,
            })
        }
        Err(panic) => {
            reporter.send(&Event::Failed(panic_failure(panic.as_ref())));
            end_at_once(1)
        }
    }
}

/// Returns the most memory that a rank has had, in bytes, beside how the work ended.
fn run(seat: Option<Seat>, reporter: &Reporter, stop: &Stop) -> Result<(Ended, u64), KernelError> {
    if let Some(seat) = seat {
        let (job, ranks) = seat.take(stop)?;
        let device = job.device.of(ranks.own().rank);
        return match Compute::resolve(device, job.precision, job.threads) {
            Ok(compute) => work(&job, compute, ranks, reporter, stop),
            Err(error) => {
                ranks.tell(&error.failure());
                ranks.abandon();
                Err(error)
            }
        };
    }
    let job = job_of_runner()?;
    // A prediction reads stdin itself, and ends with it.
    if !matches!(job.work, Work::Predict(_)) {
        stop::die_with_the_runner(stop);
    }
    let _lock = output_lock(&job, reporter, stop)?;
    let compute = Compute::resolve(job.device.of(0), job.precision, job.threads)?;
    if compute.device != tch::Device::Cpu && job.ranks > 1 && job.device.count() == 1 {
        return Err(KernelError::RanksOnGpu { ranks: job.ranks });
    }
    if job.ranks_here == job.ranks {
        device::check(&job.device)?;
    }
    if let Work::Train(train) = &job.work
        && compute.device != tch::Device::Cpu
        && train.data.reduction_leaves > 1
    {
        return Err(KernelError::LeavesOnGpu);
    }
    let ranks = Ranks::of_job(&job, reporter)?;
    work(&job, compute, ranks, reporter, stop)
}

/// The job on stdin.
fn job_of_runner() -> Result<Job, KernelError> {
    // Deserialized up to the closing brace: stdin stays open behind it as the runner's lifeline.
    let mut reader = serde_json::Deserializer::from_reader(std::io::stdin());
    let document = serde_json::Value::deserialize(&mut reader).map_err(KernelError::Job)?;
    drop(reader);
    // The version first: a job of another one may have other fields.
    let version = document.get("version").and_then(serde_json::Value::as_u64);
    if let Some(version) = version.filter(|version| *version != u64::from(job::VERSION)) {
        return Err(KernelError::Version {
            runner: u32::try_from(version).unwrap_or(u32::MAX),
            kernel: job::VERSION,
        });
    }
    Job::deserialize(document).map_err(KernelError::Job)
}

/// Does a job, as one of its ranks.
fn work(
    job: &Job,
    compute: Compute,
    mut ranks: Ranks,
    reporter: &Reporter,
    stop: &Stop,
) -> Result<(Ended, u64), KernelError> {
    ranks.bind(tch::get_num_threads() as usize);
    let ended = catch_unwind(AssertUnwindSafe(|| match &job.work {
        Work::Train(train) => training::train(job, train, compute, reporter, stop, &ranks),
        Work::Evaluate(work) => evaluate::evaluate(job, work, compute, reporter, stop, &ranks),
        Work::Predict(work) => {
            predict::predict(work, compute, BufReader::new(stdin()), reporter, stop)
        }
    }));
    match ended {
        Err(panic) => {
            ranks.tell(&panic_failure(panic.as_ref()));
            // Closing what connects them may wait for work that nobody does any more.
            ranks.abandon();
            resume_unwind(panic)
        }
        Ok(Ok(ended)) => Ok((ended, ranks.finish(peak_memory()))),
        Ok(Err(error)) => {
            let error = ranks.explained(error);
            ranks.abandon();
            Err(error)
        }
    }
}

/// How long is waited for another kernel without a word.
const UNTOLD: Duration = Duration::from_secs(2);

/// How long another kernel may hold the folder: longer than one without a runner lives.
const LOCKED: Duration = stop::GRACE.saturating_add(Duration::from_secs(5));

/// Keeps a second kernel out of the folder: one whose runner was killed may live for a while
/// beside the next run's.
#[expect(
    clippy::disallowed_methods,
    reason = "the lock file is empty; a lock cannot be waited for with a timeout"
)]
fn output_lock(job: &Job, reporter: &Reporter, stop: &Stop) -> Result<File, KernelError> {
    let path = job.output.join(KERNEL_LOCK);
    let file = File::create(&path).map_err(error::io("open", &path))?;
    let since = Instant::now();
    let mut is_told = false;
    while since.elapsed() < LOCKED && !stop.asked() {
        match try_lock(&file) {
            Ok(Locking::Held) => {
                stop.outlive();
                return Ok(file);
            }
            // The runner's own exclusion has to do.
            Ok(Locking::Unsupported) => return Ok(file),
            Ok(Locking::Busy) | Err(_) => {}
        }
        if !is_told && since.elapsed() > UNTOLD {
            is_told = true;
            let message = "waiting for the kernel of an earlier run to write its checkpoint";
            let message = message.to_owned();
            reporter.send(&Event::Warning { message });
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(KernelError::Busy {
        path: job.output.clone(),
    })
}

/// What a panic means for the user.
fn panic_failure(panic: &(dyn std::any::Any + Send)) -> Failure {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("unknown");
    // libtorch appends its C++ stack; the first line is the message.
    let first = text.lines().next().unwrap_or_default();
    // The processor's allocator, the GPU's, and C++ itself.
    let memory = ["not enough memory", "out of memory", "std::bad_alloc"];
    let memory = memory.iter().any(|words| text.contains(words));
    Failure {
        message: format!("internal error in the training kernel: {first} (please report it)"),
        hint: memory.then(|| {
            "set a smaller `batch-size`, or a larger `gradient-accumulation-steps`".to_owned()
        }),
    }
}

/// Largest resident size of this process so far in bytes; 0 where the system does not tell.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    });
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod out_of_memory {
    use super::panic_failure;

    #[test]
    fn is_recognised_with_advice_whoever_ran_out_of_it() {
        let words = [
            "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: not enough memory: you tried to allocate 9000000000 bytes.\nstack",
            "CUDA out of memory. Tried to allocate 2.00 GiB.\nstack",
            "std::bad_alloc",
        ];
        for text in words {
            let failure = panic_failure(&text.to_owned());
            assert!(
                failure
                    .hint
                    .is_some_and(|hint| hint.contains("`batch-size`")),
                "{text}"
            );
            assert!(!failure.message.contains('\n'));
        }
        assert_eq!(panic_failure(&"shapes differ".to_owned()).hint, None);
    }
}
