//! A report of switches as text.

use super::{CommitReport, InPlace, Indirect};
use crate::bench::figures::Times;
use crate::bench::table::{Rows, gigabytes, ground, microseconds};
use crate::numbers::bytes;

pub(super) fn render(report: &CommitReport) -> String {
    let mut rows = Rows::new([
        "a layer",
        "on the stream µs",
        "GB/s",
        "time ratio",
        "host µs",
        "p99",
        "staging",
    ]);
    if let Some(in_place) = &report.in_place {
        for row in in_place_rows(in_place) {
            rows.push(row);
        }
    }
    if let Some(Indirect { stream_ns_per_layer, host, staging_bytes, .. }) = &report.indirect {
        let mut row = vec!["indirect".to_owned(), microseconds(*stream_ns_per_layer)];
        row.extend([String::new(), String::new()]);
        row.extend(host_cells(host));
        row.push(bytes(*staging_bytes));
        rows.push(row);
    }
    format!(
        "{}{} layers × {} slots × {}, behind pieces of {} µs\n\n{}\n\n\
         medians of {} runs; time ratio: of a switch over that ceiling; host: of one call\n",
        ground(&report.ground),
        report.layers,
        report.slots,
        bytes(report.expert_bytes as u64),
        microseconds(report.blocker.piece_ns as f64),
        rows.text(),
        report.repeat,
    )
}

fn in_place_rows(found: &InPlace) -> [Vec<String>; 3] {
    let row = |name: &str, time: f64, rate: f64, ratio: String| {
        vec![name.to_owned(), microseconds(time), gigabytes(rate), ratio]
    };
    let mut switch = row("in place", found.stream_ns_per_layer, found.gb_per_s, String::new());
    switch.extend(host_cells(&found.host));
    switch.push(bytes(found.staging_bytes));
    let ratio = format!("{:.3}", found.cost_ratio_slots);
    let (time, rate) = (found.ceiling_slots_ns_per_layer, found.ceiling_slots_gb_per_s);
    let mut slots = row("ceiling, slot by slot", time, rate, ratio);
    slots.extend(host_cells(&found.host_ceiling));
    let ratio = format!("{:.3}", found.cost_ratio_whole);
    let (time, rate) = (found.ceiling_whole_ns_per_layer, found.ceiling_whole_gb_per_s);
    [switch, slots, row("ceiling, one copy", time, rate, ratio)]
}

fn host_cells(times: &Times) -> [String; 2] {
    [microseconds(times.median_ns as f64), microseconds(times.p99_ns as f64)]
}
