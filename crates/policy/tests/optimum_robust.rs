//! How far `robust` and `greedy` are from the best placement there is, by enumeration of tiny layers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/cases.rs"]
mod cases;

use cases::Case;
use eplb_core::{ExpertId, ExpertLoad, ModelShape, NodeId, RankSpec, Topology};
use eplb_policy::{Budget, Greedy, MovePrice, Policy, Robust};

/// A tiny layer, and how far above the least possible largest rank load plans for it may be.
struct Tiny {
    experts: usize,
    slots: &'static [u32],
    robust: f64,
    greedy: f64,
}

const fn tiny(experts: usize, slots: &'static [u32], robust: f64, greedy: f64) -> Tiny {
    Tiny { experts, slots, robust, greedy }
}

/// `robust` stays within a tenth of the best placement that puts no expert twice on a rank; `greedy` is
/// bound by what it reaches.
const TINY: [Tiny; 12] = [
    tiny(3, &[2, 2], 1.10, 1.50),
    tiny(4, &[3, 3], 1.10, 1.34),
    tiny(6, &[4, 4], 1.10, 1.34),
    tiny(3, &[2, 2, 2], 1.10, 1.25),
    tiny(4, &[2, 2, 2], 1.10, 1.60),
    tiny(5, &[2, 2, 2], 1.10, 1.50),
    tiny(6, &[2, 2, 2], 1.10, 1.00),
    tiny(4, &[3, 3, 3], 1.10, 1.17),
    tiny(5, &[3, 3, 3], 1.10, 1.34),
    tiny(6, &[3, 3, 3], 1.10, 1.29),
    tiny(6, &[4, 3, 2], 1.10, 1.34),
    tiny(5, &[5, 3, 1], 1.10, 1.78),
];

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

    /// Loads as they come: alike, skewed, bursty, tied.
    fn row(&mut self, experts: usize) -> Vec<u64> {
        let kind = self.next() % 4;
        let mut tokens = || match kind {
            0 => 500 + self.next() % 1_000,
            1 => (0..6).fold(1 << 12, |tokens, _| tokens * (128 + self.next() % 256) / 256),
            2 if self.next().is_multiple_of(4) => 1_000 + self.next() % 9_000,
            2 => self.next() % 500,
            _ => 100 * (self.next() % 4),
        };
        (0..experts).map(|_| tokens()).collect()
    }
}

/// A way to fill the slots: for each rank how many replicas of each expert it holds, for each expert
/// how many there are.
struct Filling {
    held: Vec<Vec<u8>>,
    counts: Vec<u8>,
}

impl Filling {
    fn of_table(table: &[ExpertId], slots: &[u32], experts: usize) -> Self {
        let mut rest = table;
        let mut held = Vec::new();
        for &slots in slots {
            let (rank, others) = rest.split_at(slots as usize);
            rest = others;
            let count = |expert: usize| rank.iter().filter(|held| held.index() == expert).count();
            held.push((0..experts).map(|expert| count(expert) as u8).collect());
        }
        Self::new(held)
    }

    fn new(held: Vec<Vec<u8>>) -> Self {
        let experts = held[0].len();
        let counts = (0..experts).map(|expert| held.iter().map(|rank| rank[expert]).sum());
        Self { counts: counts.collect(), held }
    }

    /// Load of each rank, every replica taking an equal share.
    fn loads<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        let load = |(expert, &held): (usize, &u8)| {
            f64::from(held) * row[expert] / f64::from(self.counts[expert])
        };
        self.held.iter().map(move |rank| rank.iter().enumerate().map(load).sum())
    }

    fn peak(&self, row: &[f64]) -> f64 {
        self.loads(row).fold(0.0, f64::max)
    }

    /// The sum over windows and ranks of (load / mean rank load)^8.
    fn cost(&self, rows: &[Vec<f64>]) -> f64 {
        let window = |row: &Vec<f64>| {
            let mean = row.iter().sum::<f64>() / self.held.len() as f64;
            self.loads(row).map(|load| (load / mean).powi(8)).sum::<f64>()
        };
        rows.iter().map(window).sum()
    }
}

/// All ways to fill one rank.
fn rank_fillings(experts: usize, slots: u32) -> Vec<Vec<u8>> {
    let mut all = vec![vec![]];
    for expert in 0..experts {
        let mut longer = Vec::new();
        for filling in &all {
            let used: u8 = filling.iter().sum();
            let most = slots as u8 - used;
            let least = if expert + 1 == experts { most } else { 0 };
            for held in least..=most {
                let mut filling: Vec<u8> = filling.clone();
                filling.push(held);
                longer.push(filling);
            }
        }
        all = longer;
    }
    all
}

