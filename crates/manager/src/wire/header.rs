//! Step headers as bytes.

use eplb_core::{Epoch, ExpertId, LayerId, Step};

use super::{
    Kind, Reader, WireError, frame, unframe, write_length, write_u16, write_u32, write_u64,
};
use crate::{Directive, StepHeader, Token};

const PREPARE: u8 = 1;
const COMMIT: u8 = 2;
const REVERT: u8 = 3;

const NONE: u8 = 0;
const SHARES: u8 = 1;

/// The least bytes of a directive: kind, token, layer and two numbers.
const LEAST_DIRECTIVE: usize = 1 + 8 + 4 + 8 + 8;

impl StepHeader {
    /// The header as one message of opaque bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        frame(Kind::Header, &mut bytes, |bytes| {
            write_u64(bytes, self.step.0);
            write_u64(bytes, self.epochs_digest);
            write_length(bytes, self.directives.len());
            for directive in &self.directives {
                write_directive(bytes, directive);
            }
        });
        bytes
    }

    /// The header of a message.
    ///
    /// # Errors
    /// Bytes that are no header of this layout version, or were damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = unframe(Kind::Header, bytes)?;
        let step = Step(reader.u64("step")?);
        let epochs_digest = reader.u64("epochs digest")?;
        let count = reader.length(LEAST_DIRECTIVE, "number of directives")?;
        let directives =
            (0..count).map(|_| read_directive(&mut reader)).collect::<Result<_, _>>()?;
        reader.finish()?;
        Ok(Self { step, directives, epochs_digest })
    }
}

fn write_directive(bytes: &mut Vec<u8>, directive: &Directive) {
    bytes.push(match directive {
        Directive::Prepare { .. } => PREPARE,
        Directive::Commit { .. } => COMMIT,
        Directive::Revert { .. } => REVERT,
    });
    write_u64(bytes, directive.token().0);
    write_u32(bytes, directive.layer().0);
    match directive {
        Directive::Prepare { from_epoch, epoch, experts, shares, .. } => {
            write_u64(bytes, from_epoch.0);
            write_u64(bytes, epoch.0);
            write_length(bytes, experts.len());
            for expert in experts {
                write_u32(bytes, expert.0);
            }
            let Some(shares) = shares else {
                bytes.push(NONE);
                return;
            };
            bytes.push(SHARES);
            write_length(bytes, shares.len());
            for &share in shares {
                write_u16(bytes, share);
            }
        }
        Directive::Commit { epoch, at_step, .. } | Directive::Revert { epoch, at_step, .. } => {
            write_u64(bytes, epoch.0);
            write_u64(bytes, at_step.0);
        }
    }
}

fn read_directive(reader: &mut Reader<'_>) -> Result<Directive, WireError> {
    let kind = reader.u8("kind of directive")?;
    let token = Token(reader.u64("token")?);
    let layer = LayerId(reader.u32("layer")?);
    match kind {
        PREPARE => {
            let from_epoch = Epoch(reader.u64("old epoch")?);
            let epoch = Epoch(reader.u64("new epoch")?);
            let count = reader.length(4, "number of slots")?;
            let experts = (0..count)
                .map(|_| Ok(ExpertId(reader.u32("expert")?)))
                .collect::<Result<_, _>>()?;
            let shares = read_shares(reader)?;
            Ok(Directive::Prepare { token, layer, from_epoch, epoch, experts, shares })
        }
        COMMIT | REVERT => {
            let epoch = Epoch(reader.u64("epoch")?);
            let at_step = Step(reader.u64("step of the switch")?);
            Ok(if kind == COMMIT {
                Directive::Commit { token, layer, epoch, at_step }
            } else {
                Directive::Revert { token, layer, epoch, at_step }
            })
        }
        _ => Err(reader.malformed("kind of directive")),
    }
}

fn read_shares(reader: &mut Reader<'_>) -> Result<Option<Vec<u16>>, WireError> {
    match reader.u8("whether shares follow")? {
        NONE => Ok(None),
        SHARES => {
            let count = reader.length(2, "number of shares")?;
            (0..count).map(|_| reader.u16("share")).collect::<Result<_, _>>().map(Some)
        }
        _ => Err(reader.malformed("whether shares follow")),
    }
}
