//! Numbers as people read them.

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in decimal units: `3.21 GB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            let decimals = match unit {
                "B" => 0,
                _ if value < 99.995 => 2,
                _ => 1,
            };
            return format!("{value:.decimals$} {unit}");
        }
        value /= 1_000.0;
    }
    format!("{value:.2} TB")
}

/// Balancedness with three decimals.
pub(crate) fn balancedness(value: f64) -> String {
    format!("{value:.3}")
}

/// A line of bars, one for each of at most `width` stretches of `values`, between `low` and `high`.
pub(crate) fn sparkline(values: &[f64], width: usize, low: f64, high: f64) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let width = width.min(values.len());
    let stretch = |index: usize| {
        let (start, end) = (index * values.len() / width, (index + 1) * values.len() / width);
        values[start..end].iter().sum::<f64>() / (end - start) as f64
    };
    let bar = |value: f64| {
        let place = (value - low) / (high - low).max(1e-9) * BARS.len() as f64;
        BARS[(place.max(0.0) as usize).min(BARS.len() - 1)]
    };
    (0..width).map(|index| bar(stretch(index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_thousands() {
        let texts = [0, 12, 123, 1_234, 123_456, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "12", "123", "1,234", "123,456", "1,234,567"]);
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        let texts = [0, 999, 1_000, 12_345, 123_456, 1_500_000, 44_000_000_000].map(bytes);
        let expected = ["0 B", "999 B", "1.00 kB", "12.35 kB", "123.5 kB", "1.50 MB", "44.00 GB"];
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_sparkline_rises_with_its_values() {
        assert_eq!(sparkline(&[0.0, 0.5, 1.0], 10, 0.0, 1.0), "▁▅█");
        assert_eq!(sparkline(&[0.0, 1.0, 1.0, 1.0], 2, 0.0, 1.0).chars().count(), 2);
        assert_eq!(sparkline(&[], 10, 0.0, 1.0), "");
    }
}
