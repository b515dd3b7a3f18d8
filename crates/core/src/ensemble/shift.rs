//! Shifts of the traffic: windows that are not like the ones before.

use std::collections::VecDeque;

use crate::ExpertLoad;

use super::window::squared_distance;

/// A window is compared with so many before it, added up.
const BEFORE: usize = 4;
/// Distances remembered, to know what is usual.
const REMEMBERED: usize = 16;
/// With fewer distances nothing is known to be usual.
const FEWEST: usize = 8;
/// A window is a shift when it is this many times as far from those before it as any of late.
const UNUSUAL: f64 = 2.5;
/// By so much at most a single window raises what is usual.
const MOST_RISE: f64 = 1.25;
/// After a shift the windows before the next ones are of both kinds of traffic.
const QUIET: usize = 4;

/// Watches for shifts: changes of the traffic that are much larger than those from window to window.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ShiftWatch {
    /// Squared distances of windows from those before them, oldest first.
    distances: VecDeque<f64>,
    quiet: usize,
}

impl ShiftWatch {
    /// Whether `next` begins another kind of traffic than that of the recent windows, newest last.
    pub(super) fn is_shift<'a>(
        &mut self,
        recent: impl DoubleEndedIterator<Item = &'a ExpertLoad>,
        next: &ExpertLoad,
    ) -> bool {
        let mut before = recent.rev().take(BEFORE);
        let Some(mut sum) = before.next().cloned() else { return false };
        for load in before {
            sum.add_saturating(load);
        }
        let distance = squared_distance(&sum, next);
        let usual = self.distances.iter().copied().fold(0.0, f64::max);
        let is_known = self.distances.len() >= FEWEST;
        if self.distances.len() == REMEMBERED {
            self.distances.pop_front();
        }
        let most = if is_known { MOST_RISE * usual } else { f64::INFINITY };
        self.distances.push_back(distance.min(most));
        if self.quiet > 0 {
            self.quiet -= 1;
            return false;
        }
        let is_shift = is_known && distance > UNUSUAL * usual;
        if is_shift {
            self.quiet = QUIET;
        }
        is_shift
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelShape;

    fn load(row: [u64; 3]) -> ExpertLoad {
        ExpertLoad::from_rows(ModelShape::new(1, 3, 1).unwrap(), &[row.to_vec()]).unwrap()
    }

    /// Pushes windows one by one; the places of those that are shifts.
    fn shifts(windows: impl Iterator<Item = [u64; 3]>) -> Vec<usize> {
        let (mut watch, mut seen, mut found) = (ShiftWatch::default(), Vec::new(), Vec::new());
        for (index, row) in windows.enumerate() {
            let next = load(row);
            if watch.is_shift(seen.iter(), &next) {
                found.push(index);
            }
            seen.push(next);
        }
        found
    }

    #[test]
    fn a_jump_is_a_shift_and_noise_is_none() {
        let noisy = |base: [u64; 3], index: u64| {
            [base[0] + 7 * (index % 3), base[1] + 5 * (index % 2), base[2] + 3 * (index % 5)]
        };
        let jump = (0..40).map(|index| match index {
            0..20 => noisy([600, 300, 100], index),
            _ => noisy([100, 300, 600], index),
        });
        assert_eq!(shifts(jump), [20]);
        assert!(shifts((0..40).map(|index| noisy([600, 300, 100], index))).is_empty());
        // Slow drift is usual.
        assert!(shifts((0..60).map(|index| [600 - 8 * index, 300, 100 + 8 * index])).is_empty());
    }

    #[test]
    fn the_first_windows_are_no_shift() {
        let windows = (0..FEWEST as u64).map(|index| [1 + 100 * (index % 2), 50, 50]);
        assert!(shifts(windows).is_empty());
    }
}