/// All ways to fill all ranks that place every expert; equal ranks in one order only.
fn fillings(experts: usize, slots: &[u32]) -> Vec<Filling> {
    let mut all: Vec<Vec<Vec<u8>>> = vec![vec![]];
    for (rank, &count) in slots.iter().enumerate() {
        let mut longer = Vec::new();
        for before in &all {
            for filling in rank_fillings(experts, count) {
                let ordered = rank == 0 || slots[rank - 1] != count || before[rank - 1] <= filling;
                if ordered {
                    longer.push(before.iter().cloned().chain([filling]).collect());
                }
            }
        }
        all = longer;
    }
    let all = all.into_iter().map(Filling::new);
    let is_apart = |filling: &Filling| filling.held.iter().flatten().all(|&held| held < 2);
    all.filter(|filling| !filling.counts.contains(&0) && is_apart(filling)).collect()
}

/// What plans cost, relative to the best placement.
#[derive(Default)]
struct Ratios {
    worst: f64,
    /// Where the worst one was found.
    case: String,
}

impl Ratios {
    fn add(&mut self, ratio: f64, case: impl Fn() -> String) {
        if ratio > self.worst {
            (self.worst, self.case) = (ratio, case());
        }
    }
}

/// Plans `loads` random layers, each with so many windows, from nothing. One window's cost is the
/// largest rank load, several windows' the eighth root of the cost that `robust` makes small.
fn ratios(policy: &dyn Policy, tiny: &Tiny, windows: usize, loads: usize) -> Ratios {
    let Tiny { experts, slots, .. } = *tiny;
    let fillings = fillings(experts, slots);
    let shape = ModelShape::new(1, experts as u32, 1).unwrap();
    let ranks = slots.iter().map(|&slots| RankSpec::new(NodeId(0), slots)).collect();
    let topology = Topology::new(ranks).unwrap();
    let mut random = Random(1);
    let mut ratios = Ratios::default();
    for _ in 0..loads {
        let mut rows: Vec<_> = (0..windows).map(|_| random.row(experts)).collect();
        rows.retain(|row| row.iter().any(|&tokens| tokens > 0));
        if rows.is_empty() {
            continue;
        }
        let load = |row: &Vec<u64>| ExpertLoad::from_rows(shape, &[row]).unwrap();
        let case = Case {
            shape,
            topology: topology.clone(),
            windows: rows.iter().map(load).collect(),
            weights: vec![],
            present: None,
            budget: Budget::default(),
        };
        let plans = case.plan(policy).unwrap();
        let table = plans[0].placement.experts();
        let float = |row: &Vec<u64>| row.iter().map(|&tokens| tokens as f64).collect();
        let floats: Vec<Vec<f64>> = rows.iter().map(float).collect();
        let price = |filling: &Filling| match windows {
            1 => filling.peak(&floats[0]),
            _ => filling.cost(&floats).powf(0.125),
        };
        let found = price(&Filling::of_table(table, slots, experts));
        let least = fillings.iter().map(price).fold(f64::INFINITY, f64::min);
        let ratio = found / least;
        // On ranks of different sizes packing may put an expert twice on a large one.
        let found = Filling::of_table(table, slots, experts);
        let is_apart = found.held.iter().flatten().all(|&held| held < 2);
        assert!(ratio > 1.0 - 1e-9 || !is_apart, "the enumeration misses {table:?}");
        ratios.add(ratio, || format!("{slots:?} slots, load {rows:?}: {table:?}"));
    }
    ratios
}

fn free() -> Robust {
    Robust { price: MovePrice::FREE, ..Robust::default() }
}

#[test]
fn robust_is_near_the_best_for_one_window() {
    for tiny in &TINY {
        let ratios = ratios(&free(), tiny, 1, 500);
        assert!(ratios.worst <= tiny.robust + 1e-9, "{}: {}", ratios.worst, ratios.case);
    }
}

#[test]
fn robust_is_the_best_for_several_windows() {
    for (windows, loads) in [(3, 100), (8, 40)] {
        for tiny in TINY.iter().filter(|tiny| tiny.slots != [5, 3, 1]) {
            let ratios = ratios(&free(), tiny, windows, loads);
            assert!(ratios.worst <= 1.0 + 1e-4, "{}: {}", ratios.worst, ratios.case);
        }
    }
}

#[test]
fn greedy_is_as_near_the_best_as_it_was() {
    for tiny in &TINY {
        let ratios = ratios(&Greedy::default(), tiny, 1, 500);
        assert!(ratios.worst <= tiny.greedy + 1e-9, "{}: {}", ratios.worst, ratios.case);
    }
}
