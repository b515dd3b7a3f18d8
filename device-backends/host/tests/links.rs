//! Communicators between backends, which stand for processes: by TCP, and by a given carrier.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use eplb_device::{
    CommunicatorId, CommunicatorOptions, ErrorKind, Result, StreamPriority, Transfer,
};
use eplb_host::{Carrier, CarrierError, HostBackend, Links, MOST_MESSAGE_BYTES};
use support::work::do_everything;
use support::{eventually, kind, on_some_ranks, open, patience, with_bytes};

/// Which ranks each of several backends has.
const SPREAD: [&[u32]; 3] = [&[3, 0], &[1], &[2, 4]];

/// Makes an id with the first backend and lets each do its ranks' part of everything.
fn everything(hosts: &[Arc<HostBackend>; 3]) {
    let id = open(&hosts[0], 0).communicator_id().unwrap();
    std::thread::scope(|scope| {
        for (host, ranks) in hosts.iter().zip(SPREAD) {
            let id = &id;
            scope.spawn(move || {
                for result in on_some_ranks(host, id, (ranks, 5), &do_everything) {
                    result.unwrap();
                }
            });
        }
    });
    for host in hosts {
        assert_eq!((host.live_allocations(), host.live_streams()), (0, 0));
    }
}

#[test]
fn ranks_in_several_backends_do_everything_by_tcp() {
    everything(&std::array::from_fn(|_| HostBackend::new(2)));
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    everything(&std::array::from_fn(|_| HostBackend::with_links(2, Links::Tcp { address })));
}

#[test]
fn ids_need_an_address_that_others_reach() {
    for address in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))] {
        let host = HostBackend::with_links(1, Links::Tcp { address });
        let error = open(&host, 0).communicator_id().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert!(error.text().contains("cannot listen at"), "{error}");
    }
}

/// Messages on their way, by receiver.
#[derive(Debug, Default)]
struct Wire {
    queues: Vec<VecDeque<(u32, Vec<u8>)>>,
    /// Who has heard that this process is lost.
    lost: Option<(u32, Vec<bool>)>,
    broken: bool,
    largest: usize,
}

/// A carrier in memory.
#[derive(Debug)]
struct MemoryCarrier {
    process: u32,
    wire: Arc<Mutex<Wire>>,
}

impl Carrier for MemoryCarrier {
    fn process(&self) -> u32 {
        self.process
    }

    fn processes(&self) -> u32 {
        u32::try_from(self.wire.lock().unwrap().queues.len()).unwrap()
    }

    fn send(&mut self, to: u32, message: Vec<u8>) -> std::result::Result<(), CarrierError> {
        let mut wire = self.wire.lock().unwrap();
        wire.largest = wire.largest.max(message.len());
        assert_ne!(to, self.process, "a message to the own process");
        wire.queues[to as usize].push_back((self.process, message));
        Ok(())
    }

    fn poll_receive(&mut self) -> std::result::Result<Option<(u32, Vec<u8>)>, CarrierError> {
        let mut wire = self.wire.lock().unwrap();
        if wire.broken {
            return Err(CarrierError { process: None, text: "the wire is cut".to_owned() });
        }
        if let Some((lost, heard)) = &mut wire.lost
            && !std::mem::replace(&mut heard[self.process as usize], true)
        {
            let text = format!("process {lost} has been lost");
            return Err(CarrierError { process: Some(*lost), text });
        }
        Ok(wire.queues[self.process as usize].pop_front())
    }
}

fn carried() -> ([Arc<HostBackend>; 3], Arc<Mutex<Wire>>) {
    let wire = Arc::new(Mutex::new(Wire { queues: vec![VecDeque::new(); 3], ..Wire::default() }));
    let hosts = std::array::from_fn(|process| {
        let carrier = MemoryCarrier { process: process as u32, wire: Arc::clone(&wire) };
        HostBackend::with_links(2, Links::Given(Box::new(carrier)))
    });
    (hosts, wire)
}

#[test]
fn ranks_in_several_backends_do_everything_by_a_carrier() {
    let (hosts, wire) = carried();
    everything(&hosts);
    drop(hosts);
    // The carrier's threads end with their backends.
    eventually("all carriers are dropped", || Arc::strong_count(&wire) == 1);
    let wire = wire.lock().unwrap();
    // Nobody is left to hear some of the farewells.
    let mut left = wire.queues.iter().flatten();
    assert!(left.all(|(_, message)| message.len() < 100), "letters are left");
    assert!(wire.largest > 100_000 && wire.largest <= MOST_MESSAGE_BYTES, "{}", wire.largest);
}

/// Three ranks, one for each backend, of which the last one does not come to a round.
fn wait_for_the_third(hosts: &[Arc<HostBackend>; 3], trouble: impl FnOnce()) -> [Result<()>; 2] {
    let id = open(&hosts[0], 0).communicator_id().unwrap();
    let ends: Vec<_> = (0..)
        .zip(hosts)
        .map(|(rank, host)| {
            let device = open(host, 0);
            device.communicator(&id, rank, 3, CommunicatorOptions::default()).unwrap()
        })
        .collect();
    for end in &ends {
        end.wait_ready(&mut patience()).unwrap();
    }
    let waiting = [0, 1].map(|rank: usize| {
        let device = ends[rank].device();
        let stream = device.stream(StreamPriority::Normal).unwrap();
        let memory = device.allocate(1_000).unwrap();
        ends[rank].exchange(&[], &[Transfer::new(2, &memory)], &stream).unwrap();
        assert!(!stream.is_complete().unwrap());
        stream
    });
    trouble();
    let results = waiting.map(|stream| stream.wait(&mut patience()));
    for end in &ends[..2] {
        let error = end.check().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed, "{error}");
    }
    results
}

