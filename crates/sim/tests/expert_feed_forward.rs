//! Experts compute the same for a token whatever is computed with it.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a failed test")]

use eplb_core::{ExpertId, LayerId};
use eplb_sim::{
    ExpertBytes, ExpertDimensions, ExpertError, ExpertWeights, expert_weights,
    initial_hidden_state, normalise,
};
use ndarray::{Array2, Axis};

fn dimensions(hidden: usize, intermediate: usize) -> ExpertDimensions {
    ExpertDimensions::new(hidden, intermediate).unwrap()
}

fn parse(dimensions: ExpertDimensions, bytes: &ExpertBytes) -> ExpertWeights {
    ExpertWeights::from_bytes(dimensions, &bytes.gate_up, &bytes.down, &bytes.scale).unwrap()
}

fn expert(layer: u32, expert: u32, dimensions: ExpertDimensions) -> ExpertWeights {
    parse(dimensions, &expert_weights(LayerId(layer), ExpertId(expert), dimensions, 1))
}

fn tokens(count: usize, hidden: usize) -> Array2<f32> {
    let values = (0..count as u64).flat_map(|token| initial_hidden_state(token, 0, 0, hidden));
    Array2::from_shape_vec((count, hidden), values.collect()).unwrap()
}

fn bits(values: &Array2<f32>) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_token_does_not_depend_on_its_batch() {
    // Sizes around those at which matrix kernels change: single values, edges, full tiles, and a
    // sum longer than one block of a kernel (300 and 520 values).
    for (hidden, intermediate) in [(1, 1), (7, 3), (16, 32), (64, 128), (300, 520)] {
        let dimensions = dimensions(hidden, intermediate);
        let expert = expert(2, 5, dimensions);
        let all = tokens(70, hidden);
        let alone: Vec<Vec<u32>> = (all.axis_chunks_iter(Axis(0), 1))
            .map(|token| bits(&expert.feed_forward(token).unwrap()))
            .collect();
        for size in 1..=70 {
            // Every batch ends with the last token, so that places in the batch shift too.
            let start = 70 - size;
            let batch = all.select(Axis(0), &(start..70).collect::<Vec<_>>());
            let results = expert.feed_forward(batch.view()).unwrap();
            assert_eq!(results.dim(), (size, hidden));
            assert_eq!(bits(&results), alone[start..].concat(), "{size} tokens of {hidden}");
        }
    }
}

#[test]
fn other_tokens_with_wild_values_change_nothing() {
    let expert = expert(0, 0, dimensions(32, 48));
    let mut batch = tokens(5, 32);
    let before = expert.feed_forward(batch.view()).unwrap();
    batch.row_mut(1).fill(f32::NAN);
    batch.row_mut(4).fill(f32::INFINITY);
    let after = expert.feed_forward(batch.view()).unwrap();
    for token in [0, 2, 3] {
        let (before, after) = (before.row(token), after.row(token));
        assert!(before.iter().zip(after).all(|(a, b)| a.to_bits() == b.to_bits()));
    }
    assert!(after.row(1).iter().all(|value| value.is_nan()));
}

#[test]
fn tokens_may_lie_in_memory_in_any_order() {
    let expert = expert(0, 0, dimensions(32, 48));
    let rows = tokens(19, 32);
    let columns = rows.t().as_standard_layout().into_owned();
    let expected = expert.feed_forward(rows.view()).unwrap();
    assert_eq!(bits(&expert.feed_forward(columns.t()).unwrap()), bits(&expected));
}

#[test]
fn results_are_those_of_the_formula() {
    let (hidden, intermediate) = (6, 10);
    let dimensions = dimensions(hidden, intermediate);
    let bytes = expert_weights(LayerId(1), ExpertId(3), dimensions, 9);
    let read = |bytes: &[u8]| -> Vec<f64> {
        bytes.as_chunks().0.iter().map(|&value| f64::from(f32::from_le_bytes(value))).collect()
    };
    let (gate_up, down, scale) = (read(&bytes.gate_up), read(&bytes.down), read(&bytes.scale));
    let batch = tokens(11, hidden);
    let results = parse(dimensions, &bytes).feed_forward(batch.view()).unwrap();
    for (token, result) in batch.rows().into_iter().zip(results.rows()) {
        let product = |row: usize| -> f64 {
            (0..hidden)
                .map(|column| gate_up[row * hidden + column] * f64::from(token[column]))
                .sum()
        };
        let activated: Vec<f64> = (0..intermediate)
            .map(|row| product(row) / (1.0 + (-product(row)).exp()) * product(intermediate + row))
            .collect();
        for (value, &found) in result.iter().enumerate() {
            let sum: f64 = (0..intermediate)
                .map(|column| down[value * intermediate + column] * activated[column])
                .sum();
            assert!((sum * scale[value] - f64::from(found)).abs() < 1e-5);
        }
    }
}

