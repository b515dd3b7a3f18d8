//! The header of a NumPy array, checked before anything relies on it.
//!
//! The header is a Python literal written by whoever made the file. It is parsed here with fixed
//! bounds (bytes, depth, dimensions); only a header that passed goes on to `npyz`, which multiplies
//! dimensions without a check for overflow and allocates whatever header length a file states.
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use std::io::{ErrorKind, Read};

use npyz::{NpyHeader, Order};

use super::error::LoadFileProblem;

/// Most bytes of a header's text. NumPy itself refuses more than 10,000 by default.
const MOST_HEADER_BYTES: usize = 16_384;
/// Most characters of a text value.
const MOST_CHARACTERS: u64 = 4_096;
/// Most dimensions of any array, as in NumPy.
const MOST_DIMENSIONS: usize = 64;

/// What the values of an array are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    Signed(u8),
    Unsigned(u8),
    Float(u8),
    Text,
    Pickled,
    Other,
}

impl ValueKind {
    fn of(descr: &str) -> Self {
        let Some(kind) = descr.strip_prefix(['<', '>', '|']) else {
            return Self::Other;
        };
        match kind {
            "i1" | "i2" | "i4" | "i8" => Self::Signed(kind.as_bytes()[1] - b'0'),
            "u1" | "u2" | "u4" | "u8" => Self::Unsigned(kind.as_bytes()[1] - b'0'),
            "f4" | "f8" => Self::Float(kind.as_bytes()[1] - b'0'),
            "O" => Self::Pickled,
            _ => match kind.strip_prefix('U').and_then(|size| size.parse::<u64>().ok()) {
                Some(1..=MOST_CHARACTERS) => Self::Text,
                _ => Self::Other,
            },
        }
    }

    pub(super) fn is_number(self) -> bool {
        matches!(self, Self::Signed(_) | Self::Unsigned(_) | Self::Float(_))
    }
}

/// A header that passed.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: ValueKind,
    /// The type as NumPy writes it.
    pub(super) descr: String,
    pub(super) dimensions: Vec<u64>,
    pub(super) order: Order,
    /// Magic, version, length and text as they stand in the file.
    bytes: Vec<u8>,
}

impl Header {
    /// Reads a header; `reader` stands at the first value then.
    pub(super) fn read(reader: &mut impl Read, place: &str) -> Result<Self, LoadFileProblem> {
        let bytes = read_bytes(reader, place)?;
        let text_start = if bytes[6] == 1 { 10 } else { 12 };
        let literal = Literal { text: &bytes[text_start..], at: 0 }.parse();
        let (descr, fortran, dimensions) = literal.map_err(|reason| not_npy(place, reason))?;
        Ok(Self {
            kind: ValueKind::of(&descr),
            descr,
            dimensions,
            order: if fortran { Order::Fortran } else { Order::C },
            bytes,
        })
    }

    /// Whether the array holds exactly one value.
    pub(super) fn is_single(&self) -> bool {
        self.dimensions.iter().all(|&size| size == 1)
    }

    /// The header in the form that `npyz` reads values with. The product of the dimensions must have
    /// been checked.
    pub(super) fn parsed(&self, place: &str) -> Result<NpyHeader, LoadFileProblem> {
        NpyHeader::from_reader(&self.bytes[..]).map_err(|error| not_npy(place, error.to_string()))
    }
}

fn not_npy(place: &str, reason: impl Into<String>) -> LoadFileProblem {
    LoadFileProblem::NotNpy { place: place.to_owned(), reason: reason.into() }
}

fn read_bytes(reader: &mut impl Read, place: &str) -> Result<Vec<u8>, LoadFileProblem> {
    let mut bytes = Vec::new();
    read_more(reader, &mut bytes, 8, place)?;
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(not_npy(place, "it does not start with \\x93NUMPY"));
    }
    let text_bytes = match (bytes[6], bytes[7]) {
        (1, 0) => {
            read_more(reader, &mut bytes, 2, place)?;
            usize::from(u16::from_le_bytes([bytes[8], bytes[9]]))
        }
        (2 | 3, 0) => {
            read_more(reader, &mut bytes, 4, place)?;
            u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize
        }
        (major, minor) => {
            let reason = format!("version {major}.{minor}, allowed are 1.0, 2.0 and 3.0");
            return Err(not_npy(place, reason));
        }
    };
    if text_bytes > MOST_HEADER_BYTES {
        let reason =
            format!("a header of {text_bytes} bytes, allowed are {MOST_HEADER_BYTES} bytes");
        return Err(not_npy(place, reason));
    }
    read_more(reader, &mut bytes, text_bytes, place)?;
    Ok(bytes)
}

