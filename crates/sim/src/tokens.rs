//! Tokens whose routing follows a recorded load.

use eplb_core::{ExpertId, ExpertLoad, LayerId};
use thiserror::Error;

use crate::split_mix::SplitMix64;

/// Routing of sampled tokens, layer by layer.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenSample {
    layers: Vec<LayerTokens>,
}

impl TokenSample {
    /// Most experts of a sample: tokens times experts a token times layers. Each takes 8 bytes.
    pub const MOST_CHOICES: usize = 1 << 28;

    /// The routing of one layer.
    pub fn layer(&self, layer: LayerId) -> &LayerTokens {
        &self.layers[layer.index()]
    }

    /// The routing of all layers, in order.
    pub fn layers(&self) -> &[LayerTokens] {
        &self.layers
    }
}

/// Routing of sampled tokens in one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerTokens {
    top_k: usize,
    experts: Vec<ExpertId>,
    gate_weights: Vec<f32>,
}

impl LayerTokens {
    /// How many tokens there are.
    pub fn tokens(&self) -> usize {
        self.experts.len() / self.top_k
    }

    /// Experts of each token.
    pub fn top_k(&self) -> usize {
        self.top_k
    }

    /// The experts of a token, all different, by descending gate weight.
    pub fn experts(&self, token: usize) -> &[ExpertId] {
        &self.experts[token * self.top_k..][..self.top_k]
    }

    /// The gate weights of a token's experts: positive, descending, with a sum of exactly 1 in any
    /// order of addition (they are multiples of 2^-24).
    pub fn gate_weights(&self, token: usize) -> &[f32] {
        &self.gate_weights[token * self.top_k..][..self.top_k]
    }
}

/// Why no tokens can be drawn.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SampleError {
    /// More experts a token than there are, or none.
    #[error("top_k is {top_k}, allowed is 1 to {experts} (the experts of a layer)")]
    TopK {
        /// What was asked for.
        top_k: usize,
        /// Experts of a layer.
        experts: usize,
    },
    /// More than is held in memory at once.
    #[error(
        "{tokens} tokens with top_k {top_k} in {layers} layers, allowed is a product of {}",
        TokenSample::MOST_CHOICES
    )]
    TooManyTokens {
        /// What was asked for.
        tokens: usize,
        /// Experts a token.
        top_k: usize,
        /// Layers of the load.
        layers: usize,
    },
}

/// Draws `tokens` tokens, each routed to `top_k` different experts of every layer.
///
/// Experts are drawn in proportion to `load`: if no expert has more than 1/`top_k` of a layer's
/// counts, each gets its share of `tokens * top_k`, less than one token off. An expert with more
/// goes to every token (a token takes it only once) and the others share the rest. Experts without
/// load are drawn only if fewer than `top_k` have any, lowest id first. Also the first tokens of
/// the sample, taken alone, follow the load closely.
///
/// The draw is systematic sampling (Madow, "On the theory of systematic sampling, II", 1949) over
/// the experts in random order, in integers: the same arguments give the same tokens everywhere.
///
/// # Errors
/// `top_k` of 0 or more than the experts, or a sample of more than
/// [`TokenSample::MOST_CHOICES`] experts.
pub fn sample_tokens(
    load: &ExpertLoad,
    top_k: usize,
    tokens: usize,
    seed: u64,
) -> Result<TokenSample, SampleError> {
    let experts = load.shape().experts();
    if !(1..=experts).contains(&top_k) {
        return Err(SampleError::TopK { top_k, experts });
    }
    let layers = load.shape().layers();
    let choices = tokens.checked_mul(top_k).and_then(|choices| choices.checked_mul(layers));
    if choices.is_none_or(|choices| choices > TokenSample::MOST_CHOICES) {
        return Err(SampleError::TooManyTokens { tokens, top_k, layers });
    }
    let layers = (0..).zip(load.rows()).map(|(layer, row)| {
        let random = SplitMix64::for_coordinates(seed, &[layer]);
        sample_layer(row, top_k, tokens, random)
    });
    Ok(TokenSample { layers: layers.collect() })
}

fn sample_layer(row: &[u64], top_k: usize, tokens: usize, mut random: SplitMix64) -> LayerTokens {
    let mut drawing = Drawing::new(row, top_k, &mut random);
    let mut sampled = LayerTokens {
        top_k,
        experts: Vec::with_capacity(tokens * top_k),
        gate_weights: Vec::with_capacity(tokens * top_k),
    };
    let shift = random.below(PHASES);
    let mut chosen = Vec::with_capacity(top_k);
    for place in scattered(tokens) {
        drawing.draw(place, tokens, shift, &mut chosen);
        push_with_gate_weights(&mut sampled, &mut chosen, &mut random);
    }
    sampled
}

/// Parts of the distance between two tokens by which a layer's draw is shifted.
const PHASES: u64 = 1 << 16;

