//! Headers and reports as opaque bytes, for engines that carry them in messages of their own.
//!
//! Layout, little endian: `EPLB`, version u16, kind u8, zero u8, length of the payload u32, the
//! payload, and the CRC-32 (IEEE) of everything before it. Lists begin with their length as u32, what
//! may be missing with a byte that is 1 when it is there and 0 when not.
//!
//! Version 2 added the shares of a table and the phase of a load; since version 3 a report holds a list
//! of loads.
//!
//! Decoding never panics, checks every length against the bytes that are there before it allocates,
//! and takes nothing whose checksum is wrong.

mod error;
mod header;
mod reader;
mod report;

pub use error::WireError;
use reader::Reader;

/// The version of the layout that this library writes, and the only one that it reads.
pub const WIRE_VERSION: u16 = 3;

const MAGIC: [u8; 4] = *b"EPLB";
const FRONT: usize = 12;
const CHECKSUM: usize = 4;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Header = 1,
    Report = 2,
}

/// The message around a payload, in place of what `bytes` held.
fn frame(kind: Kind, bytes: &mut Vec<u8>, write_payload: impl FnOnce(&mut Vec<u8>)) {
    bytes.clear();
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&WIRE_VERSION.to_le_bytes());
    bytes.extend_from_slice(&[kind as u8, 0]);
    bytes.extend_from_slice(&[0; 4]);
    write_payload(bytes);
    let length = (bytes.len() - FRONT) as u32;
    bytes[FRONT - 4..FRONT].copy_from_slice(&length.to_le_bytes());
    let checksum = crc32fast::hash(bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
}

/// The payload of a message of `kind`, once everything around it is right.
fn unframe(kind: Kind, bytes: &[u8]) -> Result<Reader<'_>, WireError> {
    let (found, needed) = (bytes.len(), FRONT + CHECKSUM);
    if found < needed {
        return Err(WireError::TooShort { found, needed });
    }
    let (front, rest) = bytes.split_at(FRONT);
    if front[..4] != MAGIC {
        return Err(WireError::Magic);
    }
    let version = u16::from_le_bytes([front[4], front[5]]);
    if version != WIRE_VERSION {
        return Err(WireError::Version { found: version, supported: WIRE_VERSION });
    }
    let length = u32::from_le_bytes([front[8], front[9], front[10], front[11]]) as usize;
    let needed = length.saturating_add(needed);
    if found < needed {
        return Err(WireError::TooShort { found, needed });
    }
    if found > needed {
        return Err(WireError::TooLong { found, needed });
    }
    let (payload, checksum) = rest.split_at(length);
    let covered = &bytes[..FRONT + length];
    if crc32fast::hash(covered).to_le_bytes() != checksum {
        return Err(WireError::Checksum);
    }
    if front[6] != kind as u8 || front[7] != 0 {
        return Err(WireError::Kind { found: front[6], expected: kind as u8 });
    }
    Ok(Reader::new(payload))
}

/// Writes a list's length. Lists are bounded by shapes and topologies, far below 2^32.
fn write_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend_from_slice(&(length as u32).to_le_bytes());
}

fn write_u16(bytes: &mut Vec<u8>, value: u16) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn write_u32(bytes: &mut Vec<u8>, value: u32) {
    bytes.extend_from_slice(&value.to_le_bytes());
}

fn write_u64(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend_from_slice(&value.to_le_bytes());
}
