//! A report of transfers as text.

use super::{Rate, TransferReport};
use crate::bench::table::{Rows, gigabytes, ground};
use crate::numbers::bytes;

pub(super) fn render(report: &TransferReport) -> String {
    let mut rows =
        Rows::new(["", "all ranks GB/s", "of ceiling", "a rank", "first rank alone", "of ceiling"]);
    let ceiling = &report.ceiling;
    rows.push(row("ceiling", &ceiling.together, None, Some(&ceiling.alone), None));
    for series in &report.transfers {
        let name = format!("transfer, {} in flight", series.in_flight);
        let ratios = (Some(series.together_ratio), series.alone_ratio);
        rows.push(row(&name, &series.together, ratios.0, series.alone.as_ref(), ratios.1));
    }
    let rate = &report.ceiling.together;
    let slots = report.transfers.first();
    let (peer, by_rounds) =
        slots.map_or((0, 0), |series| (series.peer_slots, series.collective_slots));
    format!(
        "{}{} ranks as {}, {} layers × {} slots × {}: {} received in a run\n\
         {peer} slots through peer memory, {by_rounds} by rounds\n\n{}\n\nceiling: {}\n\
         medians of {} runs; a rank: slowest to fastest\n",
        ground(&report.ground),
        report.ranks,
        match report.mode {
            super::Mode::Processes => "processes",
            super::Mode::Threads => "threads",
        },
        report.layers,
        report.slots,
        bytes(report.expert_bytes as u64),
        bytes(rate.received_bytes),
        rows.text(),
        report.ceiling.method,
        report.repeat,
    )
}

fn row(
    name: &str,
    together: &Rate,
    together_ratio: Option<f64>,
    alone: Option<&Rate>,
    alone_ratio: Option<f64>,
) -> Vec<String> {
    let ratio = |ratio: Option<f64>| ratio.map_or(String::new(), |ratio| format!("{ratio:.3}"));
    let ranks = &together.rank_gb_per_s;
    let slowest = ranks.iter().copied().fold(f64::INFINITY, f64::min);
    let fastest = ranks.iter().copied().fold(0.0, f64::max);
    vec![
        name.to_owned(),
        gigabytes(together.gb_per_s),
        ratio(together_ratio),
        format!("{} to {}", gigabytes(slowest), gigabytes(fastest)),
        alone.map_or(String::new(), |alone| gigabytes(alone.gb_per_s)),
        ratio(alone_ratio),
    ]
}
