//! A watch over the other ranks. Gloo tells a rank at once that another has died, but only one that speaks with it: one
//! that computes for minutes hears it late, and one that waits for a GPU never, since NCCL waits for the dead.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use tinyrun_base::job::Event;

use super::ending::{end_of, told};
use super::native::Meeting;
use super::others::Known;
use super::{BETWEEN, EXIT_LOST};
use crate::error::KernelError;
use crate::reporter::Reporter;
use crate::stop::end_at_once;

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
    /// Reports the failure of one of the others, and ends this process, where that does not end by itself. `meeting` is a
    /// connection of the watch's own: that of the first rank is busy while it waits for a key.
    pub(super) fn start(
        others: &Known,
        meeting: Meeting,
        size: usize,
        reporter: &Reporter,
    ) -> Self {
        let (others, also, reporter) = (others.clone(), others.clone(), reporter.share());
        let failed = move || failed(&others, &meeting, size);
        Self::with((BETWEEN, PATIENCE), failed, move |error| {
            reporter.send(&Event::Failed(error.failure()));
            also.kill();
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

/// Why one of the others will not do its work.
fn failed(others: &Known, meeting: &Meeting, size: usize) -> Option<KernelError> {
    // How a process ends whose work is done does not matter.
    let is_done = |rank| matches!(meeting.wait_for(&end_of(rank), Duration::ZERO), Ok(Some(_)));
    let mut ended = others.ended().into_iter();
    let Some(ended) = ended.find(|it| !it.is_well && !is_done(it.rank)) else {
        // It may have told why, and hang in libtorch on its way out.
        return told(meeting, 1..size, Duration::ZERO);
    };
    // Its own words say more than how its process ended; a victim's say less than those of whom it lost.
    let speakers = if ended.is_victim {
        1..size
    } else {
        ended.rank..ended.rank + 1
    };
    let told = told(meeting, speakers, Duration::ZERO);
    Some(told.unwrap_or_else(|| ended.error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const SHORT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_mins(1);

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
