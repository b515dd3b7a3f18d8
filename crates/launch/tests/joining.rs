//! How ranks find each other by TCP, and who is kept out: strangers, late ranks, two with one number.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::spawn;
use std::time::{Duration, Instant};

use eplb_launch::{
    Group, GroupError, GroupOptions, Invitation, JoinError, RankTable, TcpGroup, TcpLeader,
    meet_by_file, meet_by_table,
};

const SILENCE: Duration = Duration::from_millis(600);
const LIMIT: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

fn options(size: u32) -> GroupOptions {
    GroupOptions { size, silence: SILENCE }
}

fn leader(size: u32) -> TcpLeader {
    TcpLeader::listen("127.0.0.1", options(size)).unwrap()
}

/// What an engine carries, and gives to another process.
fn carried(leader: &TcpLeader) -> Invitation {
    Invitation::from_bytes(&leader.invitation().to_bytes()).unwrap()
}

fn address(invitation: &Invitation) -> String {
    invitation.to_string().rsplit_once(' ').unwrap().1.to_owned()
}

fn check_alive(group: &dyn Group, expected: usize) {
    let parts = group.all_gather(b"here", Instant::now() + LIMIT).unwrap();
    assert_eq!(parts.iter().filter(|part| *part == b"here").count(), expected);
}

#[test]
fn strangers_are_turned_away_and_the_group_begins() {
    let leader = leader(2);
    let invitation = carried(&leader);
    let address = address(&invitation);
    let waiting = spawn(move || leader.wait(LIMIT));
    let mut browser = TcpStream::connect(&address).unwrap();
    browser.write_all(b"GET / HTTP/1.1\r\nHost: a-host-with-a-long-name\r\n\r\n").unwrap();
    let mut quiet = TcpStream::connect(&address).unwrap();
    drop(TcpStream::connect(&address).unwrap());
    let mut answer = Vec::new();
    // Closed without a word, also where that is a reset.
    browser.set_read_timeout(Some(LIMIT)).unwrap();
    let _ = browser.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{answer:?}");
    let joining = spawn(move || {
        let group = TcpGroup::join(&invitation, 1, SILENCE, LIMIT).unwrap();
        check_alive(&group, 2);
    });
    let group = waiting.join().unwrap().unwrap();
    check_alive(&group, 2);
    joining.join().unwrap();
    quiet.write_all(b"still here").unwrap();
}

#[test]
fn a_rank_comes_once_and_no_other_number_at_all() {
    let leader = leader(3);
    let invitation = carried(&leader);
    let waiting = spawn(move || leader.wait(LIMIT));
    let first = spawn({
        let invitation = invitation.clone();
        move || TcpGroup::join(&invitation, 1, SILENCE, LIMIT)
    });
    std::thread::sleep(SHORT);
    let refused = |rank| {
        let error = TcpGroup::join(&invitation, rank, SILENCE, LIMIT).unwrap_err();
        assert!(matches!(error, JoinError::Refused { .. } | JoinError::Rank { .. }), "{error:?}");
        error.to_string()
    };
    let twice = refused(1);
    assert!(twice.contains("rank 1 has come already from 127.0.0.1:"), "{twice}");
    assert!(refused(0).contains("its number is 0; allowed: 1 to 2, and 0 leads"));
    assert!(refused(3).contains("rank 3 is not allowed; allowed: 0 to 2"));
    let second = TcpGroup::join(&invitation, 2, SILENCE, LIMIT).unwrap();
    let group = waiting.join().unwrap().unwrap();
    let first = first.join().unwrap().unwrap();
    assert_eq!((group.rank(), first.rank(), second.rank()), (0, 1, 2));
    // And whoever comes now is late.
    let late = refused(1);
    assert!(late.contains("the group is complete and has begun"), "{late}");
}

#[test]
fn a_rank_that_ended_before_the_group_began_may_come_again() {
    let leader = leader(3);
    let invitation = carried(&leader);
    let waiting = spawn(move || leader.wait(LIMIT));
    let short = TcpGroup::join(&invitation, 1, SILENCE, Duration::ZERO);
    assert!(short.is_err(), "nobody else was there");
    let again = spawn({
        let invitation = invitation.clone();
        move || TcpGroup::join(&invitation, 1, SILENCE, LIMIT).map(|group| group.rank())
    });
    let last = TcpGroup::join(&invitation, 2, SILENCE, LIMIT).unwrap();
    assert_eq!(again.join().unwrap().unwrap(), 1);
    waiting.join().unwrap().unwrap();
    assert_eq!(last.rank(), 2);
}

