//! Time as the state machines see it.

use std::time::Duration;

/// A point in time: nanoseconds since a start that the caller chose and never changes. The state
/// machines only compare timestamps of one source and add to them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// The time `duration` later; at the end of time it stays there.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanoseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addition_ends_at_the_end_of_time() {
        assert_eq!(Timestamp(5).plus(Duration::from_nanos(7)), Timestamp(12));
        assert_eq!(Timestamp(5).plus(Duration::MAX), Timestamp(u64::MAX));
    }
}
