//! The values of a NumPy array.

use std::fmt;
use std::io::{ErrorKind, Read};

use eplb_core::ExpertLoad;
use npyz::{Deserialize, NpyFile, Order};

use super::error::LoadFileProblem;
use super::npy_header::{Header, ValueKind};
use super::{Counts, check_dimensions};

/// Reads an array of counts.
pub(super) fn read_counts(mut reader: impl Read, place: &str) -> Result<Counts, LoadFileProblem> {
    let header = Header::read(&mut reader, place)?;
    // The type first: the header of a pickled array has a shape, but no such values follow.
    check_number(&header, place)?;
    check_dimensions(place, &header.dimensions)?;
    let stored = whole_numbers(&header, reader, place)?;
    let values = match header.order {
        Order::C => stored,
        Order::Fortran => to_c_order(&header.dimensions, &stored),
    };
    Ok(Counts { place: place.to_owned(), dimensions: header.dimensions, values })
}

/// Reads an array of a single whole number.
pub(super) fn read_whole_number(
    mut reader: impl Read,
    place: &str,
) -> Result<u64, LoadFileProblem> {
    let header = Header::read(&mut reader, place)?;
    if !header.kind.is_number() || !header.is_single() {
        return Err(not_single(header, place, "whole number"));
    }
    let values = whole_numbers(&header, reader, place)?;
    values.first().copied().ok_or_else(|| truncated(place, 0, 1))
}

/// Reads an array of a single text.
pub(super) fn read_text(mut reader: impl Read, place: &str) -> Result<String, LoadFileProblem> {
    let header = Header::read(&mut reader, place)?;
    if header.kind != ValueKind::Text || !header.is_single() {
        return Err(not_single(header, place, "text"));
    }
    let mut texts = Vec::new();
    read_values::<String>(&header, reader, place, |_, text| {
        texts.push(text);
        Ok(())
    })?;
    texts.pop().ok_or_else(|| truncated(place, 0, 1))
}

fn not_single(header: Header, place: &str, allowed: &'static str) -> LoadFileProblem {
    let Header { descr, dimensions, .. } = header;
    LoadFileProblem::NotSingle { place: place.to_owned(), descr, dimensions, allowed }
}

fn check_number(header: &Header, place: &str) -> Result<(), LoadFileProblem> {
    let place = place.to_owned();
    match header.kind {
        kind if kind.is_number() => Ok(()),
        ValueKind::Pickled => Err(LoadFileProblem::Pickled { place }),
        _ => Err(LoadFileProblem::ValueType { place, descr: header.descr.clone() }),
    }
}

/// The values of an array of numbers as they are stored, each checked.
fn whole_numbers(
    header: &Header,
    reader: impl Read,
    place: &str,
) -> Result<Vec<u64>, LoadFileProblem> {
    match header.kind {
        ValueKind::Signed(1) => whole_numbers_of::<i8>(header, reader, place),
        ValueKind::Signed(2) => whole_numbers_of::<i16>(header, reader, place),
        ValueKind::Signed(4) => whole_numbers_of::<i32>(header, reader, place),
        ValueKind::Signed(8) => whole_numbers_of::<i64>(header, reader, place),
        ValueKind::Unsigned(1) => whole_numbers_of::<u8>(header, reader, place),
        ValueKind::Unsigned(2) => whole_numbers_of::<u16>(header, reader, place),
        ValueKind::Unsigned(4) => whole_numbers_of::<u32>(header, reader, place),
        ValueKind::Unsigned(8) => whole_numbers_of::<u64>(header, reader, place),
        ValueKind::Float(4) => whole_numbers_of::<f32>(header, reader, place),
        ValueKind::Float(8) => whole_numbers_of::<f64>(header, reader, place),
        _ => {
            Err(LoadFileProblem::ValueType { place: place.to_owned(), descr: header.descr.clone() })
        }
    }
}

