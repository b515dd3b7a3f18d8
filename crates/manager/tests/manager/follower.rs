//! The follower: headers in, actions out.

use eplb_core::{Epoch, ExpertId, LayerId, LayerPlacement, Placement, RankId, Step};
use eplb_manager::{
    Action, Directive, Follower, FollowerError, ManagerError, Reason, Status, StepHeader,
    Timestamp, Token, TokenStatus, epochs_digest,
};

use crate::rig::{initial, shape, topology, turned};

const LAYER: LayerId = LayerId(1);
const TOKEN: Token = Token(5);

fn follower() -> Follower {
    Follower::new(RankId(2), shape(), topology(), initial()).expect("valid")
}

fn old() -> LayerPlacement {
    initial().layer(LAYER).clone()
}

fn new() -> LayerPlacement {
    LayerPlacement::new(LAYER, &turned(&initial(), LAYER), Epoch(1), shape(), &topology())
        .expect("valid")
}

fn switched() -> Placement {
    let mut placement = initial();
    placement.set_layer(LAYER, new());
    placement
}

fn header(step: u64, directives: Vec<Directive>, placement: &Placement) -> StepHeader {
    StepHeader { step: Step(step), directives, epochs_digest: epochs_digest(placement) }
}

fn prepare() -> Directive {
    let experts = new().experts().to_vec();
    let (from_epoch, epoch) = (Epoch(0), Epoch(1));
    Directive::Prepare { token: TOKEN, layer: LAYER, from_epoch, epoch, experts, shares: None }
}

fn commit(at_step: u64) -> Directive {
    Directive::Commit { token: TOKEN, layer: LAYER, epoch: Epoch(1), at_step: Step(at_step) }
}

fn revert(at_step: u64) -> Directive {
    Directive::Revert { token: TOKEN, layer: LAYER, epoch: Epoch(0), at_step: Step(at_step) }
}

fn statuses(follower: &Follower) -> Vec<Status> {
    let report = follower.report(Step(0), Timestamp(7), Vec::new());
    assert_eq!((report.rank, report.clock), (RankId(2), Timestamp(7)));
    let status = |TokenStatus { token, status }| {
        assert_eq!(token, TOKEN);
        status
    };
    report.statuses.into_iter().map(status).collect()
}

/// A follower that has prepared layer 1 by step 1.
fn prepared() -> Follower {
    let mut follower = follower();
    let actions = follower.handle_header(&header(1, vec![prepare()], &initial())).expect("valid");
    let (token, layer) = (TOKEN, LAYER);
    assert_eq!(actions, [Action::Prepare { token, layer, from: old(), to: new() }]);
    assert_eq!(statuses(&follower), []);
    assert!(follower.prepared(TOKEN, Ok(())));
    assert_eq!(statuses(&follower), [Status::Prepared]);
    follower
}

/// A follower that has committed layer 1 on step 3.
fn committed() -> Follower {
    let mut follower = prepared();
    let actions = follower.handle_header(&header(3, vec![commit(3)], &switched())).expect("valid");
    let (token, layer) = (TOKEN, LAYER);
    assert_eq!(actions, [Action::Commit { token, layer, placement: new() }]);
    assert_eq!(statuses(&follower), [Status::Prepared], "not before the executor says so");
    let pending = FollowerError::SwitchPending { step: Step(3), token: TOKEN };
    assert_eq!(follower.check_step(Step(3)), Err(pending));
    assert!(follower.committed(TOKEN, Ok(())));
    assert_eq!(follower.check_step(Step(3)), Ok(()));
    assert_eq!(statuses(&follower), [Status::Committed { step: Step(3) }]);
    follower
}

/// The header must be refused and the follower stay what it was.
fn refuses(follower: &mut Follower, header: &StepHeader) -> FollowerError {
    let before = format!("{follower:?}");
    let error = follower.handle_header(header).expect_err("the header must be refused");
    assert_eq!(format!("{follower:?}"), before, "an error changes nothing");
    error
}

#[test]
fn a_change_from_prepare_to_release() {
    let mut follower = committed();
    assert_eq!(follower.placement(), &switched());
    assert_eq!(follower.handle_header(&header(4, vec![commit(3)], &switched())), Ok(vec![]));
    let actions = follower.handle_header(&header(5, vec![], &switched())).unwrap();
    assert_eq!(actions, [Action::Release { token: TOKEN, layer: LAYER }]);
    assert_eq!(statuses(&follower), []);
    assert_eq!(follower.handle_header(&header(6, vec![], &switched())), Ok(vec![]));
    assert_eq!(follower.placement(), &switched());
}

