//! What a rank needs to know to find its group.

use std::fmt;
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_128;

use crate::JoinError;

/// The first word of an invitation, with the version of its form.
const FIRST_WORD: &str = "eplb-group-1";

/// Where a group's leader is, and by what it knows its ranks. It is one line of text, for engines to
/// carry as bytes: `eplb-group-1 TOKEN SIZE ADDRESS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    pub(crate) token: u128,
    pub(crate) size: u32,
    pub(crate) address: String,
}

impl Invitation {
    /// A new group, whose token nobody else knows.
    pub(crate) fn new(size: u32, address: String) -> Result<Self, JoinError> {
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(|error| JoinError::Address {
            address: address.clone(),
            problem: format!("no random numbers for a token: {error}"),
        })?;
        Ok(Self { token: u128::from_le_bytes(token), size, address })
    }

    /// The group of a text that all ranks have.
    pub(crate) fn of_text(text: &str, size: u32, address: String) -> Self {
        Self { token: xxh3_128(text.as_bytes()), size, address }
    }

    /// How many ranks the group has.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// As bytes to carry to the other ranks.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// From the bytes that [`Invitation::to_bytes`] gave.
    ///
    /// # Errors
    /// Other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, JoinError> {
        let text = std::str::from_utf8(bytes).map_err(|_| refuse("they are no text"))?;
        text.trim_end().parse()
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, size, address } = self;
        write!(formatter, "{FIRST_WORD} {token:032x} {size} {address}")
    }
}

impl FromStr for Invitation {
    type Err = JoinError;

    fn from_str(text: &str) -> Result<Self, JoinError> {
        let words: Vec<_> = text.split(' ').collect();
        let [first, token, size, address] = words[..] else {
            return Err(refuse("four words are expected"));
        };
        if first != FIRST_WORD {
            return Err(refuse(format!("they do not begin with {FIRST_WORD}")));
        }
        let token = u128::from_str_radix(token, 16).map_err(|_| refuse("the token is damaged"))?;
        let size = size.parse().map_err(|_| refuse("the number of ranks is damaged"))?;
        if size == 0 || !address.contains(':') {
            return Err(refuse("they name no rank or no address"));
        }
        Ok(Self { token, size, address: address.to_owned() })
    }
}

fn refuse(problem: impl Into<String>) -> JoinError {
    JoinError::Invitation { problem: problem.into() }
}
