//! What ranks cannot truthfully say: counted, and nothing changes.

use eplb_core::{LayerId, RankId, Step};
use eplb_manager::{
    Event, LayerPhase, Note, RankReport, Reason, ReportError, Status, Token, TokenStatus,
};

use crate::rig::{RANKS, Rig, eager, initial, load};

fn reason() -> Reason {
    Reason::new("so it says")
}

/// How far the change of layer 0 got.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Preparing,
    Committing,
    Reverting,
}

/// A rig with layer 0 under way, where rank 3 has been silent and rank 1 has answered. The commit and
/// the revert are named from steps 3 and 4.
fn rig(at: At) -> Rig {
    let mut rig = Rig::new(eager());
    rig.step_with(&load(1));
    rig.plan();
    rig.step(true);
    rig.says(1, Token(0), Status::Prepared);
    if at == At::Preparing {
        rig.step(true);
        return rig;
    }
    rig.step(true);
    for rank in [0, 2, 3] {
        rig.says(rank, Token(0), Status::Prepared);
    }
    let step = rig.step(true).step;
    assert_eq!(step, Step(3));
    rig.says(1, Token(0), Status::Committed { step });
    if at == At::Reverting {
        rig.says(0, Token(0), Status::CommitFailed { reason: reason() });
        rig.step(true);
        rig.says(1, Token(0), Status::Reverted);
    }
    rig.step(true);
    rig
}

fn committed(step: u64) -> Status {
    Status::Committed { step: Step(step) }
}

#[test]
fn statuses_that_cannot_be_change_nothing() {
    let refused = || Status::Refused { reason: reason() };
    let commit_failed = || Status::CommitFailed { reason: reason() };
    let revert_failed = || Status::RevertFailed { reason: reason() };
    let lies: Vec<(At, u32, Status)> = vec![
        // Nothing was committed or reverted yet.
        (At::Preparing, 3, committed(2)),
        (At::Preparing, 3, commit_failed()),
        (At::Preparing, 3, Status::Reverted),
        (At::Preparing, 3, revert_failed()),
        (At::Preparing, 1, committed(2)),
        // Another answer than before.
        (At::Preparing, 1, refused()),
        (At::Committing, 1, Status::Prepared),
        (At::Committing, 1, commit_failed()),
        (At::Committing, 1, refused()),
        (At::Committing, 1, committed(4)),
        // Before the commit's step, or on a step to come.
        (At::Committing, 3, committed(2)),
        (At::Committing, 3, committed(9)),
        (At::Committing, 3, committed(u64::MAX)),
        (At::Committing, 3, Status::Reverted),
        (At::Committing, 3, revert_failed()),
        (At::Committing, 3, refused()),
        (At::Reverting, 1, committed(3)),
        (At::Reverting, 1, revert_failed()),
        (At::Reverting, 1, Status::Prepared),
        (At::Reverting, 0, committed(3)),
        (At::Reverting, 3, refused()),
        (At::Reverting, 3, committed(1)),
    ];
    for (at, rank, status) in lies {
        let name = format!("{at:?}: rank {rank} says {status:?}");
        let mut lied_to = rig(at);
        let mut spared = rig(at);
        lied_to.take_notes();
        spared.take_notes();
        lied_to.says(rank, Token(0), status);
        let error = ReportError::Contradiction { rank: RankId(rank), token: Token(0) };
        let sender = RankId(rank);
        assert_eq!(lied_to.take_notes(), [Note::ReportRejected { sender, error }], "{name}");
        assert_eq!(lied_to.manager.counters().reports_contradicting, 1, "{name}");
        behave_alike(&mut lied_to, &mut spared, &name);
    }
}

/// Both go on alike: the phase, the next header, and what the ranks' true answers lead to.
fn behave_alike(left: &mut Rig, right: &mut Rig, name: &str) {
    assert_eq!(
        left.manager.layer_phase(LayerId(0)),
        right.manager.layer_phase(LayerId(0)),
        "{name}"
    );
    assert_eq!(left.manager.poll_timeout(), right.manager.poll_timeout(), "{name}");
    assert_eq!(left.step(true), right.step(true), "{name}");
    assert_eq!(left.finish_round(), right.finish_round(), "{name}");
    assert_eq!(left.take_notes(), right.take_notes(), "{name}");
    assert_eq!(left.manager.placement(), right.manager.placement(), "{name}");
}