#[test]
fn the_same_header_again_asks_for_nothing() {
    let mut follower = prepared();
    let header = header(3, vec![commit(3)], &switched());
    assert_eq!(follower.handle_header(&header).unwrap().len(), 1);
    assert_eq!(follower.handle_header(&header), Ok(vec![]));
    let other = StepHeader { directives: vec![], ..header.clone() };
    assert_eq!(refuses(&mut follower, &other), FollowerError::HeaderChanged { step: Step(3) });
    let earlier = StepHeader { step: Step(2), ..header };
    let error = FollowerError::StepWentBack { step: Step(2), last: Step(3) };
    assert_eq!(refuses(&mut follower, &earlier), error);
}

#[test]
fn a_commit_that_comes_late_is_done_at_once() {
    let mut follower = prepared();
    // The headers of steps 3 and 4 were lost, so this rank ran neither.
    let actions = follower.handle_header(&header(5, vec![commit(3)], &switched())).unwrap();
    assert_eq!(actions.len(), 1);
    follower.committed(TOKEN, Ok(()));
    assert_eq!(statuses(&follower), [Status::Committed { step: Step(5) }]);
}

#[test]
fn switches_wait_for_their_step() {
    let mut follower = prepared();
    assert_eq!(follower.handle_header(&header(2, vec![commit(4)], &initial())), Ok(vec![]));
    assert_eq!(follower.handle_header(&header(3, vec![commit(4)], &initial())), Ok(vec![]));
    assert_eq!(follower.check_step(Step(3)), Ok(()));
    assert_eq!(follower.check_step(Step(4)), Err(FollowerError::NoHeader { step: Step(4) }));
    let actions = follower.handle_header(&header(4, vec![commit(4)], &switched())).unwrap();
    assert_eq!(actions.len(), 1);
    follower.committed(TOKEN, Ok(()));
    assert_eq!(follower.handle_header(&header(5, vec![revert(6)], &switched())), Ok(vec![]));
    assert_eq!(follower.handle_header(&header(6, vec![revert(6)], &initial())).unwrap().len(), 1);
}

#[test]
fn a_prepare_that_is_no_longer_named_is_aborted_once() {
    let mut follower = prepared();
    let actions = follower.handle_header(&header(2, vec![], &initial())).unwrap();
    assert_eq!(actions, [Action::Abort { token: TOKEN, layer: LAYER }]);
    assert_eq!(follower.handle_header(&header(3, vec![], &initial())), Ok(vec![]));
    assert!(!follower.prepared(TOKEN, Ok(())), "nobody is interested any more");
    assert!(!follower.committed(TOKEN, Ok(())));
    assert!(!follower.reverted(TOKEN, Ok(())));
    let error = FollowerError::UnknownToken { step: Step(4), token: TOKEN };
    assert_eq!(refuses(&mut follower, &header(4, vec![prepare()], &initial())), error);
}

#[test]
fn a_failed_prepare_is_refused_and_aborted() {
    let mut follower = follower();
    follower.handle_header(&header(1, vec![prepare()], &initial())).unwrap();
    assert!(follower.prepared(TOKEN, Err("no memory".to_owned())));
    assert!(!follower.prepared(TOKEN, Ok(())), "answered already");
    let refused = Status::Refused { reason: Reason::new("no memory") };
    assert_eq!(statuses(&follower), [refused]);
    let error = FollowerError::NotPrepared { step: Step(2), token: TOKEN };
    assert_eq!(refuses(&mut follower, &header(2, vec![commit(2)], &switched())), error);
    let actions = follower.handle_header(&header(2, vec![], &initial())).unwrap();
    assert_eq!(actions, [Action::Abort { token: TOKEN, layer: LAYER }]);
}

#[test]
fn a_prepare_from_another_epoch_is_refused_without_the_executor() {
    let mut follower = follower();
    let mut directive = prepare();
    if let Directive::Prepare { from_epoch, epoch, .. } = &mut directive {
        (*from_epoch, *epoch) = (Epoch(3), Epoch(4));
    }
    assert_eq!(follower.handle_header(&header(1, vec![directive], &initial())), Ok(vec![]));
    let reason = Reason::new("layer 1 is in epoch 0 here, not in epoch 3");
    assert_eq!(statuses(&follower), [Status::Refused { reason }]);
    assert_eq!(follower.handle_header(&header(2, vec![], &initial())), Ok(vec![]));
}

