//! What strangers do at the door of a backend does not disturb those who were given the id.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eplb_device::raw::Progress;

use super::connection::{read_message, write_message};
use super::message::{Envelope, Message, Place};
use super::name::CommunicatorName;
use super::station::Station;
use super::{Links, MOST_PIECE_BYTES};
use crate::hub::Hub;
use crate::peer::Nonce;

fn station() -> Arc<Station> {
    Station::new(Nonce::new(), Links::default())
}

fn address(name: &CommunicatorName) -> SocketAddr {
    match name.place {
        Some(Place::Tcp(address)) => address,
        other => panic!("{other:?}"),
    }
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Whether the other end closes without having said anything.
fn is_let_go(mut stream: TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // A reset is as good: some of what was sent was not read.
    !matches!(stream.read(&mut [0]), Ok(1))
}

/// Two stations join as two ranks, and are ready.
fn join_both(maker: &Station, joiner: &Station, name: &CommunicatorName) -> [Hub; 2] {
    let hubs = [maker.join(name, 0, 2).unwrap(), joiner.join(name, 1, 2).unwrap()];
    for (rank, hub) in (0..).zip(&hubs) {
        eventually("both are ready", || match hub.progress(rank) {
            Progress::Complete => true,
            Progress::Pending => false,
            Progress::Failed(error) => panic!("{error}"),
        });
    }
    hubs
}

fn say(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    // It may be let go while it still speaks.
    let _ = stream.write_all(bytes);
    stream
}

fn send(address: SocketAddr, key: Nonce, (from, to): (u32, u32), message: Message) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    write_message(&mut stream, &Envelope { key, from, to, message }).unwrap();
    stream
}

#[test]
fn garbage_and_wrong_keys_are_let_go_without_an_answer() {
    let (maker, joiner) = (station(), station());
    let name = maker.name().unwrap();
    let at = address(&name);
    let join = || Message::Join { size: 2, backend: Nonce::new(), place: Place::Tcp(at) };
    let mut cut = Envelope { key: name.key, from: 1, to: 1, message: join() }.write(0).unwrap();
    cut.truncate(20);
    let mut long = b"eplb".to_vec();
    long.extend_from_slice(&[0xff; 8]);
    long.resize(MOST_PIECE_BYTES, 7);
    let strangers = [
        say(at, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        say(at, &[0; 4_096]),
        say(at, &long),
        say(at, &cut),
        say(at, b""),
        send(at, Nonce::new(), (1, 1), join()),
        send(at, Nonce::new(), (1, 0), Message::Hello),
        send(at, name.key, (1, 0), Message::Bye),
    ];
    join_both(&maker, &joiner, &name);
    let begun = Instant::now();
    assert!(strangers.into_iter().all(is_let_go));
    // The silent ones as well, once their time is over.
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn slow_strangers_in_any_number_keep_nobody_out() {
    let (maker, joiner) = (station(), station());
    let name = maker.name().unwrap();
    let at = address(&name);
    let slow: Vec<TcpStream> = (0..300).map(|_| say(at, b"ep")).collect();
    let begun = Instant::now();
    join_both(&maker, &joiner, &name);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(slow);
}

#[test]
fn a_second_claim_for_a_rank_is_refused_and_the_first_one_stays() {
    let (maker, joiner) = (station(), station());
    let name = maker.name().unwrap();
    let at = address(&name);
    let waiting = joiner.join(&name, 1, 2).unwrap();
    let join = Message::Join { size: 2, backend: Nonce::new(), place: Place::Tcp(at) };
    let refusal = || {
        let mut stream = send(at, name.key, (1, 1), join.clone());
        let until = Instant::now() + Duration::from_millis(300);
        match read_message(&mut stream, || Instant::now() < until) {
            Ok(Envelope { message: Message::Refused(why), .. }) => why.of("communicator"),
            other => panic!("{other:?}"),
        }
    };
    // Until the first one has its seat, the second one would be the first.
    eventually("the first one is seated", || !maker.seats_taken(name.key).is_empty());
    assert!(refusal().text().contains("rank 1 has joined before"));
    assert_eq!(waiting.progress(1), Progress::Pending);

    let own = maker.join(&name, 0, 2).unwrap();
    eventually("both are ready", || {
        [(&own, 0), (&waiting, 1)]
            .iter()
            .all(|(hub, rank)| hub.progress(*rank) == Progress::Complete)
    });
    // Nor is there a second link, for who knows the key.
    let mut second = send(at, name.key, (1, 0), Message::Hello);
    let until = Instant::now() + Duration::from_secs(5);
    let answer = read_message(&mut second, || Instant::now() < until).unwrap();
    assert!(matches!(answer.message, Message::Refused(_)), "{answer:?}");
    assert_eq!(own.progress(0), Progress::Complete);
}

#[test]
fn a_claim_ends_with_its_connection() {
    let (maker, joiner) = (station(), station());
    let name = maker.name().unwrap();
    let at = address(&name);
    let join = Message::Join { size: 2, backend: Nonce::new(), place: Place::Tcp(at) };
    let first = send(at, name.key, (1, 1), join);
    eventually("it has the seat", || maker.seats_taken(name.key) == [1]);
    drop(first);
    eventually("the seat is free again", || maker.seats_taken(name.key).is_empty());
    join_both(&maker, &joiner, &name);
}

#[test]
fn garbage_on_a_link_ends_that_link_alone_and_is_named() {
    let (maker, joiner) = (station(), station());
    let name = maker.name().unwrap();
    let at = address(&name);
    let (fake, waiting) = (Nonce::new(), maker.join(&name, 0, 3).unwrap());
    let good = joiner.join(&name, 1, 3).unwrap();
    // A third rank that has the key and goes wrong once it is linked.
    let join = Message::Join { size: 3, backend: fake, place: Place::Tcp(at) };
    let mut third = send(at, name.key, (2, 2), join);
    let until = Instant::now() + Duration::from_secs(10);
    let roster = read_message(&mut third, || Instant::now() < until).unwrap();
    let Message::Roster(seats) = roster.message else { panic!("{roster:?}") };
    let mut links: Vec<TcpStream> = (0..2)
        .map(|peer: u32| {
            let Some(Place::Tcp(place)) = seats[peer as usize].place else { panic!("{seats:?}") };
            let mut link = send(place, name.key, (2, peer), Message::Hello);
            let answer = read_message(&mut link, || Instant::now() < until).unwrap();
            assert_eq!(answer.message, Message::Welcome);
            link
        })
        .collect();
    let hubs = [(&waiting, 0), (&good, 1)];
    eventually("all are ready", || {
        hubs.iter().all(|(hub, rank)| hub.progress(*rank) == Progress::Complete)
    });
    links[0].write_all(b"this is no message, and it is long enough").unwrap();
    eventually("it is noticed", || waiting.look(|state| state.mail.trouble(0)).is_some());
    let error = waiting.look(|state| state.mail.trouble(0)).unwrap();
    assert!(
        error.text().contains("rank 2: the connection has failed: it carried garbage"),
        "{error}"
    );
    assert_eq!(good.look(|state| state.mail.trouble(1)), None);
    // A message that is well made, but out of turn.
    let stray = Envelope { key: name.key, from: 2, to: 1, message: Message::Welcome };
    write_message(&mut links[1], &stray).unwrap();
    eventually("it is noticed", || good.look(|state| state.mail.trouble(1)).is_some());
    assert_eq!(waiting.progress(0), Progress::Complete);
}
