//! Why bytes are no message.

use thiserror::Error;

/// Why bytes are no message of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// Bytes are missing.
    #[error("the message has {found} bytes, it needs {needed}; it was cut")]
    TooShort {
        /// Bytes given.
        found: usize,
        /// Bytes that a message like this has.
        needed: usize,
    },
    /// Bytes follow the message.
    #[error("the message has {found} bytes, it should have {needed}; give one message at a time")]
    TooLong {
        /// Bytes given.
        found: usize,
        /// Bytes that the message has by its own account.
        needed: usize,
    },
    /// The bytes do not begin like a message.
    #[error("the bytes are no message of this library: they do not begin with EPLB")]
    Magic,
    /// A layout that this library does not read.
    #[error(
        "the message has layout version {found}, this library reads {supported}; use the same release on all ranks"
    )]
    Version {
        /// The version found.
        found: u16,
        /// The version that can be read.
        supported: u16,
    },
    /// A header where a report was expected, or the other way round.
    #[error(
        "the message is of kind {found}, expected was {expected} (1: step header, 2: rank report)"
    )]
    Kind {
        /// The kind found.
        found: u8,
        /// The kind expected.
        expected: u8,
    },
    /// The bytes changed on their way.
    #[error("the checksum is wrong; the message was damaged on its way")]
    Checksum,
    /// The checksum is right, and yet the contents are none.
    #[error("{what} at byte {offset} of the payload is none")]
    Malformed {
        /// What could not be read.
        what: &'static str,
        /// Where it begins.
        offset: usize,
    },
}
