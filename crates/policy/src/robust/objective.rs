//! What a replica costs its rank.

/// What ranks are to be balanced by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objective {
    /// Tokens: the time of a rank is that of its matrix products, as in prefill.
    #[default]
    Tokens,
    /// Distinct experts that a rank must read in a step: the time of a rank is that of reading
    /// weights, as in decode with few tokens. A token picks an expert with the probability that the
    /// window shows, and a replica takes its share of the picks.
    ActivatedExperts {
        /// Tokens of a step over all ranks.
        tokens_per_step: u32,
        /// Experts that each token is routed to.
        top_k: u32,
    },
}

impl Objective {
    /// What a count of a window of `total` counts is to be multiplied with for [`Objective::load`].
    pub(super) fn unit(self, total: u64) -> f32 {
        match self {
            Self::Tokens => 1.0 / total as f32,
            // The probability that a token picks the expert.
            Self::ActivatedExperts { top_k, .. } => top_k.max(1) as f32 / total as f32,
        }
    }

    /// The load of one of `replicas` replicas of an expert, up to the scale of its window.
    pub(super) fn load(self, load: f32, replicas: f32) -> f32 {
        match self {
            Self::Tokens => load / replicas,
            Self::ActivatedExperts { tokens_per_step, .. } => {
                1.0 - power((1.0 - load / replicas).clamp(0.0, 1.0), tokens_per_step.max(1))
            }
        }
    }

    pub(super) fn fill(self, loads: &[f32], scales: &[f32], replicas: f32, share: &mut [f32]) {
        match self {
            Self::Tokens => {
                let part = 1.0 / replicas;
                for ((share, load), scale) in share.iter_mut().zip(loads).zip(scales) {
                    *share = load * scale * part;
                }
            }
            Self::ActivatedExperts { .. } => {
                for ((share, load), scale) in share.iter_mut().zip(loads).zip(scales) {
                    *share = self.load(*load, replicas) * scale;
                }
            }
        }
    }
}

/// `base` to the power of `exponent`, by squaring: the same on every machine.
fn power(base: f32, exponent: u32) -> f32 {
    let (mut result, mut square, mut rest) = (1.0f32, base, exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result *= square;
        }
        square *= square;
        rest >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_products() {
        assert_eq!(power(0.5, 0), 1.0);
        assert_eq!(power(0.5, 1), 0.5);
        assert_eq!(power(0.5, 11), 0.5f32.powi(11));
        assert_eq!(power(0.0, 7), 0.0);
    }

    #[test]
    fn an_expert_is_read_once_a_step_however_many_tokens_pick_it() {
        let objective = Objective::ActivatedExperts { tokens_per_step: 64, top_k: 8 };
        // Of 800 picks by 100 tokens, 100 for this expert: every token picks it.
        assert_eq!(objective.load(100.0 * objective.unit(800), 1.0), 1.0);
        // Two replicas are both read in nearly every step: twice the work.
        assert!(objective.load(100.0 * objective.unit(800), 2.0) > 0.999);
        // A rare expert is read rarely, and half as often by each of two replicas.
        let (one, two) = (objective.load(0.0001, 1.0), objective.load(0.0001, 2.0));
        assert!((one - 0.0064).abs() < 0.0001 && (two - 0.0032).abs() < 0.0001);
    }
}
