//! Communicators between processes: all of their work, and what ends it.

use std::cell::Cell;
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

use eplb_device::{Communicator, CommunicatorId, DeviceError, ErrorKind, Result, Stream, Transfer};
use eplb_host::HostBackend;

use crate::child::{Player, from_hex, listen, say, to_hex};
use crate::support::work::do_everything;
use crate::support::{bytes_of, on_some_ranks, open, patience, with_bytes, within};

pub(crate) const PARTS: &[(&str, fn())] = &[("ranks", ranks)];

pub(crate) const CHECKS: &[(&str, fn())] = &[
    ("ranks in several processes, some of them threads, do everything", everything),
    ("a rank killed in mid-payload is noticed at once", killed_in_mid_payload),
    ("a rank killed while the others are idle is noticed at once", killed_while_idle),
    ("an abort in mid-payload ends the work of all", aborted_in_mid_payload),
    ("an aborted stream in mid-payload ends in time", stream_aborted_in_mid_payload),
    ("a rank that stands still holds up neither abort nor drop", a_stopped_rank),
    ("a rank leaves when the others have heard it, or soon after", leaves_in_time),
    ("ranks that end at once have delivered all", ends_at_once),
];

/// Bytes that take a while between processes.
const LARGE: usize = 64 << 20;

/// Holds the ranks that the first line names, and does with them what it says.
fn ranks() {
    let line = listen();
    let [id, size, ranks, task] = line.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{line}");
    };
    let id = CommunicatorId::from(from_hex(id));
    let ranks: Vec<u32> = ranks.split(',').map(|rank| rank.parse().unwrap()).collect();
    let host = HostBackend::new(u32::try_from(ranks.len()).unwrap());
    let task: fn(&Communicator, &Stream) -> Result<()> = match task {
        "everything" => do_everything,
        "flood" => |end, stream| flood(end, stream, || say("flooding")),
        "wait" => |_, _| {
            say("ready");
            listen();
            Ok(())
        },
        "broadcast" => |end, stream| broadcast(end, stream).map(drop),
        other => panic!("{other}"),
    };
    let results = on_some_ranks(&host, &id, (&ranks, size.parse().unwrap()), &task);
    let results: Vec<String> = results.into_iter().map(told).collect();
    say(&results.join("; "));
}

fn told(result: Result<()>) -> String {
    result
        .map_or_else(|error| format!("{:?}: {}", error.kind(), error.text()), |()| "ok".to_owned())
}

/// Queues more than is ever moved, round and round, and waits for its end.
fn flood(end: &Communicator, stream: &Stream, begun: impl Fn()) -> Result<()> {
    let device = stream.device();
    let (next, before) =
        ((end.rank() + 1) % end.size(), (end.rank() + end.size() - 1) % end.size());
    let sent = device.allocate(LARGE)?;
    let received = device.allocate(LARGE)?;
    // The links are known to work before it is said that it has begun.
    end.barrier(stream)?;
    stream.wait(&mut patience())?;
    for _ in 0..1_000 {
        end.exchange(&[Transfer::new(next, &sent)], &[Transfer::new(before, &received)], stream)?;
    }
    begun();
    stream.wait(&mut patience())
}

fn broadcast(end: &Communicator, stream: &Stream) -> Result<Vec<u8>> {
    let content = vec![if end.rank() == 0 { 9 } else { 0 }; 3_000_000];
    let memory = with_bytes(stream.device(), &content);
    end.broadcast(&memory, 0, stream)?;
    stream.wait(&mut patience())?;
    Ok(bytes_of(&memory))
}

/// A communicator with ranks in other processes: the id, and processes that hold these ranks.
fn start(
    size: u32,
    others: &[&str],
    task: &str,
) -> (Arc<HostBackend>, CommunicatorId, Vec<Player>) {
    let host = HostBackend::new(size);
    let id = open(&host, 0).communicator_id().unwrap();
    let hex = to_hex(id.as_bytes());
    let players = others.iter().map(|ranks| {
        let mut player = Player::start("ranks");
        player.tell(&format!("{hex} {size} {ranks} {task}"));
        player
    });
    let players = players.collect();
    (host, id, players)
}

fn everything() {
    for (size, own, others) in
        [(2, &[0][..], &["1"][..]), (5, &[3, 0], &["1", "4,2"]), (3, &[], &["2", "0", "1"])]
    {
        let (host, id, mut players) = start(size, others, "everything");
        for result in on_some_ranks(&host, &id, (own, size), &do_everything) {
            result.unwrap();
        }
        for (player, ranks) in players.iter_mut().zip(others) {
            let expected = ranks.split(',').map(|_| "ok").collect::<Vec<_>>().join("; ");
            assert_eq!(player.hear(), expected);
        }
        players.into_iter().for_each(Player::end);
    }
}

