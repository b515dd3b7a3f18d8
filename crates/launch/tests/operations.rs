//! What members of a group do together, over threads and over TCP, and what they are told of those that
//! are gone.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use eplb_launch::{Group, GroupError, GroupOptions, Loss, TcpGroup, TcpLeader, ThreadGroup};

const SILENCE: Duration = Duration::from_millis(600);
const LIMIT: Duration = Duration::from_secs(10);

fn soon() -> Instant {
    Instant::now() + LIMIT
}

fn over_threads(size: u32) -> Vec<Arc<dyn Group>> {
    ThreadGroup::of(size, SILENCE).into_iter().map(|member| Arc::new(member) as _).collect()
}

fn over_tcp(size: u32) -> Vec<Arc<dyn Group>> {
    let options = GroupOptions { size, silence: SILENCE };
    let leader = TcpLeader::listen("127.0.0.1", options).unwrap();
    let invitation = leader.invitation().clone();
    let mut members: Vec<Arc<dyn Group>> = Vec::new();
    std::thread::scope(|scope| {
        let invitation = &invitation;
        let join = |rank| TcpGroup::join(invitation, rank, SILENCE, LIMIT).unwrap();
        let others: Vec<_> = (1..size).map(|rank| scope.spawn(move || join(rank))).collect();
        members.push(Arc::new(leader.wait(LIMIT).unwrap()));
        members.extend(others.into_iter().map(|other| Arc::new(other.join().unwrap()) as _));
    });
    members
}

/// Lets all members do the same at once.
fn all<T: Send>(members: &[Arc<dyn Group>], act: impl Fn(&dyn Group) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let act = &act;
        let each = members.iter().map(|member| scope.spawn(move || act(&**member)));
        let each: Vec<_> = each.collect();
        each.into_iter().map(|one| one.join().unwrap()).collect()
    })
}

#[test]
fn all_get_what_each_gave() {
    for members in [over_threads(5), over_tcp(5), over_threads(1), over_tcp(1)] {
        let size = members.len();
        let gathered = all(&members, |member| {
            let own = vec![member.rank() as u8; 3 * member.rank() as usize];
            member.all_gather(&own, soon()).unwrap()
        });
        let expected: Vec<_> = (0..size).map(|rank| vec![rank as u8; 3 * rank]).collect();
        assert!(gathered.iter().all(|parts| *parts == expected), "{gathered:?}");

        let gathered =
            all(&members, |member| member.gather(&[member.rank() as u8], soon()).unwrap());
        let expected: Vec<_> = (0..size).map(|rank| vec![rank as u8]).collect();
        assert_eq!(gathered[0], expected);
        assert!(gathered[1..].iter().all(Vec::is_empty), "{gathered:?}");

        let large = vec![7; 3_000_000];
        let given = all(&members, |member| {
            let own = if member.rank() == 0 { &large[..] } else { b"not looked at" };
            member.broadcast(own, soon()).unwrap()
        });
        assert!(given.iter().all(|given| *given == large));
    }
}

#[test]
fn messages_go_to_the_leader_and_back_in_order() {
    for members in [over_threads(3), over_tcp(3)] {
        for text in ["one", "two"] {
            members[2].send(0, text.as_bytes()).unwrap();
            members[0].send(1, text.as_bytes()).unwrap();
        }
        for text in ["one", "two"] {
            assert_eq!(members[0].receive(2, soon()).unwrap(), text.as_bytes());
            assert_eq!(members[1].receive(0, soon()).unwrap(), text.as_bytes());
        }
        let none = members[1].receive(0, Instant::now() + Duration::from_millis(30));
        assert_eq!(none, Err(GroupError::Late { rank: 0 }));
        assert_eq!(members[1].send(2, b""), Err(GroupError::NoWay { from: 1, to: 2 }));
        assert_eq!(members[0].send(3, b""), Err(GroupError::NoWay { from: 0, to: 3 }));
        assert_eq!(members[0].receive(0, soon()), Err(GroupError::NoWay { from: 0, to: 0 }));
    }
}