fn read_more(
    reader: &mut impl Read,
    bytes: &mut Vec<u8>,
    more: usize,
    place: &str,
) -> Result<(), LoadFileProblem> {
    let start = bytes.len();
    bytes.resize(start + more, 0);
    reader.read_exact(&mut bytes[start..]).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof => not_npy(place, "it ends within the header"),
        _ => LoadFileProblem::Io(error),
    })
}

/// The text of a header while it is parsed: a dict of a string, a bool and a tuple of integers.
struct Literal<'a> {
    text: &'a [u8],
    at: usize,
}

impl Literal<'_> {
    fn parse(mut self) -> Result<(String, bool, Vec<u64>), String> {
        let (mut descr, mut fortran, mut dimensions) = (None, None, None);
        self.expect(b'{')?;
        while !self.skip(b'}') {
            let key = self.string()?;
            self.expect(b':')?;
            let again = match key.as_str() {
                "descr" => descr.replace(self.descr()?).is_some(),
                "fortran_order" => fortran.replace(self.bool()?).is_some(),
                "shape" => dimensions.replace(self.tuple()?).is_some(),
                _ => return Err(format!("unknown key {key:?} in the header")),
            };
            if again {
                return Err(format!("key {key:?} is given twice in the header"));
            }
            if !self.skip(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        if self.peek().is_some() {
            return Err(self.unexpected("the end of the header"));
        }
        match (descr, fortran, dimensions) {
            (Some(descr), Some(fortran), Some(dimensions)) => Ok((descr, fortran, dimensions)),
            _ => Err("the header lacks one of descr, fortran_order and shape".to_owned()),
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.skip(byte) {
            Ok(())
        } else {
            Err(self.unexpected(&format!("{:?}", char::from(byte))))
        }
    }

    fn unexpected(&self, allowed: &str) -> String {
        format!("byte {} of the header's text is not {allowed}", self.at)
    }

    fn descr(&mut self) -> Result<String, String> {
        if self.peek() == Some(b'[') {
            return Err("it is a structured array, allowed are plain arrays".to_owned());
        }
        self.string()
    }

    fn string(&mut self) -> Result<String, String> {
        let quote = match self.peek() {
            Some(quote @ (b'\'' | b'"')) => quote,
            _ => return Err(self.unexpected("a string")),
        };
        let rest = &self.text[self.at + 1..];
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\' && byte != quote;
        let length = rest.iter().take_while(|&&byte| plain(byte)).count();
        if rest.get(length) != Some(&quote) {
            return Err(self.unexpected("a plain string"));
        }
        self.at += length + 2;
        Ok(rest[..length].iter().copied().map(char::from).collect())
    }

    fn bool(&mut self) -> Result<bool, String> {
        self.peek();
        let rest = &self.text[self.at..];
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.unexpected("True or False"))
    }

    fn tuple(&mut self) -> Result<Vec<u64>, String> {
        let mut dimensions = Vec::new();
        self.expect(b'(')?;
        while !self.skip(b')') {
            dimensions.push(self.integer()?);
            if dimensions.len() > MOST_DIMENSIONS {
                return Err(format!("more than {MOST_DIMENSIONS} dimensions"));
            }
            if !self.skip(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(dimensions)
    }

    fn integer(&mut self) -> Result<u64, String> {
        self.peek();
        let start = self.at;
        while self.text.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        let digits = self.text[start..self.at].iter().copied().map(char::from).collect::<String>();
        let size = digits.parse().map_err(|_| {
            if digits.is_empty() {
                self.unexpected("a dimension (a whole number of 0 or more)")
            } else {
                format!("dimension {digits} is larger than any array")
            }
        })?;
        // Python has no integers with leading zeros, and the next reader of this text knows that.
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(format!("dimension {digits} starts with a zero"));
        }
        Ok(size)
    }
}
