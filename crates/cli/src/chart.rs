//! The picture of a run: balancedness over its windows, as SVG.

use std::fmt::Write;

use eplb_sim::WindowPoint;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 74.0;
const TOP: f64 = 16.0;
/// Below the curves: the strip of switched layers and the numbers of the windows.
const BOTTOM: f64 = 66.0;
const STRIP: f64 = 24.0;

/// Where values go on the picture.
struct Scale {
    low: f64,
    windows: usize,
}

impl Scale {
    fn of(points: &[WindowPoint]) -> Self {
        let values = points.iter().flat_map(|point| [point.before, point.after]);
        let lowest = values.fold(1.0, f64::min);
        // The next lower tenth, so that the axis has round numbers.
        let low = ((lowest * 10.0).floor() / 10.0).clamp(0.0, 0.9);
        Self { low, windows: points.len() }
    }

    fn x(&self, window: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (window + 0.5) / self.windows.max(1) as f64
    }

    fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (1.0 - self.low);
        TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share)
    }

    fn line(&self, values: impl Iterator<Item = f64>) -> String {
        let mut path = String::new();
        for (window, value) in values.enumerate() {
            let verb = if window == 0 { 'M' } else { 'L' };
            // Writing to a string does not fail.
            let _ = write!(path, "{verb}{:.1} {:.1}", self.x(window as f64), self.y(value));
        }
        path
    }
}

/// The chart as an `<svg>` element; colours come from the classes that the page defines.
pub(crate) fn balancedness_chart(points: &[WindowPoint]) -> String {
    let scale = Scale::of(points);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"balancedness of each window before and after\">"
    );
    grid(&mut svg, &scale);
    strip(&mut svg, &scale, points);
    let before = scale.line(points.iter().map(|point| point.before));
    let after = scale.line(points.iter().map(|point| point.after));
    let _ =
        write!(svg, "<path class=\"before\" d=\"{before}\"/><path class=\"after\" d=\"{after}\"/>");
    if let Some(last) = points.last() {
        labels(&mut svg, &scale, last);
    }
    svg.push_str("</svg>");
    svg
}

fn grid(svg: &mut String, scale: &Scale) {
    let (end, mut tenth) = (WIDTH - RIGHT, (scale.low * 10.0).round() as u32);
    while tenth <= 10 {
        let value = f64::from(tenth) / 10.0;
        let (y, text) = (scale.y(value), scale.y(value) + 4.0);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{text:.1}\" text-anchor=\"end\">{value:.1}</text>",
            LEFT - 8.0
        );
        tenth += 1;
    }
    let every = (scale.windows / 8).max(1).next_multiple_of(if scale.windows > 40 { 5 } else { 1 });
    for window in (0..scale.windows).step_by(every) {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{window}</text>",
            scale.x(window as f64),
            HEIGHT - 6.0
        );
    }
}

/// Bars for the layers switched over at each window.
fn strip(svg: &mut String, scale: &Scale, points: &[WindowPoint]) {
    let most = points.iter().map(|point| point.layers_switched).max().unwrap_or(0).max(1);
    let width = (scale.x(1.0) - scale.x(0.0)) * 0.7;
    let floor = HEIGHT - 22.0;
    for (window, point) in points.iter().enumerate() {
        if point.layers_switched == 0 {
            continue;
        }
        let height = STRIP * f64::from(point.layers_switched) / f64::from(most);
        let _ = write!(
            svg,
            "<rect class=\"switched\" x=\"{:.1}\" y=\"{:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"><title>window {window}: {} layers switched</title></rect>",
            scale.x(window as f64) - width / 2.0,
            floor - height,
            point.layers_switched
        );
    }
    let _ = write!(
        svg,
        "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{floor}\" y2=\"{floor}\"/>\
         <text x=\"{}\" y=\"{:.1}\">switched</text>",
        WIDTH - RIGHT,
        WIDTH - RIGHT + 8.0,
        floor - 6.0
    );
}

/// The names of the curves at their ends, kept apart.
fn labels(svg: &mut String, scale: &Scale, last: &WindowPoint) {
    let (mut before, mut after) = (scale.y(last.before), scale.y(last.after));
    let apart = 15.0 - (before - after).abs();
    if apart > 0.0 {
        let sign = if before >= after { 0.5 } else { -0.5 };
        before += sign * apart;
        after -= sign * apart;
    }
    for (class, text, y) in [("before", "before", before), ("after", "after", after)] {
        let _ = write!(
            svg,
            "<text class=\"name {class}\" x=\"{}\" y=\"{:.1}\">{text}</text>",
            WIDTH - RIGHT + 8.0,
            y + 4.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(before: f64, after: f64, layers_switched: u32) -> WindowPoint {
        WindowPoint { before, after, layers_switched }
    }

    #[test]
    fn both_curves_have_a_point_for_each_window() {
        let svg =
            balancedness_chart(&[point(0.55, 0.55, 0), point(0.5, 0.8, 2), point(0.6, 0.9, 0)]);
        let path = |class: &str| {
            let start = svg.split(&format!("<path class=\"{class}\" d=\"")).nth(1).expect("a path");
            start.split('"').next().expect("its end").matches(['M', 'L']).count()
        };
        assert_eq!((path("before"), path("after")), (3, 3));
        assert_eq!(svg.matches("<rect class=\"switched\"").count(), 1);
    }

    #[test]
    fn nothing_is_drawn_outside_the_picture() {
        let svg = balancedness_chart(&[point(0.0, 1.0, 1), point(1.0, 0.0, 11)]);
        for number in svg.split("y=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let y: f64 = number.parse().expect("a number");
            assert!((0.0..=HEIGHT).contains(&y), "{y}");
        }
        assert!(!balancedness_chart(&[]).contains("NaN"));
    }
}