#[test]
fn a_failed_commit_stays_on_the_old_epoch_and_runs_no_step_until_the_revert() {
    let mut follower = prepared();
    follower.handle_header(&header(3, vec![commit(3)], &switched())).unwrap();
    assert!(follower.committed(TOKEN, Err("copy failed".to_owned())));
    assert_eq!(follower.placement(), &initial());
    let mismatch = |step| FollowerError::EpochMismatch {
        step: Step(step),
        own: epochs_digest(&initial()),
        wanted: epochs_digest(&switched()),
    };
    assert_eq!(follower.check_step(Step(3)), Err(mismatch(3)));
    let again = header(3, vec![commit(3)], &switched());
    assert_eq!(refuses(&mut follower, &again), mismatch(3), "the same header again");
    let failed = Status::CommitFailed { reason: Reason::new("copy failed") };
    assert_eq!(statuses(&follower), [failed]);
    let error = refuses(&mut follower, &header(4, vec![commit(3)], &switched()));
    assert_eq!(error, mismatch(4));
    // Nothing to switch back here, but it is confirmed.
    assert_eq!(follower.handle_header(&header(5, vec![revert(5)], &initial())), Ok(vec![]));
    assert_eq!(follower.check_step(Step(5)), Ok(()));
    assert_eq!(statuses(&follower), [Status::Reverted]);
    let actions = follower.handle_header(&header(6, vec![], &initial())).unwrap();
    assert_eq!(actions, [Action::Abort { token: TOKEN, layer: LAYER }]);
}

#[test]
fn a_committed_change_is_reverted_and_aborted() {
    let mut follower = committed();
    let actions = follower.handle_header(&header(4, vec![revert(4)], &initial())).unwrap();
    let (token, layer) = (TOKEN, LAYER);
    assert_eq!(actions, [Action::Revert { token, layer, placement: old() }]);
    assert_eq!(statuses(&follower), [Status::Committed { step: Step(3) }], "until it is done");
    assert!(follower.reverted(TOKEN, Ok(())));
    assert_eq!(follower.check_step(Step(4)), Ok(()));
    assert_eq!(statuses(&follower), [Status::Reverted]);
    assert_eq!(follower.handle_header(&header(5, vec![revert(4)], &initial())), Ok(vec![]));
    let actions = follower.handle_header(&header(6, vec![], &initial())).unwrap();
    assert_eq!(actions, [Action::Abort { token, layer }]);
    assert_eq!(follower.placement(), &initial());
}

#[test]
fn a_failed_revert_is_tried_again_with_each_header() {
    let mut follower = committed();
    for step in 4..8 {
        let actions = follower.handle_header(&header(step, vec![revert(4)], &initial())).unwrap();
        assert!(matches!(actions[..], [Action::Revert { .. }]));
        assert!(follower.reverted(TOKEN, Err("device lost".to_owned())));
        assert_eq!(follower.placement(), &switched());
        assert!(follower.check_step(Step(step)).is_err(), "it runs no step like this");
        let failed = Status::RevertFailed { reason: Reason::new("device lost") };
        assert_eq!(statuses(&follower), [failed]);
    }
    follower.handle_header(&header(8, vec![revert(4)], &initial())).unwrap();
    assert!(follower.reverted(TOKEN, Ok(())));
    assert_eq!(follower.check_step(Step(8)), Ok(()));
    assert_eq!(statuses(&follower), [Status::Reverted]);
}

#[test]
fn a_revert_overtakes_a_commit_that_is_not_answered() {
    let mut follower = prepared();
    follower.handle_header(&header(3, vec![commit(3)], &switched())).unwrap();
    let actions = follower.handle_header(&header(4, vec![revert(4)], &initial())).unwrap();
    assert!(matches!(actions[..], [Action::Revert { .. }]));
    assert!(!follower.committed(TOKEN, Ok(())), "too late to matter");
    assert!(follower.reverted(TOKEN, Ok(())));
    assert_eq!(follower.placement(), &initial());
}

#[test]
fn a_release_comes_before_the_next_prepare_of_the_layer() {
    let mut follower = committed();
    let experts = old().experts().to_vec();
    let next = Directive::Prepare {
        token: Token(6),
        layer: LAYER,
        from_epoch: Epoch(1),
        epoch: Epoch(2),
        experts,
        shares: None,
    };
    let actions = follower.handle_header(&header(9, vec![next], &switched())).unwrap();
    assert!(matches!(
        actions[..],
        [Action::Release { token: TOKEN, .. }, Action::Prepare { token: Token(6), .. }]
    ));
}

