//! A small pseudo-random number generator.

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
///
/// The same seed gives the same numbers on every machine; not for secrets.
#[derive(Clone, Debug)]
pub struct SplitMix64 {
    state: u64,
}

impl SplitMix64 {
    /// A generator that starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator of its own for each list of `coordinates` (a layer and an expert, say): equal
    /// lists give equal generators, other lists unrelated ones.
    pub fn for_coordinates(seed: u64, coordinates: &[u64]) -> Self {
        let state = coordinates.iter().fold(Self::new(seed).next_u64(), |state, &coordinate| {
            // Mixing before the next coordinate comes in keeps (1, 2) apart from (2, 1).
            Self::new(state ^ Self::new(coordinate).next_u64()).next_u64()
        });
        Self { state }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `bound - 1`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product: its bias is below bound / 2^64.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in [-1, 1), in steps of 2^-23, which `f32` holds exactly.
    pub fn symmetric_f32(&mut self) -> f32 {
        const STEPS: i32 = 1 << 23;
        // 24 bits, so that the conversions lose nothing.
        ((self.next_u64() >> 40) as i32 - STEPS) as f32 / STEPS as f32
    }
}
