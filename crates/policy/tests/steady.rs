//! Traffic that does not change: whatever sampling shows in a window, nothing moves.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use eplb_core::{
    Ensemble, EnsembleSettings, Estimator, ExpertLoad, LayerId, ModelShape, Placement, Topology,
};
use eplb_policy::{Budget, PlanRequest, Policy, Robust, plan};

const LAYERS: u32 = 4;
const EXPERTS: u32 = 256;

/// Windows until the traffic is known, planned for after every few of them.
const LEARNED: usize = 64;
const PLANNED_EVERY: usize = 8;

/// Windows after that, planned for after every one.
const STEADY: usize = 96;

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Nearly log-normal: a product of six factors between 1/2 and 3/2.
    fn skewed(&mut self) -> u64 {
        (0..6).fold(1 << 20, |tokens, _| tokens * (128 + self.next() % 256) / 256)
    }

    /// A count with this mean and, nearly, the variance of a Poisson distribution: a sum of twelve
    /// even numbers in 65536ths has a variance of 1. Integers only, so that the same counts arise
    /// everywhere.
    fn count(&mut self, mean: u64) -> u64 {
        let sum: u64 = (0..12).map(|_| self.next() >> 48).sum();
        let deviation = (mean << 16).isqrt() as i64 * (sum as i64 - (6 << 16)) / (1 << 24);
        mean.saturating_add_signed(deviation)
    }
}

/// Expected counts of each layer's experts, `counts` in all.
fn means(random: &mut Random, counts: u64) -> Vec<Vec<u64>> {
    let layer = |_| {
        let parts: Vec<u64> = (0..EXPERTS).map(|_| random.skewed()).collect();
        let sum: u64 = parts.iter().sum();
        parts.iter().map(|part| part * counts / sum).collect()
    };
    (0..LAYERS).map(layer).collect()
}

fn sample(random: &mut Random, shape: ModelShape, means: &[Vec<u64>]) -> ExpertLoad {
    let mut rows = Vec::new();
    for layer in means {
        rows.push(layer.iter().map(|&mean| random.count(mean)).collect::<Vec<_>>());
    }
    ExpertLoad::from_rows(shape, &rows).unwrap()
}

/// Slots that moved while the traffic became known, and after that.
fn moves(counts: u64) -> (usize, usize) {
    let shape = ModelShape::new(LAYERS, EXPERTS, 1).unwrap();
    let topology = Topology::uniform(32, 9, 4).unwrap();
    let robust = Robust::default();
    assert_eq!(robust.estimator(), Estimator::Ensemble);
    let mut random = Random(counts);
    let means = means(&mut random, counts);
    let layers: Vec<LayerId> = shape.layer_ids().collect();
    let mut ensemble = Ensemble::new(shape, EnsembleSettings::default()).unwrap();
    let mut present = Placement::initial(shape, &topology).unwrap();
    let (mut early, mut late) = (0, 0);
    for window in 1..=LEARNED + STEADY {
        ensemble.push(sample(&mut random, shape, &means)).unwrap();
        if window <= LEARNED && !window.is_multiple_of(PLANNED_EVERY) {
            continue;
        }
        let estimate = robust.estimator().estimate(&ensemble);
        let request = PlanRequest {
            shape,
            topology: &topology,
            windows: &estimate.windows,
            weights: &estimate.weights,
            present: Some(&present),
            layers: &layers,
            budget: Budget::default(),
        };
        for plan in plan(&robust, &request).unwrap() {
            let moved = plan.moved_slots.unwrap();
            *(if window <= LEARNED { &mut early } else { &mut late }) += moved;
            present.set_layer(plan.layer, plan.placement);
        }
    }
    (early, late)
}

fn check(counts: u64) {
    let (early, late) = moves(counts);
    assert!(early > 100, "{counts} counts a layer: only {early} slots moved to begin with");
    assert_eq!(late, 0, "{counts} counts a layer: slots moved though the traffic is known");
}

#[test]
fn nothing_moves_at_800_thousand_counts() {
    check(800_000);
}

#[test]
fn nothing_moves_at_8_million_counts() {
    check(8_000_000);
}

#[test]
fn nothing_moves_at_80_million_counts() {
    check(80_000_000);
}

#[test]
fn nothing_moves_at_800_million_counts() {
    check(800_000_000);
}
