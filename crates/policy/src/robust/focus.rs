//! The few windows that a rank's cost hangs on.

use super::cost::{LANES, dot};

/// The windows in which a rank is most loaded, its loads there, and how its cost rises in the others.
/// Eighth powers are steep: the cost of a change in these few windows, and at first order in the
/// others, tells which changes are worth computing.
#[derive(Clone, Debug)]
pub(super) struct Focus {
    windows: [u32; LANES],
    loads: [f32; LANES],
    cost: f32,
    slowness: f32,
    /// As the rank's slopes, and 0 in the windows above.
    rest: Vec<f32>,
}

impl Focus {
    pub(super) fn new(loads: &[f32], slopes: &[f32], slowness: f32) -> Self {
        let mut order: Vec<u32> = (0..loads.len() as u32).collect();
        let by_load = |&one: &u32, &other: &u32| {
            loads[other as usize].total_cmp(&loads[one as usize]).then(one.cmp(&other))
        };
        if order.len() > LANES {
            order.select_nth_unstable_by(LANES, by_load);
            order[..LANES].sort_unstable();
        }
        let mut focus = Self {
            windows: [0; LANES],
            loads: [0.0; LANES],
            cost: 0.0,
            slowness,
            rest: slopes.to_vec(),
        };
        for (lane, &window) in order.iter().take(LANES).enumerate() {
            focus.windows[lane] = window;
            focus.loads[lane] = loads[window as usize];
            focus.rest[window as usize] = 0.0;
        }
        focus.cost = eighths(focus.loads);
        focus
    }

    /// What an expert's load is to this rank.
    pub(super) fn view(&self, share: &[f32]) -> View {
        let mut lanes = [0.0; LANES];
        for (lane, &window) in lanes.iter_mut().zip(&self.windows) {
            *lane = share[window as usize] * self.slowness;
        }
        View { lanes, rest: dot(&self.rest, share) }
    }

    /// By about how much the rank's cost falls when one load leaves and another one comes.
    pub(super) fn gain(&self, leaves: &View, comes: &View) -> f32 {
        let mut loads = self.loads;
        for ((load, comes), leaves) in loads.iter_mut().zip(&comes.lanes).zip(&leaves.lanes) {
            *load += comes - leaves;
        }
        self.cost - eighths(loads) + leaves.rest - comes.rest
    }
}

/// A load as one rank sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct View {
    lanes: [f32; LANES],
    rest: f32,
}

fn eighths(loads: [f32; LANES]) -> f32 {
    let mut costs = [0.0; LANES];
    for lane in 0..LANES {
        let square = loads[lane] * loads[lane];
        let fourth = square * square;
        costs[lane] = fourth * fourth;
    }
    costs.iter().fold(0.0, |sum, cost| sum + cost)
}
