//! Headers and reports taken apart and made, for engines whose messages have fixed fields.

use std::ffi::{CStr, CString, c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use eplb::core::{Epoch, ExpertId, LayerId, RankId, Step};
use eplb::manager::{
    Directive, RankReport, Reason, Status as Answer, StepHeader, Token, TokenStatus,
    digest_of_epochs,
};
use eplb::{CountForm, LoadReport, Timestamp};

use crate::boundary::export;
use crate::caller::{Caller, Place};
use crate::failure::Failure;
use crate::generated as c;
use crate::session_options::{is_prefix_sums, phase_of};
use crate::status::Status;

/// Bytes of the caller's that a message is written to, and where its length goes.
struct Room<'a> {
    bytes: &'a mut [MaybeUninit<u8>],
    written: Place<'a, usize>,
}

impl<'a> Room<'a> {
    fn new(
        caller: &'a Caller,
        name: &str,
        bytes: *mut c_void,
        capacity: usize,
        written: *mut usize,
    ) -> Result<Self, Failure> {
        let bytes = caller.room::<u8>(name, bytes.cast(), capacity)?;
        Ok(Self { bytes, written: caller.place("written", written)? })
    }

    fn write(self, message: &[u8]) -> Result<(), Failure> {
        self.written.set(message.len());
        let (found, needed) = (self.bytes.len(), message.len());
        let Some(place) = self.bytes.get_mut(..needed) else {
            return Err(Failure::length("capacity", found, needed));
        };
        for (place, &byte) in place.iter_mut().zip(message) {
            place.write(byte);
        }
        Ok(())
    }
}

/// What a visit's callback said.
fn heard(what: &str, said: i32) -> Result<(), Failure> {
    if said == 0 {
        return Ok(());
    }
    Err(Failure::new(Status::Callback, format!("the visit of {what} ended with {said}")))
}

fn visit_directive(
    directive: &Directive,
    visit: unsafe extern "C" fn(*mut c_void, *const c::eplb_directive) -> i32,
    user: *mut c_void,
) -> i32 {
    let mut described = c::eplb_directive {
        struct_size: size_of::<c::eplb_directive>(),
        kind: c::EPLB_DIRECTIVE_PREPARE as i32,
        layer: directive.layer().0,
        token: directive.token().0,
        from_epoch: 0,
        epoch: 0,
        at_step: 0,
        experts: ptr::null(),
        expert_count: 0,
        shares: ptr::null(),
        share_count: 0,
    };
    let mut numbers: Vec<u32> = Vec::new();
    match directive {
        Directive::Prepare { from_epoch, epoch, experts, shares, .. } => {
            (described.from_epoch, described.epoch) = (from_epoch.0, epoch.0);
            numbers.extend(experts.iter().map(|expert| expert.0));
            (described.experts, described.expert_count) = (numbers.as_ptr(), numbers.len());
            if let Some(shares) = shares {
                (described.shares, described.share_count) = (shares.as_ptr(), shares.len());
            }
        }
        Directive::Commit { epoch, at_step, .. } => {
            described.kind = c::EPLB_DIRECTIVE_COMMIT as i32;
            (described.epoch, described.at_step) = (epoch.0, at_step.0);
        }
        Directive::Revert { epoch, at_step, .. } => {
            described.kind = c::EPLB_DIRECTIVE_REVERT as i32;
            (described.epoch, described.at_step) = (epoch.0, at_step.0);
        }
    }
    // SAFETY: the caller's function with the pointer given with it, in the caller's own call; the
    // directive and its tables stay until it returns.
    unsafe { visit(user, &raw const described) }
}

fn directive_of(caller: &Caller, given: &c::eplb_directive) -> Result<Directive, Failure> {
    let given = caller.structure("directives", ptr::from_ref(given))?;
    let (token, layer, epoch) = (Token(given.token), LayerId(given.layer), Epoch(given.epoch));
    let at_step = Step(given.at_step);
    match u32::try_from(given.kind) {
        Ok(c::EPLB_DIRECTIVE_PREPARE) => {
            let experts = caller.slice("experts", given.experts, given.expert_count)?;
            let shares = if given.shares.is_null() {
                None
            } else {
                Some(caller.slice("shares", given.shares, given.share_count)?.to_vec())
            };
            let experts = experts.iter().copied().map(ExpertId).collect();
            let from_epoch = Epoch(given.from_epoch);
            Ok(Directive::Prepare { token, layer, from_epoch, epoch, experts, shares })
        }
        Ok(c::EPLB_DIRECTIVE_COMMIT) => Ok(Directive::Commit { token, layer, epoch, at_step }),
        Ok(c::EPLB_DIRECTIVE_REVERT) => Ok(Directive::Revert { token, layer, epoch, at_step }),
        _ => Err(Failure::argument("directive.kind", given.kind, "1 to 3")),
    }
}

fn visit_answer(
    TokenStatus { token, status }: &TokenStatus,
    visit: unsafe extern "C" fn(*mut c_void, *const c::eplb_answer) -> i32,
    user: *mut c_void,
) -> i32 {
    let (kind, step, reason) = match status {
        Answer::Prepared => (c::EPLB_ANSWER_PREPARED, 0, None),
        Answer::Refused { reason } => (c::EPLB_ANSWER_REFUSED, 0, Some(reason)),
        Answer::Committed { step } => (c::EPLB_ANSWER_COMMITTED, step.0, None),
        Answer::CommitFailed { reason } => (c::EPLB_ANSWER_COMMIT_FAILED, 0, Some(reason)),
        Answer::Reverted => (c::EPLB_ANSWER_REVERTED, 0, None),
        Answer::RevertFailed { reason } => (c::EPLB_ANSWER_REVERT_FAILED, 0, Some(reason)),
    };
    let text = reason.map(|reason| CString::new(reason.as_str().replace('\0', " ")));
    let text = text.and_then(Result::ok);
    let described = c::eplb_answer {
        struct_size: size_of::<c::eplb_answer>(),
        kind: kind as i32,
        reserved: 0,
        token: token.0,
        step,
        reason: text.as_deref().map_or(ptr::null(), CStr::as_ptr),
    };
    // SAFETY: the caller's function with the pointer given with it, in the caller's own call; the answer
    // and its text stay until it returns.
    unsafe { visit(user, &raw const described) }
}

