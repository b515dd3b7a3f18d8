//! Sampled tokens follow the load they are drawn from.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use eplb_core::{ExpertLoad, LayerId, ModelShape};
use eplb_sim::{LayerTokens, SampleError, SplitMix64, Trace, initial_hidden_state, sample_tokens};

fn load(row: &[u64]) -> ExpertLoad {
    let shape = ModelShape::new(1, row.len() as u32, 1).unwrap();
    ExpertLoad::from_rows(shape, &[row]).unwrap()
}

fn histogram(layer: &LayerTokens, experts: usize, tokens: usize) -> Vec<u64> {
    let mut counts = vec![0; experts];
    for token in 0..tokens {
        for expert in layer.experts(token) {
            counts[expert.index()] += 1;
        }
    }
    counts
}

fn assert_well_formed(layer: &LayerTokens) {
    for token in 0..layer.tokens() {
        let mut experts = layer.experts(token).to_vec();
        experts.sort();
        experts.dedup();
        assert_eq!(experts.len(), layer.top_k(), "token {token} meets an expert twice");
        let weights = layer.gate_weights(token);
        assert_eq!(weights.len(), layer.top_k());
        assert!(weights.iter().all(|&weight| weight > 0.0));
        assert!(weights.is_sorted_by(|a, b| a >= b), "{weights:?}");
        assert_eq!(weights.iter().sum::<f32>(), 1.0);
    }
}

fn recorded() -> Trace {
    let traces = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/traces");
    Trace::read(format!("{traces}/v3like_abrupt_w120.npz")).unwrap()
}

#[test]
fn every_expert_gets_its_share_of_a_recorded_window() {
    let trace = recorded();
    let tokens = 4_096;
    let sample = sample_tokens(&trace.windows[60], trace.top_k, tokens, 7).unwrap();
    assert_eq!(sample.layers().len(), 11);
    let total = trace.tokens_per_window * trace.top_k as u64;
    for layer in trace.shape.layer_ids() {
        assert_well_formed(sample.layer(layer));
        let row = trace.windows[60].layer(layer);
        let drawn = histogram(sample.layer(layer), row.len(), tokens);
        for (expert, (&count, &drawn)) in row.iter().zip(&drawn).enumerate() {
            let share = count as f64 * (tokens * trace.top_k) as f64 / total as f64;
            assert!(
                (drawn as f64 - share).abs() < 1.0,
                "{layer} expert {expert}: {drawn} drawn, share {share}"
            );
        }
    }
}