#[test]
fn ranks_that_do_not_come_are_named_on_all_sides() {
    let leader = leader(4);
    let invitation = carried(&leader);
    let address = address(&invitation);
    let joining = spawn(move || TcpGroup::join(&invitation, 2, SILENCE, LIMIT));
    let mut stranger = TcpStream::connect(address).unwrap();
    stranger.write_all(&[7; 64]).unwrap();
    let error = leader.wait(SHORT).unwrap_err().to_string();
    let expected = "ranks 1, 3 did not come within 0.3 s (one stranger was turned away); start all \
                    ranks, or allow more time";
    assert_eq!(error, expected);
    let told = joining.join().unwrap().unwrap_err();
    let JoinError::Refused { reason, .. } = told else { panic!("{told}") };
    assert_eq!(reason, expected);
}

#[test]
fn without_a_leader_joining_ends() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let invitation = format!("eplb-group-1 {:032x} 2 {address}", 5);
    let invitation = Invitation::from_bytes(invitation.as_bytes()).unwrap();
    // Something listens there that never answers.
    let begun = Instant::now();
    let error = TcpGroup::join(&invitation, 1, SILENCE, SHORT).unwrap_err();
    assert!(matches!(error, JoinError::NoLeader { .. }), "{error}");
    assert!(begun.elapsed() < LIMIT / 2, "{:?}", begun.elapsed());
    // And now nothing.
    drop(taken);
    let error = TcpGroup::join(&invitation, 1, SILENCE, SHORT).unwrap_err().to_string();
    assert!(error.starts_with(&format!("no leader at {address} within 0.3 s: ")), "{error}");
    assert!(error.ends_with("is rank 0 running?"), "{error}");
}

#[test]
fn what_answers_has_to_be_a_leader() {
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = stranger.local_addr().unwrap().to_string();
    spawn(move || {
        for connection in stranger.incoming() {
            let _ = connection.unwrap().write_all(b"220 a mail server greets you\r\n");
        }
    });
    let invitation = format!("eplb-group-1 {:032x} 2 {address}", 5);
    let invitation = Invitation::from_bytes(invitation.as_bytes()).unwrap();
    let error = TcpGroup::join(&invitation, 1, SILENCE, SHORT).unwrap_err().to_string();
    assert!(error.contains("what answers there is no leader of a group"), "{error}");
}

#[test]
fn a_connected_stranger_cannot_break_a_group_that_runs() {
    let leader = leader(2);
    let invitation = carried(&leader);
    let address = address(&invitation);
    let joining = spawn(move || TcpGroup::join(&invitation, 1, SILENCE, LIMIT));
    let group = leader.wait(LIMIT).unwrap();
    let member = joining.join().unwrap().unwrap();
    for _ in 0..100 {
        if let Ok(mut stranger) = TcpStream::connect(&address) {
            let _ = stranger.write_all(&[255; 4096]);
        }
    }
    std::thread::sleep(2 * SILENCE);
    let other = spawn(move || check_alive(&member, 2));
    check_alive(&group, 2);
    other.join().unwrap();
}