fn answer_of(caller: &Caller, given: &c::eplb_answer) -> Result<TokenStatus, Failure> {
    let given = caller.structure("answers", ptr::from_ref(given))?;
    let reason = || -> Result<Reason, Failure> {
        let text: *const c_char = given.reason;
        Ok(Reason::new(if text.is_null() { "" } else { caller.text("reason", text)? }))
    };
    let status = match u32::try_from(given.kind) {
        Ok(c::EPLB_ANSWER_PREPARED) => Answer::Prepared,
        Ok(c::EPLB_ANSWER_REFUSED) => Answer::Refused { reason: reason()? },
        Ok(c::EPLB_ANSWER_COMMITTED) => Answer::Committed { step: Step(given.step) },
        Ok(c::EPLB_ANSWER_COMMIT_FAILED) => Answer::CommitFailed { reason: reason()? },
        Ok(c::EPLB_ANSWER_REVERTED) => Answer::Reverted,
        Ok(c::EPLB_ANSWER_REVERT_FAILED) => Answer::RevertFailed { reason: reason()? },
        _ => return Err(Failure::argument("answer.kind", given.kind, "1 to 6")),
    };
    Ok(TokenStatus { token: Token(given.token), status })
}

fn load_of(caller: &Caller, load: &c::eplb_load) -> Result<LoadReport, Failure> {
    let is_prefix_sums = is_prefix_sums("load.form", load.form)?;
    Ok(LoadReport {
        first_step: Step(load.first_step),
        last_step: Step(load.last_step),
        counts: caller.slice("load.counts", load.counts, load.count)?.to_vec(),
        form: if is_prefix_sums { CountForm::PrefixSums } else { CountForm::Plain },
        phase: phase_of("load.phase", load.phase)?,
    })
}

fn needed<F>(visit: Option<F>) -> Result<F, Failure> {
    visit.ok_or_else(|| Failure::new(Status::Null, "visit is null"))
}

export! {
    fn eplb_header_read(
        caller,
        header: *const c_void,
        size: usize,
        step: *mut u64,
        visit: c::eplb_directive_fn,
        user: *mut c_void,
    ) {
        let place = caller.optional_place("step", step)?;
        let visit = needed(visit)?;
        let bytes = caller.slice::<u8>("header", header.cast(), size)?;
        let header = StepHeader::decode(bytes)
            .map_err(|error| Failure::new(Status::Header, error.to_string()))?;
        if let Some(place) = place {
            place.set(header.step.0);
        }
        header
            .directives
            .iter()
            .try_for_each(|next| heard("directives", visit_directive(next, visit, user)))
    }

    fn eplb_header_write(
        caller,
        step: u64,
        epochs: *const u64,
        layers: usize,
        directives: *const c::eplb_directive,
        count: usize,
        header: *mut c_void,
        capacity: usize,
        written: *mut usize,
    ) {
        let room = Room::new(caller, "header", header, capacity, written)?;
        let epochs = caller.slice("epochs", epochs, layers)?;
        let directives = caller.slice("directives", directives, count)?;
        let directives = directives.iter().map(|given| directive_of(caller, given));
        let header = StepHeader {
            step: Step(step),
            directives: directives.collect::<Result<_, _>>()?,
            epochs_digest: digest_of_epochs(epochs.iter().copied().map(Epoch)),
        };
        room.write(&header.encode())
    }

    fn eplb_report_read(
        caller,
        report: *const c_void,
        size: usize,
        rank: *mut u32,
        step: *mut u64,
        visit: c::eplb_answer_fn,
        user: *mut c_void,
    ) {
        let rank = caller.optional_place("rank", rank)?;
        let step = caller.optional_place("step", step)?;
        let visit = needed(visit)?;
        let bytes = caller.slice::<u8>("report", report.cast(), size)?;
        let report = RankReport::decode(bytes)
            .map_err(|error| Failure::new(Status::Report, error.to_string()))?;
        if let Some(rank) = rank {
            rank.set(report.rank.0);
        }
        if let Some(step) = step {
            step.set(report.step.0);
        }
        report.statuses.iter().try_for_each(|next| heard("answers", visit_answer(next, visit, user)))
    }

    fn eplb_report_write(
        caller,
        rank: u32,
        step: u64,
        load: *const c::eplb_load,
        answers: *const c::eplb_answer,
        count: usize,
        report: *mut c_void,
        capacity: usize,
        written: *mut usize,
    ) {
        let room = Room::new(caller, "report", report, capacity, written)?;
        let load = caller.optional_structure("load", load)?;
        let answers = caller.slice("answers", answers, count)?;
        let report = RankReport {
            rank: RankId(rank),
            step: Step(step),
            // A leader goes by its own clock.
            clock: Timestamp::default(),
            loads: load.iter().map(|load| load_of(caller, load)).collect::<Result<_, _>>()?,
            statuses: answers.iter().map(|given| answer_of(caller, given)).collect::<Result<_, _>>()?,
            plan_digest: None,
        };
        room.write(&report.encode())
    }
}
