//! From bytes of the device to tokens.

use super::{CounterForm, CounterWidth};

/// The tokens of each slot of one row. Of counters that wrap around, differences count alone, so that
/// they are exact modulo 2 to their width; for others every number must be right as it stands.
///
/// Gives the index of the first number that is impossible, and why.
pub(super) fn plain_row(
    bytes: &[u8],
    width: CounterWidth,
    form: CounterForm,
    wraps: bool,
    row: &mut [u64],
) -> Result<(), (usize, &'static str)> {
    let mut before = 0u64;
    for (index, (bytes, plain)) in bytes.chunks_exact(width.bytes()).zip(row).enumerate() {
        let number = number(bytes, width);
        if !wraps && number > most(width) {
            return Err((index, "the number is negative"));
        }
        *plain = match form {
            CounterForm::Plain => number,
            CounterForm::PrefixSums if !wraps && number < before => {
                return Err((index, "prefix sums fall"));
            }
            CounterForm::PrefixSums => number.wrapping_sub(before) & mask(width),
        };
        before = number;
    }
    Ok(())
}

/// How far a counter that wraps around has risen from `from` to `to`; `None` if it fell.
pub(super) fn rise(from: u64, to: u64, width: CounterWidth) -> Option<u64> {
    let rise = to.wrapping_sub(from) & mask(width);
    (rise <= most(width)).then_some(rise)
}

/// A number's bits, without a sign.
fn number(bytes: &[u8], width: CounterWidth) -> u64 {
    let mut eight = [0; 8];
    eight[..width.bytes()].copy_from_slice(bytes);
    u64::from_le_bytes(eight)
}

fn mask(width: CounterWidth) -> u64 {
    match width {
        CounterWidth::Int32 => u64::from(u32::MAX),
        CounterWidth::Int64 => u64::MAX,
    }
}

fn most(width: CounterWidth) -> u64 {
    mask(width) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(numbers: &[i32], form: CounterForm, wraps: bool) -> Result<Vec<u64>, usize> {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let mut row = vec![0; numbers.len()];
        let read = plain_row(&bytes, CounterWidth::Int32, form, wraps, &mut row);
        read.map(|()| row).map_err(|(index, _)| index)
    }

    #[test]
    fn prefix_sums_are_taken_apart() {
        assert_eq!(row(&[3, 3, 10], CounterForm::PrefixSums, false), Ok(vec![3, 0, 7]));
        assert_eq!(row(&[3, 3, 10], CounterForm::Plain, false), Ok(vec![3, 3, 10]));
    }

    #[test]
    fn what_cannot_be_counts_is_found() {
        assert_eq!(row(&[1, -1], CounterForm::Plain, false), Err(1));
        assert_eq!(row(&[5, 4], CounterForm::PrefixSums, false), Err(1));
        // The difference of these is 1, modulo 2^32.
        assert_eq!(row(&[i32::MAX, i32::MIN], CounterForm::PrefixSums, false), Err(1));
        assert_eq!(
            row(&[i32::MAX, i32::MIN], CounterForm::PrefixSums, true),
            Ok(vec![0x7FFF_FFFF, 1])
        );
    }

    #[test]
    fn counters_wrap_around_and_never_fall() {
        assert_eq!(rise(0xFFFF_FFFE, 5, CounterWidth::Int32), Some(7));
        assert_eq!(rise(u64::MAX, 2, CounterWidth::Int64), Some(3));
        assert_eq!(rise(9, 8, CounterWidth::Int32), None);
        assert_eq!(rise(9, 8, CounterWidth::Int64), None);
    }
}
