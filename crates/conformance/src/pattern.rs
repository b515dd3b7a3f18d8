//! Bytes that differ from place to place, and what is wrong with bytes that should be others.

use eplb_sim::SplitMix64;

/// The first `bytes` bytes of the pattern `seed`; longer patterns begin with shorter ones.
pub(crate) fn pattern(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = SplitMix64::new(seed);
    let mut pattern = Vec::with_capacity(bytes.next_multiple_of(8));
    while pattern.len() < bytes {
        pattern.extend_from_slice(&random.next_u64().to_le_bytes());
    }
    pattern.truncate(bytes);
    pattern
}

/// Says where bytes differ from those that belong there.
pub(crate) fn compare(found: &[u8], expected: &[u8]) -> Result<(), String> {
    if found.len() != expected.len() {
        return Err(format!("{} bytes where {} belong", found.len(), expected.len()));
    }
    let differs = |(index, (found, expected)): (usize, (&u8, &u8))| {
        (found != expected).then_some((index, *found, *expected))
    };
    let mut wrong = found.iter().zip(expected).enumerate().filter_map(differs);
    let Some((index, found_byte, expected_byte)) = wrong.next() else {
        return Ok(());
    };
    Err(format!(
        "{} of {} bytes are wrong, first byte {index}: {found_byte:#04x} where {expected_byte:#04x} \
         belongs",
        1 + wrong.count(),
        found.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_differ_by_seed_and_place_and_begin_alike() {
        let long = pattern(1, 1000);
        assert_eq!(long[..13], pattern(1, 13));
        assert_ne!(long, pattern(2, 1000));
        assert_ne!(long[..100], long[100..200]);
    }

    #[test]
    fn differences_are_counted_and_placed() {
        assert_eq!(compare(&[1, 2, 3], &[1, 2, 3]), Ok(()));
        let text = compare(&[1, 0, 0], &[1, 2, 3]).unwrap_err();
        assert_eq!(text, "2 of 3 bytes are wrong, first byte 1: 0x00 where 0x02 belongs");
        assert!(compare(&[1], &[1, 2]).is_err());
    }
}
