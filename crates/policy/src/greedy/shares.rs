//! Loads in fixed point.

/// The load of a layer is less than 2^`TOTAL_BITS` units, so that the load of any rank and
/// differences of loads fit 32 bits, and equal sums are equal in whatever order they are added up.
pub(super) const TOTAL_BITS: u32 = 30;

/// Tokens in units of which the whole layer has between 2^29 and 2^30, rounded down: what is lost
/// is less than a billionth of the layer's load for each expert. A layer without load stays at
/// zero.
pub(super) fn scale(load: &[u64], scaled: &mut Vec<u32>) {
    let total: u64 = load.iter().sum();
    let bits = u64::BITS - total.leading_zeros();
    scaled.clear();
    match TOTAL_BITS.checked_sub(bits) {
        Some(shift) => scaled.extend(load.iter().map(|&tokens| (tokens << shift) as u32)),
        None => {
            let shift = bits - TOTAL_BITS;
            scaled.extend(load.iter().map(|&tokens| (tokens >> shift) as u32));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(load: &[u64]) -> Vec<u32> {
        let mut scaled = Vec::new();
        scale(load, &mut scaled);
        scaled
    }

    #[test]
    fn small_and_large_loads_fill_the_same_bits() {
        assert_eq!(scaled(&[0, 0]), [0, 0]);
        assert_eq!(scaled(&[1, 2]), [1 << 28, 1 << 29]);
        assert_eq!(scaled(&[1 << 54, 1 << 55]), [1 << 28, 1 << 29]);
        assert_eq!(scaled(&[(1 << 56) - 1, 1]), [(1 << 29) - 1, 0]);
        assert!(scaled(&[(1 << 30) - 3, 1, 1]).iter().sum::<u32>() < 1 << 30);
    }
}
