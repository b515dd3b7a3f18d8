//! Weights with a number as keys of ordered collections.

/// The key of a weight and a number: keys are ordered by weight, those of equal weights by number.
/// Weights are finite numbers from +0, or +∞; the bits of such floats are ordered as they are.
pub(super) fn key(weight: f32, number: u32) -> u64 {
    u64::from(weight.to_bits()) << 32 | u64::from(number)
}

/// The number of a key.
pub(super) fn number(key: u64) -> usize {
    // The lower half alone: that is what the cast keeps.
    key as u32 as usize
}

/// The weight of a key.
pub(super) fn weight(key: u64) -> f32 {
    f32::from_bits((key >> 32) as u32)
}