#[test]
fn weights_are_deterministic_and_every_tensor_matters() {
    let dimensions = dimensions(8, 12);
    let bytes =
        |layer, expert, seed| expert_weights(LayerId(layer), ExpertId(expert), dimensions, seed);
    let weights = bytes(1, 2, 3);
    assert_eq!(weights, bytes(1, 2, 3));
    for other in [bytes(2, 1, 3), bytes(1, 3, 3), bytes(2, 2, 3), bytes(1, 2, 4)] {
        assert_ne!(weights.gate_up, other.gate_up);
        assert_ne!(weights.down, other.down);
        assert_ne!(weights.scale, other.scale);
    }
    assert_eq!(weights.gate_up.len(), dimensions.gate_up_bytes());
    assert_eq!(weights.down.len(), dimensions.down_bytes());
    assert_eq!(weights.scale.len(), dimensions.scale_bytes());

    let batch = tokens(3, 8);
    let expected = parse(dimensions, &weights).feed_forward(batch.view()).unwrap();
    let other = bytes(1, 3, 3);
    let mixed = [
        ExpertBytes { gate_up: other.gate_up, ..weights.clone() },
        ExpertBytes { down: other.down, ..weights.clone() },
        ExpertBytes { scale: other.scale, ..weights.clone() },
    ];
    for wrong in mixed {
        let results = parse(dimensions, &wrong).feed_forward(batch.view()).unwrap();
        assert_ne!(bits(&results), bits(&expected));
    }
}

#[test]
fn values_stay_bounded_through_many_layers() {
    let (hidden, dimensions) = (32, dimensions(32, 64));
    let mut states = tokens(4, hidden);
    for layer in 0..200 {
        let mut inputs = states.clone();
        inputs.rows_mut().into_iter().for_each(normalise);
        // Two experts a token with equal gate weights, on top of the state as in a model.
        for number in [0, 1] {
            let results = expert(layer, number, dimensions).feed_forward(inputs.view()).unwrap();
            let size = (results.iter().map(|x| x * x).sum::<f32>() / results.len() as f32).sqrt();
            assert!((0.05..3.0).contains(&size), "layer {layer}: root mean square {size}");
            states = states + results * 0.5;
        }
        states.rows_mut().into_iter().for_each(normalise);
        assert!(states.iter().all(|value| value.abs() <= (hidden as f32).sqrt()));
    }
}

#[test]
fn a_state_of_zeros_stays_zero() {
    let mut state = Array2::<f32>::zeros((1, 4));
    normalise(state.row_mut(0));
    assert_eq!(bits(&state), [0; 4]);
    let results = expert(0, 0, dimensions(4, 4)).feed_forward(state.view()).unwrap();
    assert!(results.iter().all(|&value| value == 0.0));
    assert_eq!(
        expert(0, 0, dimensions(4, 4)).feed_forward(Array2::zeros((0, 4)).view()).unwrap().dim(),
        (0, 4)
    );
}

#[test]
fn wrong_sizes_are_refused() {
    let message = |error: ExpertError| error.to_string();
    assert_eq!(
        message(ExpertDimensions::new(0, 4).unwrap_err()),
        "hidden is 0, allowed is 1 to 65536"
    );
    assert_eq!(
        message(ExpertDimensions::new(4, 65_537).unwrap_err()),
        "intermediate is 65537, allowed is 1 to 65536"
    );
    let dimensions = dimensions(4, 6);
    let ExpertBytes { gate_up, down, scale } =
        expert_weights(LayerId(0), ExpertId(0), dimensions, 0);
    let read = |gate_up: &[u8], down: &[u8], scale: &[u8]| {
        ExpertWeights::from_bytes(dimensions, gate_up, down, scale).map_err(message)
    };
    assert_eq!(
        read(&gate_up[1..], &down, &scale).unwrap_err(),
        "tensor gate_up has 191 bytes, the dimensions need 192"
    );
    assert_eq!(
        read(&gate_up, &gate_up, &scale).unwrap_err(),
        "tensor down has 192 bytes, the dimensions need 96"
    );
    assert_eq!(
        read(&gate_up, &down, &[]).unwrap_err(),
        "tensor scale has 0 bytes, the dimensions need 16"
    );
    let weights = read(&gate_up, &down, &scale).unwrap();
    assert_eq!(
        message(weights.feed_forward(Array2::zeros((2, 5)).view()).unwrap_err()),
        "the tokens have 5 values each, the expert takes 4"
    );
}
