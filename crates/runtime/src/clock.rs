//! The clock, and waiting with an end.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use eplb_device::{Expired, Wait};
use eplb_manager::Timestamp;

/// Tells the manager what time it is. Deadlines and intervals are measured on it.
pub trait Clock: Send + Sync + Debug {
    /// The time since a start that stays the same.
    fn now(&self) -> Timestamp;
}

/// The system's monotonic clock, from the moment it was made.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

/// A clock that stands until it is set forward: for replays in virtual time and for tests.
#[derive(Debug, Default)]
pub struct ManualClock {
    nanoseconds: AtomicU64,
}

impl SystemClock {
    /// A clock that starts now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::default().plus(self.start.elapsed())
    }
}

impl ManualClock {
    /// A clock at its start.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the clock forward.
    pub fn advance(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.nanoseconds.load(Ordering::Relaxed))
    }
}

/// Waits by short naps on the system's clock, until a deadline.
#[derive(Debug)]
pub struct Patience {
    until: Instant,
    nap: Duration,
}

impl Patience {
    const SHORTEST_NAP: Duration = Duration::from_micros(20);
    const LONGEST_NAP: Duration = Duration::from_millis(1);

    /// Patience for `limit` from now on.
    pub fn new(limit: Duration) -> Self {
        Self { until: Instant::now() + limit, nap: Self::SHORTEST_NAP }
    }
}

impl Wait for Patience {
    fn pause(&mut self) -> Result<(), Expired> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Expired);
        }
        std::thread::sleep(self.nap.min(left));
        self.nap = (self.nap * 2).min(Self::LONGEST_NAP);
        Ok(())
    }
}