#[test]
fn addresses_that_others_cannot_reach_are_refused() {
    for (address, problem) in [
        ("0.0.0.0:0", "other ranks connect to it"),
        ("192.0.2.1:0", "cannot be listened at"),
        ("127.0.0.1:port", "invalid port value"),
    ] {
        let error = TcpLeader::listen(address, options(2)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("address {address}: ")), "{error}");
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn bytes_that_are_no_invitation_are_refused() {
    let good = format!("eplb-group-1 {:032x} 2 host:1", 5);
    assert!(Invitation::from_bytes(good.as_bytes()).is_ok());
    for (bytes, problem) in [
        (&b"\xff\xfe"[..], "they are no text"),
        (b"", "four words are expected"),
        (b"eplb-group-9 1 2 host:1", "they do not begin with eplb-group-1"),
        (b"eplb-group-1 x 2 host:1", "the token is damaged"),
        (b"eplb-group-1 1 x host:1", "the number of ranks is damaged"),
        (b"eplb-group-1 1 0 host:1", "they name no rank or no address"),
        (b"eplb-group-1 1 2 host", "they name no rank or no address"),
    ] {
        let error = Invitation::from_bytes(bytes).unwrap_err().to_string();
        assert_eq!(error, format!("these bytes are no invitation to a group: {problem}"));
    }
}

#[test]
fn ranks_meet_by_a_file_that_is_gone_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("group");
    // What an earlier group left, whose leader is no more.
    std::fs::write(&path, format!("eplb-group-1 {:032x} 3 127.0.0.1:9", 5)).unwrap();
    let meet = |rank| {
        let path = path.clone();
        spawn(move || {
            let group = meet_by_file(&path, rank, "127.0.0.1", options(3), LIMIT).unwrap();
            check_alive(&group, 3);
        })
    };
    let others = [meet(1), meet(2)];
    std::thread::sleep(SHORT);
    meet(0).join().unwrap();
    others.into_iter().for_each(|other| other.join().unwrap());
    assert!(!path.exists(), "the file is left");
}

#[test]
fn a_file_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters.txt");
    std::fs::write(&path, "Dear reader").unwrap();
    for rank in [0, 1] {
        let error = meet_by_file(&path, rank, "127.0.0.1", options(2), LIMIT).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        assert!(error.contains("no file of a group") || error.contains("no invitation"), "{error}");
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "Dear reader");
    let missing = folder.path().join("no folder/group");
    let error = meet_by_file(&missing, 0, "127.0.0.1", options(2), LIMIT).unwrap_err();
    assert!(matches!(error, JoinError::File { .. }), "{error:?}");
    let error = meet_by_file(&missing, 1, "127.0.0.1", options(2), SHORT).unwrap_err().to_string();
    assert!(error.contains("the file is not there; is rank 0 running?"), "{error}");
}

#[test]
fn ranks_meet_by_a_table_and_only_those_that_have_the_same() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let table = |host: &str| {
        let text = format!(
            "[[ranks]]\nrank = 0\nhost = \"a\"\naddress = \"127.0.0.1:{port}\"\n\
             [[ranks]]\nrank = 1\nhost = \"{host}\"\naddress = \"127.0.0.1\"\n"
        );
        RankTable::parse(&text).unwrap()
    };
    let (shared, other) = (table("b"), table("c"));
    let leading = spawn({
        let table = shared.clone();
        move || meet_by_table(&table, 0, SILENCE, LIMIT).unwrap()
    });
    let error = meet_by_table(&other, 1, SILENCE, Duration::from_secs(1)).unwrap_err().to_string();
    assert!(error.contains("the leader there is another group's"), "{error}");
    let member = meet_by_table(&shared, 1, SILENCE, LIMIT).unwrap();
    let group = leading.join().unwrap();
    let other = spawn(move || check_alive(&member, 2));
    check_alive(&group, 2);
    other.join().unwrap();
    assert!(matches!(
        meet_by_table(&shared, 2, SILENCE, LIMIT),
        Err(JoinError::Rank { rank: 2, size: 2 })
    ));
}

#[test]
fn a_member_whose_frames_are_garbage_is_cut_off() {
    // A rank in all but what it says after the handshake.
    let leader = leader(2);
    let invitation = carried(&leader);
    let address = address(&invitation);
    let token = invitation.to_string().split(' ').nth(1).unwrap().to_owned();
    let waiting = spawn(move || leader.wait(LIMIT));
    let mut liar = TcpStream::connect(address).unwrap();
    let mut hello = b"eplbrnk\x01".to_vec();
    hello.extend(u128::from_str_radix(&token, 16).unwrap().to_le_bytes());
    hello.extend(2u32.to_le_bytes());
    hello.extend(1u32.to_le_bytes());
    liar.write_all(&hello).unwrap();
    let group = waiting.join().unwrap().unwrap();
    liar.write_all(&[0xee; 64]).unwrap();
    let told = group.all_gather(b"", Instant::now() + LIMIT);
    let Err(GroupError::Lost { losses }) = told else { panic!("{told:?}") };
    assert_eq!(losses[0].why, "it sent what no rank sends");
}