#[test]
fn tokens_that_cannot_be_change_nothing() {
    let says = |tokens: &[u64]| -> Vec<TokenStatus> {
        let status = |&token| TokenStatus { token: Token(token), status: Status::Prepared };
        tokens.iter().map(status).collect()
    };
    for tokens in [&[1][..], &[u64::MAX], &[0, 0], &[0, 7]] {
        let mut lied_to = rig(At::Preparing);
        let mut spared = rig(At::Preparing);
        lied_to.take_notes();
        spared.take_notes();
        let mut report = lied_to.report_of(3, Some(lied_to.load_of(3, &load(50))));
        report.statuses = says(tokens);
        lied_to.send(report);
        assert_eq!(lied_to.take_notes().len(), 1);
        assert_eq!(lied_to.manager.counters().reports_contradicting, 1);
        behave_alike(&mut lied_to, &mut spared, &format!("{tokens:?}"));
    }
}

/// Rank 0 has not answered for layer 0 yet, so its refusal would be believed.
fn refusal(rig: &Rig) -> RankReport {
    let mut report = rig.report_of(0, None);
    let status = Status::Refused { reason: reason() };
    report.statuses.push(TokenStatus { token: Token(0), status });
    report
}

/// Load that was not reported yet, so it would be believed.
fn load_of_rank_2(rig: &Rig) -> RankReport {
    rig.report_of(2, Some(rig.load_of(2, &load(9))))
}

#[test]
fn reports_in_anothers_name_or_out_of_order_change_nothing() {
    type Make = fn(&Rig) -> (RankId, RankReport);
    let (two, step) = (RankId(2), Step(4));
    let cases: [(Make, ReportError); 6] = [
        (
            |rig| (RankId(3), refusal(rig)),
            ReportError::Forged { sender: RankId(3), claimed: RankId(0) },
        ),
        (
            |rig| (RankId(4), RankReport { rank: RankId(4), ..refusal(rig) }),
            ReportError::UnknownRank { rank: RankId(4), ranks: 4 },
        ),
        (
            |rig| (RankId(u32::MAX), RankReport { rank: RankId(u32::MAX), ..refusal(rig) }),
            ReportError::UnknownRank { rank: RankId(u32::MAX), ranks: 4 },
        ),
        (
            |rig| (RankId(0), RankReport { step: Step(5), ..refusal(rig) }),
            ReportError::FromTheFuture { rank: RankId(0), step: Step(5) },
        ),
        (|rig| (RankId(2), load_of_rank_2(rig)), ReportError::Repeated { rank: two, step }),
        (
            |rig| {
                let mut report = load_of_rank_2(rig);
                report.step = Step(3);
                report.loads.iter_mut().for_each(|load| load.last_step = Step(3));
                report.loads.iter_mut().for_each(|load| load.first_step = Step(3));
                (RankId(2), report)
            },
            ReportError::Late { rank: two, step: Step(3), last: step },
        ),
    ];
    for (make, error) in cases {
        let mut lied_to = rig(At::Preparing);
        let mut spared = rig(At::Preparing);
        for rig in [&mut lied_to, &mut spared] {
            rig.step(true);
            rig.step(true);
            rig.says(2, Token(0), Status::Prepared);
            rig.take_notes();
        }
        assert_eq!(lied_to.last_step(), step);
        let (sender, report) = make(&lied_to);
        lied_to.event(Event::Report { sender, report });
        let name = error.to_string();
        assert_eq!(lied_to.take_notes(), [Note::ReportRejected { sender, error }], "{name}");
        let counters = lied_to.manager.counters();
        let rejected = counters.reports_forged
            + counters.reports_from_the_future
            + counters.reports_late
            + counters.reports_repeated;
        assert_eq!(rejected, 1, "{name}");
        behave_alike(&mut lied_to, &mut spared, &name);
    }
}

#[test]
fn a_repeated_report_counts_once() {
    let mut rig = Rig::new(eager());
    rig.step(true);
    for rank in 0..RANKS {
        let report = rig.report_of(rank, Some(rig.load_of(rank, &load(1))));
        rig.send(report.clone());
        rig.send(report.clone());
        rig.send(report);
    }
    assert_eq!(rig.manager.counters().reports_repeated, 8);
    assert_eq!(rig.jobs[0].windows, [load(1)]);
}

#[test]
fn nothing_is_believed_before_the_first_step() {
    let mut rig = Rig::new(eager());
    rig.next_step = 1;
    for rank in 0..RANKS {
        let report = rig.report_of(rank, Some(rig.load_of(rank, &load(1))));
        rig.send(report);
    }
    assert_eq!(rig.manager.counters().reports_from_the_future, 4);
    assert_eq!(rig.manager.placement(), &initial());
    assert_eq!(rig.manager.layer_phase(LayerId(0)), LayerPhase::Idle);
}
