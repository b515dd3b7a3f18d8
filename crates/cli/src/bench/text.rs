//! The tables of `eplb bench plan`.

use comfy_table::{CellAlignment, Table, presets};
use eplb_sim::PlanTime;

use super::{BenchReport, LoadReport};
use crate::numbers::{balancedness, grouped};

pub(super) fn tables(report: &BenchReport) -> String {
    let mut text = String::new();
    for load in &report.loads {
        text += &format!("{}\n{}\n\n", heading(load), table(load));
    }
    text + "ratio is the median over that of the first policy; same and next window are\n\
            balancedness (mean rank load / max rank load), sent are experts a rebalance;\n\
            (tables) is the bare function of the policy, without what surrounds every plan\n"
}

fn heading(load: &LoadReport) -> String {
    format!(
        "{}{}: {} layers × {} experts on {} ranks with {} slots, {} rebalances",
        load.load,
        if load.synthetic { " (synthetic)" } else { "" },
        load.layers,
        load.experts,
        load.ranks,
        load.slots,
        load.windows - 1,
    )
}

fn table(load: &LoadReport) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "policy",
        "threads",
        "plan ms",
        "p99",
        "min",
        "ratio",
        "same window",
        "next window",
        "sent",
    ]);
    for score in &load.policies {
        // The plans are the same on any number of threads, and so are the tables.
        let quality = [
            balancedness(score.fit.mean),
            balancedness(score.next.mean),
            format!("{:.1}", score.sent_experts),
        ];
        rows(&mut table, &score.policy, &score.plan_ms, &quality);
        rows(&mut table, &format!("{} (tables)", score.policy), &score.tables_ms, &[]);
    }
    flush_right(table)
}

/// One row for each number of threads; the first one names the policy and tells how good it is.
fn rows(table: &mut Table, name: &str, times: &[PlanTime], quality: &[String]) {
    for (index, time) in times.iter().enumerate() {
        let (name, quality) = if index == 0 { (name, quality) } else { ("", &[][..]) };
        let mut row = vec![
            name.to_owned(),
            time.threads.to_string(),
            milliseconds(time.p50),
            milliseconds(time.p99),
            milliseconds(time.min),
            format!("{:.2}", time.ratio),
        ];
        row.extend_from_slice(quality);
        table.add_row(row);
    }
}

/// One row for each number of ranks, one column for each policy and number of threads.
pub(super) fn growth(report: &BenchReport) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let columns = |of: &dyn Fn(&str, &PlanTime) -> String| -> Vec<Vec<String>> {
        let load_columns = |load: &LoadReport| {
            let policies = load.policies.iter();
            policies
                .flat_map(|score| score.plan_ms.iter().map(|time| of(&score.policy, time)))
                .collect()
        };
        report.loads.iter().map(load_columns).collect()
    };
    let many = report.threads.len() > 1;
    let names = columns(&|policy, time| match many {
        true => format!("{policy} ×{}", time.threads),
        false => policy.to_owned(),
    });
    let times = columns(&|_, time| milliseconds(time.p50));
    let mut header = vec!["ranks".to_owned(), "slots".to_owned()];
    header.extend(names.into_iter().next().unwrap_or_default());
    table.set_header(header);
    for (load, times) in report.loads.iter().zip(times) {
        let mut row = vec![load.ranks.to_string(), grouped(load.slots as u64)];
        row.extend(times);
        table.add_row(row);
    }
    let shape = report
        .loads
        .first()
        .map_or(String::new(), |load| format!("{} layers × {} experts", load.layers, load.experts));
    format!(
        "{}\n\nmilliseconds of a plan of {shape} (median){}\n",
        flush_right(table),
        if many { "; × is threads" } else { "" }
    )
}

/// Three digits or more, so that fast and slow policies stand in one column.
fn milliseconds(value: f64) -> String {
    let decimals = match value {
        _ if value < 0.9995 => 3,
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

fn flush_right(mut table: Table) -> String {
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let text = table.to_string();
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}
