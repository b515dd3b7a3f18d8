//! What became of the readings.

/// What a [`super::Collector`] has done since it began. Every reading that was due is in one of the
/// numbers, or still under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadFigures {
    /// Readings that arrived and were given out.
    pub collected: u64,
    /// Readings left out because as many as the ring is long were under way.
    pub dropped: u64,
    /// Readings thrown away because the one before was lost, or there was none before: they only tell
    /// where the counters stand.
    pub baselines: u64,
    /// Readings that held no counts (negative, falling or absurdly large numbers).
    pub impossible: u64,
    /// Readings that a call of the device failed for.
    pub failed: u64,
}
