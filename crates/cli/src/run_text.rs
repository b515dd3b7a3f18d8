//! A run's result as text.

use comfy_table::{Table, presets};
use eplb::Transport;
use eplb_sim::{Interruption, PairGroup, RunReport};

use crate::numbers::{balancedness, bytes, grouped, sparkline};
use crate::run::is_verified;

/// Columns of the lines of bars.
const WIDTH: usize = 60;

pub(crate) fn render(report: &RunReport) -> String {
    let mut text = format!("{}\n", table(report));
    let series = |value: fn(&eplb_sim::WindowPoint) -> f64| -> Vec<f64> {
        report.series.iter().map(value).collect()
    };
    let (before, after) = (series(|point| point.before), series(|point| point.after));
    let low = before.iter().chain(&after).copied().fold(1.0, f64::min);
    text += &format!(
        "\nbalancedness over the windows, {} to 1\n  before {}\n  after  {}\n\n",
        balancedness(low),
        sparkline(&before, WIDTH, low, 1.0),
        sparkline(&after, WIDTH, low, 1.0),
    );
    for sentence in sentences(report) {
        text += &sentence;
        text.push('\n');
    }
    text
}

fn table(report: &RunReport) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    for (name, value) in rows(report) {
        table.add_row([name.to_owned(), value]);
    }
    table
}

/// What a run is told by, for the table here and on the page.
pub(crate) fn rows(report: &RunReport) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("trace", report.trace.clone()),
        ("layers × experts", format!("{} × {}", report.layers, report.experts)),
        (
            "ranks",
            format!(
                "{} on {} nodes, {} slots each and layer",
                report.ranks, report.nodes, report.slots_per_rank
            ),
        ),
        ("windows", format!("{} of {} tokens", report.windows, grouped(report.tokens_per_window))),
        ("policy, backend", format!("{}, {}", report.policy, report.backend)),
        (
            "balancedness",
            format!(
                "{} before, {} after",
                balancedness(report.balancedness.before),
                balancedness(report.balancedness.after)
            ),
        ),
        ("rebalances", grouped(report.rebalances)),
        ("layers updated", grouped(report.layers_updated)),
        (
            "moved between ranks",
            format!("{} slots, {}", grouped(report.slots_moved), bytes(report.bytes_moved)),
        ),
        (
            "by transport",
            format!(
                "peer {} slots, collective {} slots",
                grouped(report.moved_by.peer.slots),
                grouped(report.moved_by.collective.slots)
            ),
        ),
    ];
    rows.extend(report.transports.iter().map(|group| ("pairs of ranks", pairs(group))));
    if let Some(reason) = &report.collective_lost {
        rows.push(("communicator", format!("lost: {reason}")));
    }
    rows.push(("slots verified", grouped(report.verified.slots)));
    rows.push(("digest", report.digest.clone()));
    rows
}

fn pairs(group: &PairGroup) -> String {
    let transport = match group.transport {
        Transport::Peer => "peer",
        Transport::Collective => "collective",
        Transport::Pool => "pool",
    };
    let detail = group.detail.as_ref().map_or(String::new(), |detail| format!(" ({detail})"));
    format!("{} {transport}: {}{detail}", grouped(group.pairs as u64), group.reason)
}

/// What the figures mean.
pub(crate) fn sentences(report: &RunReport) -> Vec<String> {
    let (before, after) = (report.balancedness.before, report.balancedness.after);
    let change = format!("from {} to {}", balancedness(before), balancedness(after));
    let moved = match (report.enable_eplb, report.layers_updated) {
        (false, _) => "EPLB is off: nothing moved".to_owned(),
        (true, 0) => "no layer was updated: nothing moved".to_owned(),
        (true, _) if after > before => format!("balancedness rose {change}"),
        (true, _) => format!("balancedness did not rise: {change}"),
    };
    let slots = grouped(report.verified.slots);
    let verified = if is_verified(report) {
        format!("all {slots} slots verified, outputs equal bit for bit to a run without EPLB")
    } else {
        let wrong = grouped(report.verified.mismatches);
        let outputs = if report.verified.outputs_equal { "equal" } else { "NOT equal" };
        format!("VERIFICATION FAILED: {wrong} of {slots} slots hold other bytes, outputs {outputs}")
    };
    report.interruption.iter().map(losses).chain([moved, verified]).collect()
}

/// How a run ended early.
pub(crate) fn losses(interruption: &Interruption) -> String {
    let Interruption { lost, window, ranks_left, slots_verified, mismatches, .. } = interruption;
    let lost: Vec<_> =
        lost.iter().map(|rank| format!("rank {} was lost: {}", rank.rank, rank.why)).collect();
    let slots = grouped(*slots_verified);
    let state = match (interruption.old_epoch_confirmed, mismatches) {
        (true, 0) => format!("confirm the old epoch, all {slots} slots of theirs verified"),
        (true, wrong) => format!("confirm the old epoch, but {wrong} of {slots} slots are WRONG"),
        (false, _) => "DO NOT all confirm the old epoch".to_owned(),
    };
    let with = if interruption.enable_eplb { "with" } else { "without" };
    format!(
        "ENDED EARLY in window {window} {with} EPLB: {}; the {ranks_left} ranks that are left {state}",
        lost.join("; ")
    )
}