/// How the experts of a layer are drawn.
struct Drawing {
    /// Experts of every token.
    always: Vec<ExpertId>,
    /// The others with load, in random order.
    rest: Vec<ExpertId>,
    /// Where on the line of counts each of `rest` ends.
    ends: Vec<u64>,
    /// How many of `rest` a token takes.
    take: usize,
}

impl Drawing {
    fn new(row: &[u64], top_k: usize, random: &mut SplitMix64) -> Self {
        let mut by_count: Vec<usize> = (0..row.len()).collect();
        by_count.sort_by_key(|&expert| (std::cmp::Reverse(row[expert]), expert));
        let mut total: u64 = row.iter().sum();
        let mut take = top_k;
        let mut always = 0;
        // Once the counts are used up this takes experts without load, by id.
        while take > 0 && u128::from(row[by_count[always]]) * take as u128 >= u128::from(total) {
            total -= row[by_count[always]];
            take -= 1;
            always += 1;
        }
        let mut rest = by_count.split_off(always);
        rest.retain(|&expert| row[expert] > 0);
        for last in (1..rest.len()).rev() {
            rest.swap(last, random.below(last as u64 + 1) as usize);
        }
        let ends = rest.iter().scan(0, |end, &expert| {
            *end += row[expert];
            Some(*end)
        });
        Self {
            ends: ends.collect(),
            always: by_count.into_iter().map(ExpertId::from_index).collect(),
            rest: rest.into_iter().map(ExpertId::from_index).collect(),
            take,
        }
    }

    /// The experts of the token at `place` of `tokens`.
    ///
    /// `take` points at equal distances are put on the line of counts. The distance is larger than
    /// any count of `rest` (see `new`), so no two points meet the same expert; over all places the
    /// points divide the line evenly, so each expert is met in proportion to its count.
    fn draw(&mut self, place: usize, tokens: usize, shift: u64, chosen: &mut Vec<ExpertId>) {
        chosen.clear();
        chosen.extend_from_slice(&self.always);
        let Some(&total) = self.ends.last().filter(|_| self.take > 0) else {
            return;
        };
        // Bits: total 56, take and tokens 28 together, PHASES 16: below 128 in all.
        let unit = tokens as u128 * u128::from(PHASES);
        let offset = place as u128 * u128::from(PHASES) + u128::from(shift);
        for point in 0..self.take as u128 {
            let at = u128::from(total) * (point * unit + offset) / (self.take as u128 * unit);
            let met = self.ends.partition_point(|&end| u128::from(end) <= at);
            chosen.push(self.rest[met]);
        }
    }
}

/// The numbers below `count`, ordered so that each beginning of the sequence is spread evenly:
/// multiples of a step near the golden section of `count`.
fn scattered(count: usize) -> impl Iterator<Item = usize> {
    let count = count as u64;
    // `count` is below 2^32 (see MOST_CHOICES). The factor is 2^32 / golden ratio, so that no floating point is involved.
    let golden = ((count * 2_654_435_769) >> 32).max(1);
    let step = (golden..).find(|&step| greatest_common_divisor(step, count) == 1).unwrap_or(1);
    (0..count).map(move |index| (u128::from(index) * u128::from(step) % u128::from(count)) as usize)
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Gives each chosen expert a gate weight and pushes them by descending weight.
fn push_with_gate_weights(
    sampled: &mut LayerTokens,
    chosen: &mut [ExpertId],
    random: &mut SplitMix64,
) {
    const WHOLE: u64 = 1 << 24;
    let top_k = chosen.len() as u64;
    // At least half the largest draw each: the gates of real routers are of one magnitude too.
    let draws: Vec<u64> = chosen.iter().map(|_| (1 << 19) + random.below(1 << 19)).collect();
    let total: u64 = draws.iter().sum();
    let spread = WHOLE - top_k;
    let mut parts: Vec<u64> = draws.iter().map(|draw| 1 + draw * spread / total).collect();
    parts.sort_unstable_by(|a, b| b.cmp(a));
    let missing = WHOLE - parts.iter().sum::<u64>();
    parts[0] += missing;
    // Which expert has which weight is independent of its load.
    for last in (1..chosen.len()).rev() {
        chosen.swap(last, random.below(last as u64 + 1) as usize);
    }
    sampled.experts.extend_from_slice(chosen);
    sampled.gate_weights.extend(parts.iter().map(|&part| part as f32 / WHOLE as f32));
}

/// The hidden state with which a token enters the first layer: `width` values in [-1, 1), the same
/// for the same token, window and seed.
pub fn initial_hidden_state(token: u64, window: u64, seed: u64, width: usize) -> Vec<f32> {
    let mut random = SplitMix64::for_coordinates(seed, &[window, token]);
    (0..width).map(|_| random.symmetric_f32()).collect()
}