/// Ranks 0 and 1 of this process and rank 2 of another one flood each other; in the middle of that,
/// something happens at both ranks here. Gives how their streams ended, and how long after it.
fn flood_until(
    happens: impl Fn(&Mutex<Player>, &Communicator, &Stream) + Sync,
    then: impl Fn(&mut Player),
) -> [(DeviceError, Duration); 2] {
    let (host, id, mut players) = start(3, &["2"], "flood");
    let player = Mutex::new(players.remove(0));
    let begun = Barrier::new(2);
    let results = on_some_ranks(&host, &id, (&[0, 1], 3), &|end, stream| {
        let happened = Cell::new(None);
        let result = flood(end, stream, || {
            if end.rank() == 0 {
                assert_eq!(player.lock().unwrap().hear(), "flooding");
                // Some of the bytes are on their way then, of thousands of times as many.
                std::thread::sleep(Duration::from_millis(100));
            }
            begun.wait();
            happened.set(Some(Instant::now()));
            happens(&player, end, stream);
        });
        (result.unwrap_err(), happened.get().unwrap().elapsed())
    });
    then(&mut player.lock().unwrap());
    results.try_into().unwrap()
}

fn fails_because(error: &DeviceError, kind: ErrorKind, text: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.text().contains(text), "{error}");
}

/// Waits until a rank hears of trouble by itself; that has to be soon.
fn trouble(end: &Communicator) -> DeviceError {
    let begun = Instant::now();
    loop {
        if let Err(error) = end.check() {
            return error;
        }
        assert!(begun.elapsed() < Duration::from_millis(500), "nobody notices");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn killed_in_mid_payload() {
    let ended = flood_until(
        |player, end, stream| {
            player.lock().unwrap().kill();
            fails_because(&trouble(end), ErrorKind::Failed, "rank 2: ");
            // Ranks that are left may wait for each other; each gives up on its own.
            if end.rank() == 0 {
                let _ = stream.wait(&mut within(100));
                end.abort().unwrap();
            }
        },
        |_| {},
    );
    for (error, took) in ended {
        fails_because(&error, ErrorKind::Failed, "rank 2: ");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

fn killed_while_idle() {
    let (host, id, mut players) = start(2, &["1"], "wait");
    let player = Mutex::new(players.remove(0));
    on_some_ranks(&host, &id, (&[0], 2), &|end, stream| {
        let mut player = player.lock().unwrap();
        assert_eq!(player.hear(), "ready");
        let memory = stream.device().allocate(100).unwrap();
        end.exchange(&[], &[Transfer::new(1, &memory)], stream).unwrap();
        end.check().unwrap();
        assert!(stream.wait(&mut within(50)).is_err());
        player.kill();
        let killed = Instant::now();
        fails_because(&trouble(end), ErrorKind::Failed, "its process has ended");
        let error = stream.wait(&mut patience()).unwrap_err();
        fails_because(&error, ErrorKind::Failed, "rank 1: its process has ended");
        assert!(killed.elapsed() < Duration::from_millis(500), "{:?}", killed.elapsed());
    });
}

fn aborted_in_mid_payload() {
    let ended = flood_until(
        |_, end, _| end.abort().unwrap(),
        |player| {
            let told = player.hear();
            assert!(told.starts_with("Aborted: rank ") && told.contains("aborted"), "{told}");
        },
    );
    for (error, took) in ended {
        fails_because(&error, ErrorKind::Aborted, "aborted");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

fn stream_aborted_in_mid_payload() {
    let ended = flood_until(
        |_, _, stream| stream.abort().unwrap(),
        |player| {
            // Its partners have gone on without it, and left.
            let told = player.hear();
            assert!(told.starts_with("Aborted: ") || told.starts_with("InvalidUse: "), "{told}");
        },
    );
    for (error, took) in ended {
        fails_because(&error, ErrorKind::Aborted, "the stream was aborted");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}

fn a_stopped_rank() {
    let begun = Instant::now();
    let ended = flood_until(
        |player, end, stream| {
            player.lock().unwrap().stop();
            fails_because(&stream.wait(&mut within(300)).unwrap_err(), ErrorKind::TimedOut, "");
            end.abort().unwrap();
        },
        |_| {},
    );
    for (error, took) in ended {
        fails_because(&error, ErrorKind::Aborted, "aborted");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}

fn leaves_in_time() {
    for (is_stopped, least, most) in [(false, 0, 500), (true, 900, 3_000)] {
        let (host, id, mut players) = start(2, &["1"], "wait");
        let player = Mutex::new(players.remove(0));
        let leaving = on_some_ranks(&host, &id, (&[0], 2), &|_, _| {
            let mut player = player.lock().unwrap();
            assert_eq!(player.hear(), "ready");
            if is_stopped {
                player.stop();
            }
            Instant::now()
        });
        let took = leaving[0].elapsed();
        let allowed = Duration::from_millis(least)..Duration::from_millis(most);
        assert!(allowed.contains(&took), "stopped: {is_stopped}, {took:?}");
    }
}

fn ends_at_once() {
    for _ in 0..10 {
        // The root's process ends as soon as its part is done.
        let (host, id, mut players) = start(3, &["0", "2"], "broadcast");
        let found = on_some_ranks(&host, &id, (&[1], 3), &broadcast);
        assert!(found[0].clone().unwrap() == [9; 3_000_000]);
        for player in &mut players {
            assert_eq!(player.hear(), "ok");
        }
    }
}
