//! What a rank's loads cost: the sum of their eighth powers over all windows.

/// Windows are handled in groups of this many, side by side.
pub(super) const LANES: usize = 8;

/// The eighth root, exact to rounding on every machine.
pub(super) fn eighth_root(value: f32) -> f32 {
    value.sqrt().sqrt().sqrt()
}

/// The eighth power.
fn eighth(value: f32) -> f32 {
    let square = value * value;
    let fourth = square * square;
    fourth * fourth
}

/// What a rank with the given loads costs.
pub(super) fn cost(loads: &[f32]) -> f32 {
    sum_lanes(loads.chunks_exact(LANES).map(|lanes| {
        let mut costs = [0.0; LANES];
        for (cost, &load) in costs.iter_mut().zip(lanes) {
            *cost = eighth(load);
        }
        costs
    }))
}

/// What a rank costs when its loads change by `factor` times (`plus` − `minus`).
pub(super) fn cost_with(loads: &[f32], plus: &[f32], minus: &[f32], factor: f32) -> f32 {
    let chunks =
        loads.chunks_exact(LANES).zip(plus.chunks_exact(LANES)).zip(minus.chunks_exact(LANES));
    sum_lanes(chunks.map(|((loads, plus), minus)| {
        let mut costs = [0.0; LANES];
        for lane in 0..LANES {
            costs[lane] = eighth(loads[lane] + (plus[lane] - minus[lane]) * factor);
        }
        costs
    }))
}

/// Writes by how much the cost of a rank with the given loads rises with the load of each window, per
/// unit of load that comes to it; `factor` is what such a unit adds to its loads.
pub(super) fn fill_slopes(loads: &[f32], factor: f32, slopes: &mut [f32]) {
    for (slope, load) in slopes.iter_mut().zip(loads) {
        let square = load * load;
        *slope = 8.0 * square * square * square * load * factor;
    }
}

/// The sum of the products.
pub(super) fn dot(one: &[f32], other: &[f32]) -> f32 {
    let chunks = one.chunks_exact(LANES).zip(other.chunks_exact(LANES));
    sum_lanes(chunks.map(|(one, other)| {
        let mut products = [0.0; LANES];
        for lane in 0..LANES {
            products[lane] = one[lane] * other[lane];
        }
        products
    }))
}

/// Adds up lane by lane, then the lanes: the same order on every machine.
fn sum_lanes(chunks: impl Iterator<Item = [f32; LANES]>) -> f32 {
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += value;
        }
    }
    sums.iter().fold(0.0, |sum, &lane| sum + lane)
}
