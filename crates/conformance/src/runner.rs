//! Running one case with its ranks as threads, under a deadline.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use eplb::Patience;
use eplb::device::{Backend, Device, FaultyBackend, StreamPriority};

use crate::board::Board;
use crate::case::Case;
use crate::rank::{check_leaks, run_rank, said};
use crate::scope::Place;

/// How long a device may take for one fill of a few bytes before it counts as stuck.
const PROBE: Duration = Duration::from_secs(5);

/// What a case is run on.
#[derive(Clone, Debug)]
pub(crate) struct Ground {
    pub(crate) backend: Arc<dyn Backend>,
    /// The one device that the user chose.
    pub(crate) device: Option<u32>,
    /// All devices under test.
    pub(crate) ordinals: Arc<[u32]>,
    pub(crate) ranks: u32,
}

/// Waits of a case end a little before the case has to, so that they can tell what they waited for.
pub(crate) fn waits_until(start: Instant, deadline_s: u64) -> Instant {
    start + Duration::from_secs(deadline_s).mul_f64(0.9)
}

/// Runs a case with threads as ranks.
pub(crate) fn run_threads(case: &Arc<Case>, ground: &Ground) -> Result<(), String> {
    let deadline = Duration::from_secs(case.deadline_s);
    let result = under_deadline(deadline, {
        let (case, ground) = (Arc::clone(case), ground.clone());
        move || ranks(&case, &ground)
    });
    result.unwrap_or_else(|NoEnd| {
        let mut text = no_end(case.deadline_s);
        if !answers(ground) {
            text += "; the device does not answer any more, later cases may fail because of it";
        }
        Err(text)
    })
}

pub(crate) fn no_end(deadline_s: u64) -> String {
    format!("no end within {deadline_s} s")
}

fn ranks(case: &Case, ground: &Ground) -> Result<(), String> {
    let faults = FaultyBackend::new(Arc::clone(&ground.backend));
    if let Some(engine) = &case.engine {
        engine.run(faults.backend(), ground.device, ground.ranks)?;
        return check_leaks(&faults);
    }
    let board = Arc::new(Board::default());
    let until = waits_until(Instant::now(), case.deadline_s);
    let place = |rank| Place {
        faults: faults.clone(),
        devices: Arc::clone(&ground.ordinals),
        rank,
        ranks: ground.ranks,
        board: Arc::clone(&board),
        until,
        run: String::new(),
        prefix: String::new(),
        names: [].into(),
    };
    let mut results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..ground.ranks)
            .map(|rank| {
                let place = place(rank);
                scope.spawn(move || run_rank(case, &place))
            })
            .collect();
        let results = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|panic| Err(format!("it panicked: {}", said(&*panic))))
        });
        results.collect::<Vec<_>>()
    });
    if ground.ranks == 1 {
        results.remove(0)?;
    } else if let Some(failed) = board.failure() {
        // The first one that failed; the others failed because of it.
        return Err(failed);
    } else {
        results.into_iter().collect::<Result<(), String>>()?;
    }
    check_leaks(&faults)
}

/// The work has not ended in time; its thread is left alone.
#[derive(Debug)]
pub(crate) struct NoEnd;

/// Runs work on a thread of its own, and gives up on it after the deadline.
pub(crate) fn under_deadline(
    deadline: Duration,
    work: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Result<Result<(), String>, NoEnd> {
    let (ended, end) = channel();
    let thread = std::thread::Builder::new().name("conformance case".to_owned()).spawn(move || {
        // Nobody listens after the deadline.
        let _ = ended.send(work());
    });
    let thread = match thread {
        Ok(thread) => thread,
        Err(error) => return Ok(Err(format!("the system gives no thread: {error}"))),
    };
    match end.recv_timeout(deadline) {
        Ok(result) => {
            // What the thread still drops may take a moment, and must not meet the next case.
            let _ = thread.join();
            Ok(result)
        }
        Err(RecvTimeoutError::Timeout) => Err(NoEnd),
        Err(RecvTimeoutError::Disconnected) => Ok(Err(match thread.join() {
            Err(panic) => format!("it panicked: {}", said(&*panic)),
            Ok(()) => "it ended without a result".to_owned(),
        })),
    }
}

/// Whether the devices still do anything at all.
fn answers(ground: &Ground) -> bool {
    let ground = ground.clone();
    let probe = move || {
        ground.ordinals.iter().try_for_each(|ordinal| {
            let device = Device::open(&ground.backend, *ordinal)?;
            let stream = device.stream(StreamPriority::Normal)?;
            stream.fill(&device.allocate(64)?, 1)?;
            stream.wait(&mut Patience::new(PROBE))
        })
    };
    let probed = under_deadline(2 * PROBE, move || probe().map_err(|error| error.to_string()));
    matches!(probed, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_ends_panics_or_does_not_end_is_told_apart() {
        let long = Duration::from_secs(20);
        assert_eq!(under_deadline(long, || Ok(())).unwrap(), Ok(()));
        let panicked = under_deadline(long, || panic!("on purpose")).unwrap();
        assert_eq!(panicked, Err("it panicked: on purpose".to_owned()));
        let (release, released) = channel::<()>();
        let stuck = under_deadline(Duration::from_millis(10), move || {
            let _ = released.recv();
            Ok(())
        });
        assert!(stuck.is_err());
        drop(release);
    }
}