#[test]
fn a_member_that_leaves_is_told_to_all_at_the_same_operation() {
    for mut members in [over_threads(4), over_tcp(4)] {
        all(&members, |member| member.all_gather(b"all there", soon()).unwrap());
        members[2].leave("it has had enough");
        assert_eq!(members[2].all_gather(b"", soon()), Err(GroupError::Left));
        members.remove(2);
        let loss = Loss { rank: 2, why: "it has had enough".to_owned() };
        let told = all(&members, |member| member.all_gather(b"", soon()));
        let expected = Err(GroupError::Lost { losses: vec![loss.clone()] });
        assert!(told.iter().all(|told| *told == expected), "{told:?}");
        // The others go on.
        let gathered = all(&members, |member| member.all_gather(b"still", soon()).unwrap());
        let expected = [&b"still"[..], b"still", b"", b"still"];
        assert!(gathered.iter().all(|parts| *parts == expected), "{gathered:?}");
        assert!(members.iter().all(|member| member.losses() == [loss.clone()]));
        all(&members, |member| member.broadcast(b"and on", soon()).unwrap());
    }
}

#[test]
fn a_member_that_is_dropped_is_missed_at_once() {
    for mut members in [over_threads(3), over_tcp(3)] {
        drop(members.remove(1));
        let begun = Instant::now();
        let told = all(&members, |member| member.gather(b"", soon()));
        for told in told {
            let Err(GroupError::Lost { losses }) = told else { panic!("{told:?}") };
            assert_eq!(losses.iter().map(|loss| loss.rank).collect::<Vec<_>>(), [1]);
        }
        assert!(begun.elapsed() < LIMIT / 2, "{:?}", begun.elapsed());
    }
}

#[test]
fn a_member_that_does_not_answer_is_given_up_at_the_deadline() {
    for mut members in [over_threads(3), over_tcp(3)] {
        let stuck = members.remove(2);
        let limit = Duration::from_millis(200);
        let told = all(&members, |member| member.all_gather(b"", Instant::now() + limit));
        for told in told {
            let Err(GroupError::Lost { losses }) = told else { panic!("{told:?}") };
            assert_eq!(losses[0].rank, 2);
            assert!(losses[0].why.starts_with("it gave no answer within 0."), "{losses:?}");
        }
        // When it comes back it learns that it is out.
        let Err(GroupError::Lost { losses }) = stuck.all_gather(b"", soon()) else { panic!() };
        assert_eq!(losses[0].rank, 0);
        assert!(losses[0].why.contains("gave this rank up"), "{losses:?}");
    }
}

#[test]
fn without_a_leader_every_operation_ends() {
    for mut members in [over_threads(3), over_tcp(3)] {
        members.remove(0).leave("its run has failed");
        for _ in 0..2 {
            for told in all(&members, |member| member.broadcast(b"", soon())) {
                let Err(GroupError::Lost { losses }) = told else { panic!("{told:?}") };
                assert_eq!(losses, [Loss { rank: 0, why: "its run has failed".to_owned() }]);
            }
        }
        assert!(members.iter().all(|member| member.losses().len() == 1));
    }
}

#[test]
fn a_quiet_group_stays_together() {
    let members = over_tcp(3);
    std::thread::sleep(3 * SILENCE);
    let gathered = all(&members, |member| member.all_gather(b"here", soon()).unwrap());
    assert!(gathered.iter().all(|parts| parts.len() == 3), "{gathered:?}");
}

#[test]
fn a_message_that_is_no_control_message_is_refused() {
    let members = over_threads(2);
    let bytes = <dyn Group>::MOST_BYTES + 1;
    let refused = members[0].send(1, &vec![0; bytes]);
    assert_eq!(refused, Err(GroupError::TooLong { bytes, most: bytes - 1 }));
}
