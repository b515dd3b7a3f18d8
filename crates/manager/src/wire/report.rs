//! Rank reports as bytes.

use eplb_core::{RankId, Step};

use super::{Kind, Reader, WireError, frame, unframe, write_length, write_u32, write_u64};
use crate::{
    CountForm, LoadReport, Phase, PlanDigest, RankReport, Reason, RoundId, Status, Timestamp,
    Token, TokenStatus,
};

const NONE: u8 = 0;
const DIGEST: u8 = 1;

const PLAIN: u8 = 1;
const PREFIX_SUMS: u8 = 2;

const MIXED: u8 = 0;
const PREFILL: u8 = 1;
const DECODE: u8 = 2;

const PREPARED: u8 = 1;
const REFUSED: u8 = 2;
const COMMITTED: u8 = 3;
const COMMIT_FAILED: u8 = 4;
const REVERTED: u8 = 5;
const REVERT_FAILED: u8 = 6;

/// The least bytes of a load: form, phase, two steps and the number of counts.
const LEAST_LOAD: usize = 1 + 1 + 8 + 8 + 4;

/// The least bytes of a status: token and kind.
const LEAST_STATUS: usize = 8 + 1;

impl RankReport {
    /// The report as one message of opaque bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_into(&mut bytes);
        bytes
    }

    /// The same, written over what `bytes` held: memory that is used again for each step's report is
    /// allocated once.
    pub fn encode_into(&self, bytes: &mut Vec<u8>) {
        let loads: usize = self.loads.iter().map(|load| LEAST_LOAD + 8 * load.counts.len()).sum();
        bytes.clear();
        bytes.reserve(128 + loads);
        frame(Kind::Report, bytes, |bytes| {
            write_u32(bytes, self.rank.0);
            write_u64(bytes, self.step.0);
            write_u64(bytes, self.clock.0);
            write_length(bytes, self.loads.len());
            for load in &self.loads {
                write_load(bytes, load);
            }
            write_length(bytes, self.statuses.len());
            for TokenStatus { token, status } in &self.statuses {
                write_u64(bytes, token.0);
                write_status(bytes, status);
            }
            match &self.plan_digest {
                None => bytes.push(NONE),
                Some(PlanDigest { round, digest }) => {
                    bytes.push(DIGEST);
                    write_u64(bytes, round.0);
                    write_u64(bytes, *digest);
                }
            }
        });
    }

    /// The report of a message.
    ///
    /// # Errors
    /// Bytes that are no report of this layout version, or were damaged.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let mut reader = unframe(Kind::Report, bytes)?;
        let rank = RankId(reader.u32("rank")?);
        let step = Step(reader.u64("step")?);
        let clock = Timestamp(reader.u64("clock")?);
        let count = reader.length(LEAST_LOAD, "number of loads")?;
        let loads = (0..count).map(|_| read_load(&mut reader)).collect::<Result<_, _>>()?;
        let count = reader.length(LEAST_STATUS, "number of statuses")?;
        let statuses = (0..count)
            .map(|_| {
                let token = Token(reader.u64("token")?);
                Ok(TokenStatus { token, status: read_status(&mut reader)? })
            })
            .collect::<Result<_, _>>()?;
        let plan_digest = match reader.u8("whether a digest follows")? {
            NONE => None,
            DIGEST => Some(PlanDigest {
                round: RoundId(reader.u64("round")?),
                digest: reader.u64("plan digest")?,
            }),
            _ => return Err(reader.malformed("whether a digest follows")),
        };
        reader.finish()?;
        Ok(Self { rank, step, clock, loads, statuses, plan_digest })
    }
}

fn write_load(bytes: &mut Vec<u8>, load: &LoadReport) {
    bytes.push(match load.form {
        CountForm::Plain => PLAIN,
        CountForm::PrefixSums => PREFIX_SUMS,
    });
    bytes.push(match load.phase {
        Phase::Mixed => MIXED,
        Phase::Prefill => PREFILL,
        Phase::Decode => DECODE,
    });
    write_u64(bytes, load.first_step.0);
    write_u64(bytes, load.last_step.0);
    write_length(bytes, load.counts.len());
    for &count in &load.counts {
        write_u64(bytes, count);
    }
}

fn read_load(reader: &mut Reader<'_>) -> Result<LoadReport, WireError> {
    let form = match reader.u8("form of the load")? {
        PLAIN => CountForm::Plain,
        PREFIX_SUMS => CountForm::PrefixSums,
        _ => return Err(reader.malformed("form of the load")),
    };
    let phase = match reader.u8("phase of the load")? {
        MIXED => Phase::Mixed,
        PREFILL => Phase::Prefill,
        DECODE => Phase::Decode,
        _ => return Err(reader.malformed("phase of the load")),
    };
    let first_step = Step(reader.u64("first step of the load")?);
    let last_step = Step(reader.u64("last step of the load")?);
    let count = reader.length(8, "number of counts")?;
    let counts = (0..count).map(|_| reader.u64("count")).collect::<Result<_, _>>()?;
    Ok(LoadReport { first_step, last_step, counts, form, phase })
}

fn write_status(bytes: &mut Vec<u8>, status: &Status) {
    let with_reason = |bytes: &mut Vec<u8>, kind: u8, reason: &Reason| {
        bytes.push(kind);
        write_length(bytes, reason.as_str().len());
        bytes.extend_from_slice(reason.as_str().as_bytes());
    };
    match status {
        Status::Prepared => bytes.push(PREPARED),
        Status::Refused { reason } => with_reason(bytes, REFUSED, reason),
        Status::Committed { step } => {
            bytes.push(COMMITTED);
            write_u64(bytes, step.0);
        }
        Status::CommitFailed { reason } => with_reason(bytes, COMMIT_FAILED, reason),
        Status::Reverted => bytes.push(REVERTED),
        Status::RevertFailed { reason } => with_reason(bytes, REVERT_FAILED, reason),
    }
}

fn read_status(reader: &mut Reader<'_>) -> Result<Status, WireError> {
    Ok(match reader.u8("kind of status")? {
        PREPARED => Status::Prepared,
        REFUSED => Status::Refused { reason: read_reason(reader)? },
        COMMITTED => Status::Committed { step: Step(reader.u64("step of the commit")?) },
        COMMIT_FAILED => Status::CommitFailed { reason: read_reason(reader)? },
        REVERTED => Status::Reverted,
        REVERT_FAILED => Status::RevertFailed { reason: read_reason(reader)? },
        _ => return Err(reader.malformed("kind of status")),
    })
}

fn read_reason(reader: &mut Reader<'_>) -> Result<Reason, WireError> {
    let length = reader.length(1, "length of a reason")?;
    if length > Reason::MOST_BYTES {
        return Err(reader.malformed("length of a reason"));
    }
    match std::str::from_utf8(reader.bytes(length, "reason")?) {
        Ok(text) => Ok(Reason::new(text)),
        Err(_) => Err(reader.malformed("reason")),
    }
}
