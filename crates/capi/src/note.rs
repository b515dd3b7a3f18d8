//! What happened inside a manager, as a structure of the header.

use std::ffi::CString;

use eplb::Note;

use crate::generated as c;

/// A note, without its text.
pub(crate) fn describe(note: &Note) -> c::eplb_note {
    let kind = kind(note);
    let none = c::eplb_note {
        struct_size: size_of::<c::eplb_note>(),
        kind: kind as i32,
        layer: c::EPLB_NONE,
        rank: c::EPLB_NONE,
        count: c::EPLB_NONE,
        round: u64::MAX,
        epoch: u64::MAX,
        step: u64::MAX,
        balancedness_before: f64::NAN,
        balancedness_after: f64::NAN,
        gain: f64::NAN,
        price: f64::NAN,
        text: std::ptr::null(),
    };
    match note {
        Note::RoundStarted { round, layers } => {
            c::eplb_note { round: round.0, count: layers.len() as u32, ..none }
        }
        Note::LayerPlanned {
            round,
            layer,
            balancedness_before,
            balancedness_after,
            account,
            is_moving,
        } => c::eplb_note {
            round: round.0,
            layer: layer.0,
            count: u32::from(*is_moving),
            balancedness_before: *balancedness_before,
            balancedness_after: *balancedness_after,
            gain: account.map_or(f64::NAN, |account| account.gain),
            price: account.map_or(f64::NAN, |account| account.price),
            ..none
        },
        Note::RoundPlanned { round, moving } => {
            c::eplb_note { round: round.0, count: moving.len() as u32, ..none }
        }
        Note::RoundFinished { round, committed } | Note::RoundAborted { round, committed, .. } => {
            c::eplb_note { round: round.0, count: *committed, ..none }
        }
        Note::LayerCommitted { layer, epoch, at_step, parts_left, .. } => c::eplb_note {
            layer: layer.0,
            epoch: epoch.0,
            step: at_step.0,
            count: *parts_left as u32,
            ..none
        },
        Note::LayerIndivisible { layer, most_slots } => {
            c::eplb_note { layer: layer.0, count: *most_slots as u32, ..none }
        }
        Note::LayerRefused { layer, rank, .. }
        | Note::CommitFailed { layer, rank, .. }
        | Note::RevertFailed { layer, rank, .. }
        | Note::RevertUnconfirmed { layer, rank, .. } => {
            c::eplb_note { layer: layer.0, rank: rank.0, ..none }
        }
        Note::LayerReverted { layer, epoch, .. } => {
            c::eplb_note { layer: layer.0, epoch: epoch.0, ..none }
        }
        Note::ReportRejected { sender, .. } => c::eplb_note { rank: sender.0, ..none },
        _ => none,
    }
}

/// One line for people.
pub(crate) fn text(note: &Note) -> CString {
    CString::new(format!("{note:?}").replace('\0', " ")).unwrap_or_default()
}

fn kind(note: &Note) -> c::eplb_note_kind {
    match note {
        Note::RoundStarted { .. } => c::EPLB_NOTE_ROUND_STARTED,
        Note::RoundSkipped => c::EPLB_NOTE_ROUND_SKIPPED,
        Note::LayerPlanned { .. } => c::EPLB_NOTE_LAYER_PLANNED,
        Note::RoundPlanned { .. } => c::EPLB_NOTE_ROUND_PLANNED,
        Note::RoundFinished { .. } => c::EPLB_NOTE_ROUND_FINISHED,
        Note::RoundAborted { .. } => c::EPLB_NOTE_ROUND_ABORTED,
        Note::LayerCommitted { .. } => c::EPLB_NOTE_LAYER_COMMITTED,
        Note::LayerIndivisible { .. } => c::EPLB_NOTE_LAYER_INDIVISIBLE,
        Note::LayerRefused { .. } => c::EPLB_NOTE_LAYER_REFUSED,
        Note::CommitFailed { .. } => c::EPLB_NOTE_COMMIT_FAILED,
        Note::RevertFailed { .. } => c::EPLB_NOTE_REVERT_FAILED,
        Note::LayerReverted { .. } => c::EPLB_NOTE_LAYER_REVERTED,
        Note::RevertUnconfirmed { .. } => c::EPLB_NOTE_REVERT_UNCONFIRMED,
        Note::ReportRejected { .. } => c::EPLB_NOTE_REPORT_REJECTED,
        _ => c::EPLB_NOTE_OTHER,
    }
}
