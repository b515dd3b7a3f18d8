//! What the tables of the benchmarks of devices have in common.

use comfy_table::{CellAlignment, Table, presets};

use super::ground::Ground;

/// A table whose first column is names, and whose others are figures.
#[derive(Debug)]
pub(super) struct Rows {
    table: Table,
}

impl Rows {
    pub(super) fn new<const COLUMNS: usize>(header: [&str; COLUMNS]) -> Self {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING);
        table.set_header(header);
        Self { table }
    }

    pub(super) fn push(&mut self, row: Vec<String>) {
        self.table.add_row(row);
    }

    pub(super) fn text(mut self) -> String {
        for column in self.table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let text = self.table.to_string();
        let lines: Vec<_> = text.lines().map(str::trim_end).collect();
        lines.join("\n")
    }
}

/// The lines that say where it ran.
pub(super) fn ground(ground: &Ground) -> String {
    let mut text = format!("backend {}\n", ground.backend);
    for device in &ground.devices {
        let software = match device.software.as_str() {
            "" => String::new(),
            software => format!("; {software}"),
        };
        text += &format!("  device {}: {}{software}\n", device.ordinal, device.name);
    }
    text
}

pub(super) fn gigabytes(per_second: f64) -> String {
    let decimals = if per_second < 99.95 { 2 } else { 1 };
    format!("{per_second:.decimals$}")
}

/// Nanoseconds as microseconds.
pub(super) fn microseconds(nanoseconds: f64) -> String {
    let value = nanoseconds / 1e3;
    let decimals = if value.abs() < 99.95 { 2 } else { 1 };
    format!("{value:.decimals$}")
}
