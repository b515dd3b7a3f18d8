//! A report of steps as text.

use super::{StepReport, Steps};
use crate::bench::table::{Rows, ground, microseconds};
use crate::numbers::bytes;

pub(super) fn render(report: &StepReport) -> String {
    let mut rows = Rows::new([
        "step of the first rank",
        "steps",
        "begin µs",
        "p99",
        "end µs",
        "p99",
        "both µs",
        "p99",
        "coordinator µs",
        "device calls",
        "most",
    ]);
    for (name, steps) in [
        ("steady", &report.steady),
        ("steady, with load", &report.steady_with_load),
        ("a layer begins", &report.begins),
        ("a layer moves", &report.moves),
        ("a layer is switched", &report.commits),
        ("these three together", &report.mid_cycle),
    ] {
        rows.push(row(name, steps));
    }
    let (forward, memory) = (&report.forward, &report.memory);
    let layers = forward.runs.iter().map(|run| run.layers_committed).max().unwrap_or(0);
    let received = forward.runs.iter().map(|run| run.received_bytes).max().unwrap_or(0);
    let mut text = format!(
        "{}{} ranks, {} layers × {} slots × {}, {} in flight\n\n{}\n\n",
        ground(&report.ground),
        report.ranks,
        report.layers,
        report.slots,
        bytes(report.expert_bytes as u64),
        report.layers_in_flight,
        rows.text(),
    );
    text += &format!(
        "forward streams: {}, pieces of {} µs; beside a rebalance of {layers} layers ({} received) they take\n\
         {:.4} of their time without one, {} µs more (medians of {})\n",
        forward.pieces.len(),
        microseconds(forward.piece.piece_ns as f64),
        bytes(received),
        forward.ratio,
        microseconds(forward.stall_ns),
        forward.runs.len(),
    );
    text + &format!(
        "memory of the first device (ranks on it: {}): {} reserved at the start, at most {} more later\n",
        memory.ranks,
        bytes(memory.reserved_bytes),
        bytes(memory.most_beyond_reserved_bytes),
    )
}

fn row(name: &str, steps: &Steps) -> Vec<String> {
    let mut row = vec![name.to_owned(), steps.step.samples.to_string()];
    for times in [&steps.begin, &steps.end, &steps.step] {
        row.push(microseconds(times.median_ns as f64));
        row.push(microseconds(times.p99_ns as f64));
    }
    row.push(microseconds(steps.coordinator.median_ns as f64));
    row.push(steps.device_calls.median.to_string());
    row.push(steps.device_calls.most.to_string());
    row
}