fn whole_numbers_of<T: Deserialize + WholeNumber>(
    header: &Header,
    reader: impl Read,
    place: &str,
) -> Result<Vec<u64>, LoadFileProblem> {
    // Grows with the values that are really there: a header may promise what does not follow.
    let mut counts = Vec::new();
    read_values::<T>(header, reader, place, |position, value| {
        match value.whole_number().filter(|&count| count <= ExpertLoad::MOST_TOKENS) {
            Some(count) => {
                counts.push(count);
                Ok(())
            }
            None => Err(LoadFileProblem::Value {
                place: place.to_owned(),
                index: index_of(header, position),
                value: format!("{value:?}"),
            }),
        }
    })?;
    Ok(counts)
}

/// Hands every value to `take`, with its position in the file, and checks that nothing follows.
fn read_values<T: Deserialize>(
    header: &Header,
    mut reader: impl Read,
    place: &str,
    mut take: impl FnMut(u64, T) -> Result<(), LoadFileProblem>,
) -> Result<(), LoadFileProblem> {
    let parsed = header.parsed(place)?;
    let expected = parsed.len();
    let values = NpyFile::with_header(parsed, &mut reader).data::<T>().map_err(|_| {
        LoadFileProblem::ValueType { place: place.to_owned(), descr: header.descr.clone() }
    })?;
    for (position, value) in (0..).zip(values) {
        let value = value.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => truncated(place, position, expected),
            _ => LoadFileProblem::Io(error),
        })?;
        take(position, value)?;
    }
    // Reading on to the end also makes an archive compare its checksum.
    match reader.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(LoadFileProblem::TrailingBytes { place: place.to_owned() }),
        Err(error) => Err(LoadFileProblem::Io(error)),
    }
}

fn truncated(place: &str, found: u64, expected: u64) -> LoadFileProblem {
    LoadFileProblem::Truncated { place: place.to_owned(), found, expected }
}

/// The index of the value at a position of the file.
fn index_of(header: &Header, position: u64) -> Vec<u64> {
    let mut rest = position;
    let mut digit = |size: u64| {
        let digit = rest % size;
        rest /= size;
        digit
    };
    match header.order {
        Order::Fortran => header.dimensions.iter().map(|&size| digit(size)).collect(),
        Order::C => {
            let mut index: Vec<u64> =
                header.dimensions.iter().rev().map(|&size| digit(size)).collect();
            index.reverse();
            index
        }
    }
}

/// Reorders values stored with the first dimension running fastest.
fn to_c_order(dimensions: &[u64], stored: &[u64]) -> Vec<u64> {
    // Both orders of two dimensions are those of three with a first dimension of 1.
    let (windows, layers, experts) = match *dimensions {
        [windows, layers, experts] => (windows, layers, experts),
        [layers, experts] => (1, layers, experts),
        _ => (1, 1, stored.len() as u64),
    };
    let mut values = Vec::with_capacity(stored.len());
    for window in 0..windows {
        for layer in 0..layers {
            for expert in 0..experts {
                let position = window + windows * (layer + layers * expert);
                values.push(stored[position as usize]);
            }
        }
    }
    values
}

/// Numbers that may be counts.
trait WholeNumber: Copy + fmt::Debug {
    /// The number, if it is whole, not negative and fits.
    fn whole_number(self) -> Option<u64>;
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl WholeNumber for $integer {
            fn whole_number(self) -> Option<u64> {
                u64::try_from(self).ok()
            }
        }
    )*};
}
integers!(i8, i16, i32, i64, u8, u16, u32, u64);

impl WholeNumber for f32 {
    fn whole_number(self) -> Option<u64> {
        f64::from(self).whole_number()
    }
}

impl WholeNumber for f64 {
    fn whole_number(self) -> Option<u64> {
        // NaN fails both comparisons. The bound is a power of two, so the cast is exact.
        let within = (0.0..=ExpertLoad::MOST_TOKENS as f64).contains(&self);
        (within && self.fract() == 0.0).then_some(self as u64)
    }
}