#[test]
fn the_first_tokens_alone_follow_the_load() {
    let trace = recorded();
    let sample = sample_tokens(&trace.windows[0], trace.top_k, 4_096, 3).unwrap();
    let total = trace.tokens_per_window * trace.top_k as u64;
    for layer in trace.shape.layer_ids() {
        for first in [64, 300, 1_000] {
            let drawn = histogram(sample.layer(layer), trace.shape.experts(), first);
            for (&count, &drawn) in trace.windows[0].layer(layer).iter().zip(&drawn) {
                let share = count as f64 * (first * trace.top_k) as f64 / total as f64;
                // The discrepancy of a golden-section sequence grows with the logarithm; random
                // tokens would be off by more than 10 here.
                assert!((drawn as f64 - share).abs() < 4.0, "{drawn} of {first}, share {share}");
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_tokens_and_others_do_not() {
    let trace = recorded();
    let draw = |seed| sample_tokens(&trace.windows[5], trace.top_k, 100, seed).unwrap();
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    // Layers are independent of each other, also where their loads are equal.
    let row = vec![5; 32];
    let shape = ModelShape::new(2, 32, 1).unwrap();
    let equal = ExpertLoad::from_rows(shape, &[row.clone(), row]).unwrap();
    let sample = sample_tokens(&equal, 4, 50, 0).unwrap();
    assert_ne!(sample.layer(LayerId(0)), sample.layer(LayerId(1)));
}

#[test]
fn experts_without_load_are_drawn_only_to_fill_up() {
    let layer = |row: &[u64]| {
        let sample = sample_tokens(&load(row), 3, 40, 11).unwrap();
        assert_well_formed(sample.layer(LayerId(0)));
        histogram(sample.layer(LayerId(0)), row.len(), 40)
    };
    assert_eq!(layer(&[0, 0, 9, 0, 0, 7]), [40, 0, 40, 0, 0, 40]);
    assert_eq!(layer(&[0, 0, 0, 0]), [40, 40, 40, 0]);
    assert_eq!(layer(&[0, 1, 0, 1_000, 1, 0]), [0, 40, 0, 40, 40, 0]);
    // One expert has more than a third: it goes to each token, the others share the rest.
    assert_eq!(layer(&[0, 60, 10, 10, 10, 10]), [0, 40, 20, 20, 20, 20]);
}

#[test]
fn random_loads_keep_experts_distinct_and_shares_exact() {
    let mut random = SplitMix64::new(99);
    for case in 0..300 {
        let experts = 1 + random.below(40) as usize;
        let top_k = 1 + random.below(experts as u64) as usize;
        let tokens = random.below(70) as usize;
        let scale = 1 << random.below(50);
        let row: Vec<u64> = (0..experts).map(|_| random.below(4) * random.below(scale)).collect();
        let sample = sample_tokens(&load(&row), top_k, tokens, case).unwrap();
        let layer = sample.layer(LayerId(0));
        assert_eq!(layer.tokens(), tokens);
        assert_well_formed(layer);
        let drawn = histogram(layer, experts, tokens);
        let loaded = row.iter().filter(|&&count| count > 0).count();
        let total: u128 = row.iter().map(|&count| u128::from(count)).sum();
        let spread = row.iter().all(|&count| u128::from(count) * top_k as u128 <= total);
        for (&count, &drawn) in row.iter().zip(&drawn) {
            if loaded >= top_k && count == 0 {
                assert_eq!(drawn, 0, "case {case}");
            }
            if spread && total > 0 {
                let share = count as f64 / total as f64 * (tokens * top_k) as f64;
                assert!((drawn as f64 - share).abs() < 1.0 + 1e-9, "case {case}");
            }
        }
    }
}

#[test]
fn the_largest_loads_and_all_experts_work() {
    let row = [ExpertLoad::MOST_TOKENS / 4; 4];
    let sample = sample_tokens(&load(&row), 4, 10, 0).unwrap();
    assert_eq!(histogram(sample.layer(LayerId(0)), 4, 10), [10; 4]);
    let sample = sample_tokens(&load(&row), 1, 1_000, 0).unwrap();
    assert_eq!(histogram(sample.layer(LayerId(0)), 4, 1_000), [250; 4]);
}

#[test]
fn impossible_samples_are_refused() {
    let row = load(&[1, 2, 3]);
    assert_eq!(
        sample_tokens(&row, 4, 1, 0).unwrap_err(),
        SampleError::TopK { top_k: 4, experts: 3 }
    );
    let none = sample_tokens(&row, 0, 1, 0).unwrap_err();
    assert_eq!(none.to_string(), "top_k is 0, allowed is 1 to 3 (the experts of a layer)");
    let many = sample_tokens(&row, 2, usize::MAX, 0).unwrap_err();
    assert_eq!(
        many.to_string(),
        format!(
            "{} tokens with top_k 2 in 1 layers, allowed is a product of 268435456",
            usize::MAX
        )
    );
}

#[test]
fn hidden_states_are_bounded_and_differ_by_token_window_and_seed() {
    let state = initial_hidden_state(3, 5, 7, 1_000);
    assert_eq!(state, initial_hidden_state(3, 5, 7, 1_000));
    assert!(state.iter().all(|value| (-1.0..1.0).contains(value)));
    let mean = state.iter().sum::<f32>() / 1_000.0;
    assert!(mean.abs() < 0.1, "{mean}");
    for other in [(5, 3, 7), (3, 5, 8), (4, 5, 7), (3, 6, 7)] {
        assert_ne!(state, initial_hidden_state(other.0, other.1, other.2, 1_000));
    }
}
