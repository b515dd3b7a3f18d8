//! A run's result as a page to look at.

use eplb_sim::RunReport;
use maud::{DOCTYPE, PreEscaped, html};

use crate::chart::balancedness_chart;
use crate::numbers::{balancedness, bytes, grouped};
use crate::run_text::{rows, sentences};

const STYLE: &str = "
:root { --page: #fbfaf8; --text: #1c1b19; --soft: #6d6a64; --grid: #dedad2; --card: #ffffff;
  --before: #a4572f; --after: #1c6e8c; --switched: #b9b4a8; }
@media (prefers-color-scheme: dark) { :root { --page: #16181b; --text: #e9e6e1; --soft: #9b9892;
  --grid: #34373c; --card: #1e2125; --before: #e08d60; --after: #5bb8d8; --switched: #56606b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; }
main { max-width: 940px; margin: 0 auto; padding: 32px 24px 48px; }
h1 { font-size: 1.5rem; margin: 0; }
p.soft { color: var(--soft); margin: 4px 0 24px; }
section { background: var(--card); border: 1px solid var(--grid); border-radius: 10px;
  padding: 18px 22px; margin: 0 0 20px; }
.figures { display: grid; grid-template-columns: repeat(4, 1fr); gap: 16px; }
.figures b { display: block; font-size: 1.7rem; font-variant-numeric: tabular-nums; line-height: 1.2; }
.figures span { color: var(--soft); font-size: .875rem; }
h2 { font-size: 1rem; margin: 0 0 10px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 12px; }
svg .name { font-weight: 600; font-size: 13px; }
svg .name.before { fill: var(--before); } svg .name.after { fill: var(--after); }
svg path { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg path.before { stroke: var(--before); stroke-dasharray: 5 3; } svg path.after { stroke: var(--after); }
svg .grid { stroke: var(--grid); } svg .switched { fill: var(--switched); }
table { border-collapse: collapse; width: 100%; }
td { padding: 6px 0; border-top: 1px solid var(--grid); font-variant-numeric: tabular-nums; }
tr:first-child td { border-top: 0; } td:first-child { color: var(--soft); width: 34%; }
@media (max-width: 640px) { .figures { grid-template-columns: repeat(2, 1fr); } }
";

/// The page, whole in one text: it needs no network and no script.
pub(crate) fn render(report: &RunReport) -> String {
    let figures = [
        (balancedness(report.balancedness.before), "balancedness before"),
        (balancedness(report.balancedness.after), "balancedness after"),
        (grouped(report.layers_updated), "layers updated"),
        (bytes(report.bytes_moved), "moved between ranks"),
    ];
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "EPLB run: " (report.trace) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                h1 { "Expert-parallel load balancing" }
                p.soft {
                    (report.trace) ", " (report.ranks) " ranks, policy " (report.policy)
                    ", " (report.backend) " backend"
                }
                section.figures {
                    @for (value, name) in figures { div { b { (value) } span { (name) } } }
                }
                section {
                    h2 { "Mean rank load / max rank load, window by window" }
                    (PreEscaped(balancedness_chart(&report.series)))
                }
                section {
                    table { @for (name, value) in rows(report) { tr { td { (name) } td { (value) } } } }
                }
                @for sentence in sentences(report) { p { (sentence) } }
            } }
        }
    }
    .into_string()
}
