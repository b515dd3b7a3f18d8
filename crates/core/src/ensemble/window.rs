//! One window of an ensemble.

use crate::{EnsembleError, ExpertLoad, LayerId};

/// A load window and what it counts for.
#[derive(Clone, Debug, PartialEq)]
pub struct Weighted {
    /// The load; of a representative the sum of the windows that it stands for.
    pub load: ExpertLoad,
    /// How much it counts.
    pub weight: WindowWeight,
}

/// How much a window counts: as one of the recent windows, which fades soon, and as an example of the
/// traffic that the service sees, which fades slowly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowWeight {
    /// Halved every 12 windows.
    recent: f64,
    /// Halved every 512 windows.
    lasting: f64,
    /// Windows that it stands for.
    count: f64,
}

/// 2^(-1/12)
const RECENT_AGEING: f64 = 0.943_874_312_681_694;
/// 2^(-1/512)
const LASTING_AGEING: f64 = 0.998_647_112_890_970_1;
/// What a window counts for as an example, relative to what it counts for as a recent one.
const LASTING_PART: f64 = 1.0 / 256.0;

/// What is left of a recent window's weight when the traffic shifts.
const OUTDATED_PART: f64 = 0.4;

impl WindowWeight {
    /// That of a window just seen.
    pub const NEW: Self = Self { recent: 1.0, lasting: 1.0, count: 1.0 };

    /// Most windows that a weight can stand for: those that `f64` counts one by one.
    pub const MOST_COUNT: f64 = 9_007_199_254_740_992.0;

    /// The weight of these parts, as they were read from a profile.
    ///
    /// # Errors
    /// A part that is not from 0 to [`WindowWeight::MOST_COUNT`], or a `count` below 1.
    pub fn from_parts(recent: f64, lasting: f64, count: f64) -> Result<Self, EnsembleError> {
        let parts = [("recent", recent, 0), ("lasting", lasting, 0), ("count", count, 1)];
        for (name, value, least) in parts {
            // Written so that NaN is refused.
            if !(value >= f64::from(least) && value <= Self::MOST_COUNT) {
                return Err(EnsembleError::Weight { name, value: value.to_string(), least });
            }
        }
        Ok(Self { recent, lasting, count })
    }

    /// What it counts for as one of the recent windows, 1 when it was just seen.
    pub fn recent(&self) -> f64 {
        self.recent
    }

    /// What it counts for as an example of the traffic, 1 when it was just seen.
    pub fn lasting(&self) -> f64 {
        self.lasting
    }

    /// The weight, relative to 1 for a window just seen.
    pub fn value(&self) -> f64 {
        (self.recent + LASTING_PART * self.lasting) / (1.0 + LASTING_PART)
    }

    /// Windows that it stands for.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// The traffic has changed: it is an example still, and hardly recent.
    pub(super) fn outdate(&mut self) {
        self.recent *= OUTDATED_PART;
    }

    pub(super) fn age(&mut self) {
        self.recent *= RECENT_AGEING;
        self.lasting *= LASTING_AGEING;
    }
}

impl Weighted {
    /// Stands for the other one's windows too.
    pub(super) fn unite(&mut self, other: &Self) {
        self.load.add_saturating(&other.load);
        let (weight, more) = (&mut self.weight, other.weight);
        weight.recent += more.recent;
        weight.lasting += more.lasting;
        weight.count += more.count;
    }
}

/// Squared distance of two loads of one model, each layer's counts as parts of their sum.
pub(super) fn squared_distance(one: &ExpertLoad, other: &ExpertLoad) -> f64 {
    one.shape().layer_ids().map(|layer| layer_distance(one, other, layer)).sum()
}

/// Counts are handled in groups of this many, side by side.
const LANES: usize = 8;

fn layer_distance(one: &ExpertLoad, other: &ExpertLoad, layer: LayerId) -> f64 {
    let (one, other) = (one.layer(layer), other.layer(layer));
    let part_of = |row: &[u64]| 1.0 / (row.iter().sum::<u64>() as f64).max(1.0);
    let (one_part, other_part) = (part_of(one), part_of(other));
    let square = |one: u64, other: u64| {
        let difference = one as f64 * one_part - other as f64 * other_part;
        difference * difference
    };
    // Lane by lane, then the lanes: fast, and the same order on every machine.
    let mut sums = [0.0; LANES];
    for (one, other) in one.chunks(LANES).zip(other.chunks(LANES)) {
        for ((sum, &one), &other) in sums.iter_mut().zip(one).zip(other) {
            *sum += square(one, other);
        }
    }
    sums.iter().sum()
}
