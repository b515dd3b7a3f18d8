//! One window of an ensemble.

use crate::{ExpertLoad, LayerId};

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
    /// Halved every 16 windows.
    recent: f64,
    /// Halved every 512 windows.
    lasting: f64,
    /// Windows that it stands for.
    count: f64,
}

/// 2^(-1/16)
const RECENT_AGEING: f64 = 0.957_603_280_698_573_7;
/// 2^(-1/512)
const LASTING_AGEING: f64 = 0.998_647_112_890_970_1;
/// What a window counts for as an example, relative to what it counts for as a recent one.
const LASTING_PART: f64 = 1.0 / 256.0;

impl WindowWeight {
    /// That of a window just seen.
    pub const NEW: Self = Self { recent: 1.0, lasting: 1.0, count: 1.0 };

    /// The weight, relative to 1 for a window just seen.
    pub fn value(&self) -> f64 {
        (self.recent + LASTING_PART * self.lasting) / (1.0 + LASTING_PART)
    }

    /// Windows that it stands for.
    pub fn count(&self) -> f64 {
        self.count
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

fn layer_distance(one: &ExpertLoad, other: &ExpertLoad, layer: LayerId) -> f64 {
    let (one, other) = (one.layer(layer), other.layer(layer));
    let part_of = |row: &[u64]| 1.0 / (row.iter().sum::<u64>() as f64).max(1.0);
    let (one_part, other_part) = (part_of(one), part_of(other));
    one.iter().zip(other).fold(0.0, |sum, (&one, &other)| {
        let difference = one as f64 * one_part - other as f64 * other_part;
        sum + difference * difference
    })
}