#[test]
fn headers_that_cannot_be_change_nothing() {
    let with = |change: fn(&mut Directive)| {
        let mut directive = prepare();
        change(&mut directive);
        header(2, vec![directive], &initial())
    };
    let step = Step(2);
    let cases: Vec<(StepHeader, FollowerError)> = vec![
        (
            header(2, vec![prepare()], &switched()),
            FollowerError::EpochMismatch {
                step,
                own: epochs_digest(&initial()),
                wanted: epochs_digest(&switched()),
            },
        ),
        (
            header(2, vec![commit(2)], &switched()),
            FollowerError::UnknownToken { step, token: TOKEN },
        ),
        (
            header(2, vec![revert(2)], &initial()),
            FollowerError::UnknownToken { step, token: TOKEN },
        ),
        (
            header(2, vec![prepare(), prepare()], &initial()),
            FollowerError::NamedTwice { step, layer: LAYER, token: TOKEN },
        ),
        (
            with(|directive| {
                if let Directive::Prepare { layer, .. } = directive {
                    *layer = LayerId(3);
                }
            }),
            FollowerError::UnknownLayer { step, layer: LayerId(3), layers: 3 },
        ),
        (
            with(|directive| {
                if let Directive::Prepare { epoch, .. } = directive {
                    *epoch = Epoch(0);
                }
            }),
            FollowerError::EpochWentBack { step, layer: LAYER, epoch: Epoch(0), live: Epoch(0) },
        ),
    ];
    for (header, expected) in cases {
        assert_eq!(refuses(&mut follower(), &header), expected);
    }
    let unplaced = with(|directive| {
        if let Directive::Prepare { experts, .. } = directive {
            experts.fill(ExpertId(0));
        }
    });
    assert!(matches!(refuses(&mut follower(), &unplaced), FollowerError::Table { .. }));
    let mut other = prepare();
    if let Directive::Prepare { experts, .. } = &mut other {
        experts.rotate_left(2);
    }
    let contradiction = FollowerError::Contradiction { step, token: TOKEN };
    for directive in [
        other,
        Directive::Commit { token: TOKEN, layer: LAYER, epoch: Epoch(2), at_step: step },
        Directive::Commit { token: TOKEN, layer: LayerId(0), epoch: Epoch(1), at_step: step },
        Directive::Revert { token: TOKEN, layer: LAYER, epoch: Epoch(1), at_step: step },
    ] {
        let header = header(2, vec![directive], &initial());
        assert_eq!(refuses(&mut prepared(), &header), contradiction);
    }
    let unprepared = &mut follower();
    unprepared.handle_header(&header(1, vec![prepare()], &initial())).unwrap();
    let error = refuses(unprepared, &header(2, vec![commit(2)], &switched()));
    assert_eq!(error, FollowerError::NotPrepared { step, token: TOKEN });
    let back = refuses(&mut committed(), &header(4, vec![prepare()], &switched()));
    assert_eq!(back, FollowerError::Contradiction { step: Step(4), token: TOKEN });
}

#[test]
fn a_report_is_never_older_than_what_it_answers() {
    let follower = committed();
    assert_eq!(follower.report(Step(1), Timestamp(0), Vec::new()).step, Step(3));
    assert_eq!(follower.report(Step(4), Timestamp(0), Vec::new()).step, Step(4));
}

#[test]
fn a_follower_needs_a_live_rank_and_a_fitting_placement() {
    let dead = topology().without(RankId(2)).unwrap();
    let placement = Placement::initial(shape(), &dead).unwrap();
    let error = Follower::new(RankId(2), shape(), dead.clone(), placement).unwrap_err();
    assert_eq!(error, ManagerError::OwnRank { rank: RankId(2), ranks: 4 });
    let error = Follower::new(RankId(4), shape(), topology(), initial()).unwrap_err();
    assert_eq!(error.to_string(), "own rank is rank 4, it must be a live one of the 4 ranks");
    let other = eplb_core::Topology::uniform(4, 3, 1).unwrap();
    let error = Follower::new(RankId(2), shape(), other, initial()).unwrap_err();
    assert!(matches!(error, ManagerError::Placement(_)));
}
