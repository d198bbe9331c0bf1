//! A watch over the other ranks. Gloo tells a rank at once that another has died, but only one that speaks with it: one
//! that computes for minutes hears it late, and one that waits for a GPU never, since NCCL waits for the dead.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use tinyrun_base::job::Event;

use super::ending::told;
use super::native::Meeting;
use super::others::Known;
use super::{BETWEEN, EXIT_LOST};
use crate::error::KernelError;
use crate::reporter::Reporter;

/// How long this process has to notice by itself that another has failed, which takes a few seconds
/// (`Ranks::explained`).
const PATIENCE: Duration = Duration::from_secs(10);

/// Watches until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    /// What ends the thread when it is dropped.
    _open: Sender<()>,
}

impl Watch {
    /// Reports the failure of one of the others, and ends this process, where that does not end by itself.
    pub(super) fn start(
        others: &Known,
        (meeting, size): (&Arc<Meeting>, usize),
        reporter: &Reporter,
    ) -> Self {
        let (others, also, reporter) = (others.clone(), others.clone(), reporter.share());
        let meeting = Arc::clone(meeting);
        let failed = move || {
            let failed = others.failed()?;
            // Its own words say more than how its process ended.
            Some(told(&meeting, 1..size, Duration::ZERO).unwrap_or(failed))
        };
        Self::with((BETWEEN, PATIENCE), failed, move |error| {
            reporter.send(&Event::Failed(error.failure()));
            also.end();
            end_at_once(EXIT_LOST);
        })
    }

    /// Asks once in so much time, and tells `end` of a failure after a while.
    fn with(
        (between, patience): (Duration, Duration),
        mut failed: impl FnMut() -> Option<KernelError> + Send + 'static,
        end: impl FnOnce(KernelError) + Send + 'static,
    ) -> Self {
        let (open, is_open) = mpsc::channel::<()>();
        thread::spawn(move || {
            let goes_on = |time| is_open.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
            while goes_on(between) {
                if let Some(error) = failed() {
                    if goes_on(patience) {
                        end(error);
                    }
                    return;
                }
            }
        });
        Self { _open: open }
    }
}

/// Ends this process without what is done at its end: libtorch would wait there for work that nobody does any more.
pub(crate) fn end_at_once(code: u8) -> ! {
    signal_hook::low_level::exit(i32::from(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(60);

    fn dead() -> KernelError {
        let what = "was ended by signal 9".to_owned();
        KernelError::Rank {
            rank: 3,
            what,
            hint: None,
        }
    }

    #[test]
    fn a_process_that_does_not_notice_the_death_of_a_rank_is_ended_with_its_name() {
        let (sender, ended) = mpsc::channel();
        let mut looks = 0;
        let failed = move || {
            looks += 1;
            (looks > 3).then(dead)
        };
        let end = move |error: KernelError| sender.send(error.to_string()).expect("heard");
        let watch = Watch::with((SHORT, SHORT), failed, end);
        let told = ended.recv_timeout(LONG).expect("the watch looks");
        assert!(
            told.contains("rank 3") && told.contains("signal 9"),
            "{told}"
        );
        drop(watch);
    }

    #[test]
    fn one_that_notices_it_ends_by_itself() {
        let (sender, ended) = mpsc::channel();
        let looks = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&looks);
        let failed = move || {
            seen.fetch_add(1, Ordering::Relaxed);
            Some(dead())
        };
        let watch = Watch::with((SHORT, LONG), failed, move |_| {
            let _ = sender.send(());
        });
        while looks.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        drop(watch);
        // Its thread ends, and with it what it would have told.
        let told = ended.recv_timeout(LONG);
        assert_eq!(told, Err(RecvTimeoutError::Disconnected));
    }
}
