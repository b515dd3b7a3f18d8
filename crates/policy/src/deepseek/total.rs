//! A number with a total order.

use std::cmp::Ordering;

/// A float as a key of ordered collections. Only finite numbers from +0 and +∞ come here, on which
/// the order is that of the numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Total(pub(super) f32);

impl Ord for Total {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Total {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Total {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Total {}