#[test]
fn a_process_that_the_carrier_loses_fails_the_work_that_needs_it() {
    let (hosts, wire) = carried();
    let results = wait_for_the_third(&hosts, || {
        wire.lock().unwrap().lost = Some((2, vec![false, false, true]));
    });
    for result in results {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert!(error.text().contains("rank 2: process 2 has been lost"), "{error}");
    }
    // The two that are left go on.
    let id = open(&hosts[1], 0).communicator_id().unwrap();
    std::thread::scope(|scope| {
        for (rank, host) in (0..).zip(&hosts[..2]) {
            let id = &id;
            scope.spawn(move || {
                let [result] = &on_some_ranks(host, id, (&[rank], 2), &do_everything)[..] else {
                    panic!("one rank")
                };
                result.clone().unwrap();
            });
        }
    });
}

#[test]
fn a_carrier_that_breaks_ends_all_and_says_why() {
    let (hosts, wire) = carried();
    let results = wait_for_the_third(&hosts, || wire.lock().unwrap().broken = true);
    for result in results {
        let error = result.unwrap_err();
        assert!(error.text().contains("the wire is cut"), "{error}");
    }
    let error = open(&hosts[0], 0).communicator_id().unwrap_err();
    assert!(error.text().contains("the wire is cut"), "{error}");
}

#[test]
fn creations_that_wait_elsewhere_end_with_an_abort_or_with_the_process() {
    let (hosts, wire) = carried();
    let id = open(&hosts[2], 0).communicator_id().unwrap();
    let device = open(&hosts[0], 0);
    let end = device.communicator(&id, 0, 2, CommunicatorOptions::default()).unwrap();
    wire.lock().unwrap().lost = Some((2, vec![false, false, true]));
    let error = end.wait_ready(&mut patience()).unwrap_err();
    assert!(error.text().contains("process 2 has been lost"), "{error}");

    let (maker, joiner) = (HostBackend::new(1), HostBackend::new(1));
    let id = open(&maker, 0).communicator_id().unwrap();
    let device = open(&joiner, 0);
    let lonely = device.communicator(&id, 0, 3, CommunicatorOptions::default()).unwrap();
    let other = device.communicator(&id, 1, 3, CommunicatorOptions::default()).unwrap();
    assert!(!lonely.is_ready().unwrap());
    let begun = Instant::now();
    lonely.abort().unwrap();
    assert_eq!(kind(lonely.wait_ready(&mut patience())), ErrorKind::Aborted);
    drop(maker);
    let error = other.wait_ready(&mut patience()).unwrap_err();
    assert!(error.text().contains("nobody listens at 127.0.0.1:"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn links_that_do_not_fit_are_refused_with_the_reason() {
    let (hosts, _wire) = carried();
    let by_tcp = HostBackend::new(1);
    let id = open(&by_tcp, 0).communicator_id().unwrap();
    let options = CommunicatorOptions::default();
    let error = open(&hosts[0], 0).communicator(&id, 0, 2, options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.text().contains("other links"), "{error}");
    let id = open(&hosts[0], 0).communicator_id().unwrap();
    let error = open(&by_tcp, 0).communicator(&id, 0, 2, options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn claims_that_contradict_each_other_are_refused_on_the_side_that_made_them() {
    let hosts: [_; 3] = std::array::from_fn(|_| HostBackend::new(1));
    let (by_carrier, _wire) = carried();
    for hosts in [hosts, by_carrier] {
        let id = open(&hosts[0], 0).communicator_id().unwrap();
        let join = |host: &Arc<HostBackend>, rank, size| {
            let options = CommunicatorOptions::default();
            open(host, 0).communicator(&id, rank, size, options).unwrap()
        };
        let first = join(&hosts[1], 1, 2);
        // Until it has its seat, the claims below could be the first ones.
        std::thread::sleep(Duration::from_millis(50));
        let second = join(&hosts[2], 1, 2);
        let error = second.wait_ready(&mut patience()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUse);
        assert!(error.text().contains("rank 1 has joined before"), "{error}");
        drop(second);
        open(&hosts[2], 0).collect();
        let other_size = join(&hosts[2], 0, 3);
        let error = other_size.wait_ready(&mut patience()).unwrap_err();
        assert!(error.text().contains("another rank gave 2"), "{error}");

        let own = join(&hosts[0], 0, 2);
        own.wait_ready(&mut patience()).unwrap();
        first.wait_ready(&mut patience()).unwrap();
        let late = open(&hosts[0], 0).communicator(&id, 0, 2, CommunicatorOptions::default());
        assert_eq!(kind(late), ErrorKind::InvalidUse);
    }
}

#[test]
fn ends_that_mean_different_things_both_fail() {
    let hosts: [_; 2] = std::array::from_fn(|_| HostBackend::new(1));
    let id: CommunicatorId = open(&hosts[0], 0).communicator_id().unwrap();
    let texts: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(&hosts)
            .map(|(rank, host)| {
                let id = &id;
                scope.spawn(move || {
                    let results = on_some_ranks(host, id, (&[rank], 2), &|end, stream| {
                        let device = stream.device();
                        let fails = |call: &dyn Fn() -> Result<()>| {
                            call().unwrap();
                            let error = stream.wait(&mut patience()).unwrap_err();
                            assert_eq!(error.kind(), ErrorKind::InvalidUse, "{error}");
                            error.text().to_owned()
                        };
                        let memory = with_bytes(device, &[1; 9]);
                        match rank {
                            0 => fails(&|| end.broadcast(&memory, 0, stream)),
                            _ => fails(&|| end.barrier(stream)),
                        }
                    });
                    results.into_iter().next().unwrap()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for text in texts {
        assert!(text.contains("calls Broadcast") && text.contains("calls Barrier"), "{text}");
    }
}
