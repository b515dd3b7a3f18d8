//! Samples and what is said of them.

use serde::Serialize;

/// Times of one thing, measured again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Times {
    pub(super) samples: usize,
    pub(super) median_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) min_ns: u64,
    pub(super) max_ns: u64,
}

impl Times {
    /// Nothing but zeros if there is no sample.
    pub(super) fn of(mut samples: Vec<u64>) -> Self {
        samples.sort_unstable();
        let at = |thousandths: usize| {
            // The smallest sample that so many thousandths of all samples don't exceed.
            let rank = (samples.len() * thousandths).div_ceil(1_000);
            samples.get(rank.saturating_sub(1)).copied().unwrap_or(0)
        };
        Self {
            samples: samples.len(),
            median_ns: at(500),
            p99_ns: at(990),
            min_ns: at(0),
            max_ns: at(1_000),
        }
    }
}

/// The median, of an even number of values the mean of the two in the middle; 0 of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count.is_multiple_of(2) => (values[count / 2 - 1] + values[count / 2]) / 2.0,
        count => values[count / 2],
    }
}

/// Bytes over nanoseconds are gigabytes (10^9) over seconds.
pub(super) fn gb_per_s(bytes: u64, nanoseconds: f64) -> f64 {
    if nanoseconds > 0.0 { bytes as f64 / nanoseconds } else { 0.0 }
}

/// `part / whole`, 0 where that says nothing.
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

pub(super) fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let times = Times::of((1..=200).rev().collect());
        let expected = Times { samples: 200, median_ns: 100, p99_ns: 198, min_ns: 1, max_ns: 200 };
        assert_eq!(times, expected);
        assert_eq!(Times::of(vec![7]).p99_ns, 7);
        assert_eq!(Times::of(Vec::new()), Times::default());
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(Vec::new()), 0.0);
    }

    #[test]
    fn rates_and_ratios_of_nothing_are_zero() {
        assert_eq!(gb_per_s(44_000, 1_000.0), 44.0);
        assert_eq!((gb_per_s(1, 0.0), ratio(1.0, 0.0)), (0.0, 0.0));
    }
}
