//! How alike two loads of a layer are.

/// The cosine of the angle between two loads, 0 to 1: 1 for loads of the same proportions, whatever
/// their size.
///
/// It is exactly 1 if, and only if, one load is an exact multiple of the other (checked in integers),
/// so a load that only scales never falls below any threshold, and a threshold of 1 catches every
/// other change. Two loads without a token are alike; a load without a token is unlike any other (0).
/// Other values are computed in `f64` in index order, the same on every machine. Counts past the end
/// of the shorter slice count as 0.
pub fn cosine_similarity(left: &[u64], right: &[u64]) -> f64 {
    let length = left.len().max(right.len());
    let pairs = || (0..length).map(|index| (at(left, index), at(right, index)));
    let left_empty = left.iter().all(|&count| count == 0);
    let right_empty = right.iter().all(|&count| count == 0);
    match (left_empty, right_empty) {
        (true, true) => return 1.0,
        (false, false) => {}
        _ => return 0.0,
    }
    // The ratio of one pair that is not 0:0 must be the ratio of all.
    let (first_left, first_right) = pairs().find(|&pair| pair != (0, 0)).unwrap_or((0, 0));
    let proportional = pairs().all(|(left, right)| {
        u128::from(left) * u128::from(first_right) == u128::from(right) * u128::from(first_left)
    });
    if proportional && first_left > 0 && first_right > 0 {
        return 1.0;
    }
    let (mut product, mut left_square, mut right_square) = (0.0f64, 0.0f64, 0.0f64);
    for (left, right) in pairs() {
        let (left, right) = (left as f64, right as f64);
        product += left * right;
        left_square += left * left;
        right_square += right * right;
    }
    let cosine = product / (left_square.sqrt() * right_square.sqrt());
    // Rounding must not make loads equal that are not.
    cosine.clamp(0.0, 1.0f64.next_down())
}

fn at(counts: &[u64], index: usize) -> u64 {
    counts.get(index).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multiples_are_exactly_alike() {
        let load = [3, 0, 7, 1_000_003, 11];
        for factor in [1, 2, 3, 7, 1_000_000_007] {
            let scaled: Vec<u64> = load.iter().map(|count| count * factor).collect();
            assert_eq!(cosine_similarity(&load, &scaled), 1.0);
            assert_eq!(cosine_similarity(&scaled, &load), 1.0);
        }
        // No whole multiple of each other, but of the same proportions.
        assert_eq!(cosine_similarity(&[2, 4, 6], &[3, 6, 9]), 1.0);
    }

    #[test]
    fn the_smallest_change_shows() {
        let load = [1 << 60, 1 << 60, 1 << 60];
        let changed = [(1 << 60) + 1, 1 << 60, 1 << 60];
        assert!(cosine_similarity(&load, &changed) < 1.0);
    }

    #[test]
    fn right_angles_and_empty_loads() {
        assert_eq!(cosine_similarity(&[1, 0], &[0, 1]), 0.0);
        assert_eq!(cosine_similarity(&[0, 0], &[0, 0]), 1.0);
        assert_eq!(cosine_similarity(&[0, 0], &[0, 5]), 0.0);
        assert_eq!(cosine_similarity(&[0, 5], &[0, 0]), 0.0);
        assert_eq!(cosine_similarity(&[], &[]), 1.0);
        let half = cosine_similarity(&[1, 1], &[0, 1]);
        assert!((half - std::f64::consts::FRAC_1_SQRT_2).abs() < 1e-15);
    }
}
