//! A report of the suite as text.

use comfy_table::{CellAlignment, Table, presets};
use eplb_conformance::{Counts, Entry, Outcome, Report};

/// What was tested, every case that did not pass, the counts of each topic; the last line is always
/// `N passed, N failed, N skipped`.
pub(super) fn render(report: &Report) -> String {
    let mut text = format!("backend {}\n", report.backend);
    for device in &report.devices {
        text += &format!("  device {}: {}; {}\n", device.ordinal, device.name, device.software);
    }
    text.push('\n');
    for line in lines(&report.entries) {
        text += &line;
        text.push('\n');
    }
    let Counts { passed, failed, skipped, expected_failures } = report.counts;
    text += &format!("\n{}\n\n", topics(report));
    text += &format!("{expected_failures} failed as expected\n");
    text + &format!("{passed} passed, {failed} failed, {skipped} skipped\n")
}

/// One line for each case that did not pass; variants that are skipped alike share one.
fn lines(entries: &[Entry]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = entries;
    while let Some((entry, after)) = rest.split_first() {
        let alike = after.iter().take_while(|other| is_same_skip(entry, other)).count();
        rest = &after[alike..];
        lines.extend(line(entry, alike));
    }
    lines
}

fn is_same_skip(entry: &Entry, other: &Entry) -> bool {
    let is_skip = matches!(entry.outcome, Outcome::Skip { .. });
    is_skip && entry.case == other.case && entry.outcome == other.outcome
}

fn line(entry: &Entry, alike: usize) -> Option<String> {
    let (word, text) = match &entry.outcome {
        Outcome::Pass => return None,
        Outcome::Fail { text } => ("FAIL", text.clone()),
        Outcome::UnexpectedPass { reason } => {
            ("FAIL", format!("it passed, and a failure was expected: {reason}"))
        }
        Outcome::ExpectedFailure { reason, text } => ("known", format!("{reason}: {text}")),
        Outcome::Skip { missing } => ("skip", format!("missing: {}", missing.join(", "))),
    };
    let title = match alike {
        0 => entry.title(),
        more => format!("{} and {more} more", entry.title()),
    };
    Some(format!("{word:5} {title}: {text}"))
}

fn topics(report: &Report) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["topic", "passed", "failed", "as expected", "skipped"]);
    for (topic, counts) in report.topics() {
        let Counts { passed, failed, skipped, expected_failures } = counts;
        let mut row = vec![topic.to_owned()];
        row.extend([passed, failed, expected_failures, skipped].map(|count| count.to_string()));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
