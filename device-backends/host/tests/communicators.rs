//! Communicators between ranks on threads.

mod support;

use std::sync::Barrier;
use std::time::{Duration, Instant};

use eplb_device::{CommunicatorId, CommunicatorOptions, ErrorKind, StreamPriority, Transfer};
use eplb_host::HostBackend;
use support::work::exchange_letters;
use support::{bytes_of, kind, on_ranks, on_ranks_of, open, patience, rig, with_bytes, within};

#[test]
fn rounds_carry_every_buffer_to_its_rank() {
    for size in 2..=8 {
        on_ranks(size, |end, stream| exchange_letters(end, stream, 10).unwrap());
    }
}

#[test]
fn rounds_may_be_queued_far_ahead_and_on_several_streams() {
    on_ranks(3, |end, first| {
        let device = first.device();
        let second = device.stream(StreamPriority::Normal).unwrap();
        let next = (end.rank() + 1) % 3;
        let before = (end.rank() + 2) % 3;
        let mut received = Vec::new();
        for round in 0..50_u8 {
            let stream = if round % 3 == 0 { &second } else { first };
            let send = device.allocate(32).unwrap();
            let receive = device.allocate(32).unwrap();
            let value = round * 4 + u8::try_from(end.rank()).unwrap();
            stream.fill(&send, value).unwrap();
            end.exchange(&[Transfer::new(next, &send)], &[Transfer::new(before, &receive)], stream)
                .unwrap();
            received.push(receive);
        }
        first.wait(&mut patience()).unwrap();
        second.wait(&mut patience()).unwrap();
        for (round, memory) in (0..50_u8).zip(&received) {
            let value = round * 4 + u8::try_from(before).unwrap();
            assert_eq!(bytes_of(memory), [value; 32]);
        }
    });
}

#[test]
fn all_ranks_gather_in_place_and_apart() {
    for size in [1, 2, 5, 8] {
        on_ranks(size, |end, stream| {
            let device = stream.device();
            let ranks = size as usize;
            let expected: Vec<u8> = (0..size).flat_map(|rank| [rank as u8 + 1; 33]).collect();
            let own = with_bytes(device, &[end.rank() as u8 + 1; 33]);
            let apart = device.allocate(33 * ranks).unwrap();
            end.all_gather(&own, &apart, stream).unwrap();
            let shared = device.allocate(33 * ranks).unwrap();
            let part = shared.slice(33 * end.rank() as usize, 33).unwrap();
            stream.fill(&part, end.rank() as u8 + 1).unwrap();
            end.all_gather(&part, &shared, stream).unwrap();
            stream.wait(&mut patience()).unwrap();
            assert_eq!(bytes_of(&apart), expected);
            assert_eq!(bytes_of(&shared), expected);
            let wrong = shared.slice(0, 33 * ranks).unwrap();
            assert_eq!(
                kind(end.all_gather(&wrong.slice(1, 32).unwrap(), &apart, stream)),
                ErrorKind::InvalidUse
            );
        });
    }
}

#[test]
fn every_rank_can_be_the_root_of_a_broadcast() {
    on_ranks(4, |end, stream| {
        for root in 0..4 {
            let memory = with_bytes(stream.device(), &[end.rank() as u8; 100]);
            end.broadcast(&memory, root, stream).unwrap();
            stream.wait(&mut patience()).unwrap();
            assert_eq!(bytes_of(&memory), [root as u8; 100]);
        }
        let memory = stream.device().allocate(1).unwrap();
        assert_eq!(kind(end.broadcast(&memory, 4, stream)), ErrorKind::InvalidUse);
    });
}

#[test]
fn nobody_passes_a_barrier_before_all_have_come() {
    let host = HostBackend::new(4);
    let meeting = Barrier::new(4);
    on_ranks_of(&host, 4, &|end, stream| {
        let hold = (end.rank() == 2).then(|| host.hold(stream.handle()).unwrap());
        end.barrier(stream).unwrap();
        assert_eq!(kind(stream.wait(&mut within(50))), ErrorKind::TimedOut);
        meeting.wait();
        drop(hold);
        stream.wait(&mut patience()).unwrap();
    });
}

#[test]
fn a_rank_sends_to_itself() {
    on_ranks(2, |end, stream| {
        let own = end.rank();
        let send = with_bytes(stream.device(), &[own as u8 + 5; 10]);
        let receive = stream.device().allocate(10).unwrap();
        end.exchange(&[Transfer::new(own, &send)], &[Transfer::new(own, &receive)], stream)
            .unwrap();
        stream.wait(&mut patience()).unwrap();
        assert_eq!(bytes_of(&receive), [own as u8 + 5; 10]);
    });
}

#[test]
fn rounds_that_break_the_rules_are_refused_before_anything_is_queued() {
    on_ranks(2, |end, stream| {
        let device = stream.device();
        let [a, b] = [0, 1].map(|_| device.allocate(10).unwrap());
        let own = end.rank();
        let refuse = |sends: &[Transfer], receives: &[Transfer]| {
            let result = end.exchange(sends, receives, stream);
            assert_eq!(kind(result), ErrorKind::InvalidUse);
        };
        let other = 1 - own;
        refuse(&[Transfer::new(other, &a), Transfer::new(other, &b)], &[]);
        refuse(&[], &[Transfer::new(other, &a), Transfer::new(other, &b)]);
        refuse(&[Transfer::new(2, &a)], &[]);
        refuse(&[Transfer::new(own, &a)], &[]);
        let short = b.slice(0, 9).unwrap();
        refuse(&[Transfer::new(own, &a)], &[Transfer::new(own, &short)]);
        refuse(&[Transfer::new(other, &a)], &[Transfer::new(other, &a)]);
        let elsewhere = open(&HostBackend::new(1), 0).allocate(10).unwrap();
        refuse(&[Transfer::new(other, &elsewhere)], &[]);
        end.exchange(&[], &[], stream).unwrap();
        stream.wait(&mut patience()).unwrap();
    });
}

#[test]
fn different_lengths_are_an_error_on_both_sides() {
    on_ranks(2, |end, stream| {
        let device = stream.device();
        let other = 1 - end.rank();
        let bytes = if end.rank() == 0 { 10 } else { 11 };
        let [send, receive] = [0, 1].map(|_| device.allocate(bytes).unwrap());
        end.exchange(&[Transfer::new(other, &send)], &[Transfer::new(other, &receive)], stream)
            .unwrap();
        let error = stream.wait(&mut patience()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUse);
        assert_eq!(error.operation(), "exchange");
    });
}

#[test]
fn different_calls_are_an_error_on_all_sides() {
    on_ranks(3, |end, stream| {
        let bytes = if end.rank() == 1 { 3 } else { 4 };
        let memory = stream.device().allocate(bytes).unwrap();
        end.broadcast(&memory, 0, stream).unwrap();
        assert_eq!(kind(stream.wait(&mut patience())), ErrorKind::InvalidUse);
    });
}

#[test]
fn a_missing_peer_is_a_deadline_and_an_abort_the_way_out() {
    on_ranks(3, |end, stream| {
        if end.rank() == 2 {
            return;
        }
        let device = stream.device();
        let [send, receive] = [0, 1].map(|_| device.allocate(64).unwrap());
        end.exchange(&[Transfer::new(2, &send)], &[Transfer::new(2, &receive)], stream).unwrap();
        assert_eq!(kind(stream.wait(&mut within(50))), ErrorKind::TimedOut);
        let begin = Instant::now();
        end.abort().unwrap();
        end.abort().unwrap();
        assert_eq!(kind(stream.wait(&mut patience())), ErrorKind::Aborted);
        assert!(begin.elapsed() < Duration::from_secs(5));
        assert_eq!(kind(end.check()), ErrorKind::Aborted);
        assert_eq!(kind(end.barrier(stream)), ErrorKind::Aborted);
    });
}

#[test]
fn an_abort_from_another_thread_frees_every_kind_of_waiter() {
    type Queue = fn(&eplb_device::Communicator, &eplb_device::Stream, &eplb_device::Memory);
    let calls: [Queue; 4] = [
        |end, stream, memory| {
            let peer = Transfer::new(1 - end.rank(), memory);
            end.exchange(&[peer], &[], stream).unwrap();
        },
        |end, stream, memory| {
            let send = memory.slice(0, 8).unwrap();
            let receive = memory.slice(16, 16).unwrap();
            end.all_gather(&send, &receive, stream).unwrap();
        },
        |end, stream, memory| end.broadcast(memory, 1, stream).unwrap(),
        |end, stream, _| end.barrier(stream).unwrap(),
    ];
    for call in calls {
        on_ranks(2, |end, stream| {
            if end.rank() == 1 {
                return;
            }
            let memory = stream.device().allocate(32).unwrap();
            call(end, stream, &memory);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_millis(10));
                    end.abort().unwrap();
                });
                assert_eq!(kind(stream.wait(&mut patience())), ErrorKind::Aborted);
            });
        });
    }
}

#[test]
fn an_abort_of_the_stream_frees_its_waiters_too() {
    on_ranks(2, |end, stream| {
        if end.rank() == 0 {
            end.barrier(stream).unwrap();
            assert!(!stream.is_complete().unwrap());
            stream.abort().unwrap();
            assert_eq!(kind(stream.wait(&mut patience())), ErrorKind::Aborted);
        }
    });
}

#[test]
fn a_communicator_is_not_ready_before_all_have_joined() {
    let rig = rig();
    let id = rig.device.communicator_id().unwrap();
    let options = CommunicatorOptions::default();
    let first = rig.device.communicator(&id, 0, 2, options).unwrap();
    assert_eq!(kind(first.wait_ready(&mut within(20))), ErrorKind::TimedOut);
    assert_eq!(kind(first.barrier(&rig.stream)), ErrorKind::InvalidUse);
    for (rank, size) in [(0, 2), (1, 3), (2, 2)] {
        let result = rig.device.communicator(&id, rank, size, options);
        assert_eq!(kind(result), ErrorKind::InvalidUse, "rank {rank} of {size}");
    }
    let second = rig.device.communicator(&id, 1, 2, options).unwrap();
    first.wait_ready(&mut patience()).unwrap();
    assert!(second.is_ready().unwrap());

    let unready_id = rig.device.communicator_id().unwrap();
    let unready = rig.device.communicator(&unready_id, 0, 2, options).unwrap();
    unready.abort().unwrap();
    assert_eq!(kind(unready.wait_ready(&mut patience())), ErrorKind::Aborted);
    let made_up = CommunicatorId::from(vec![1, 2, 3]);
    let result = rig.device.communicator(&made_up, 0, 1, options);
    assert_eq!(kind(result), ErrorKind::InvalidUse);
}

#[test]
fn several_communicators_and_ranks_share_one_device() {
    let rig = rig();
    let device = &rig.device;
    let options = CommunicatorOptions::default();
    let other = device.stream(StreamPriority::Normal).unwrap();
    let pairs = [0, 1].map(|_| {
        let id = device.communicator_id().unwrap();
        [0, 1].map(|rank| device.communicator(&id, rank, 2, options).unwrap())
    });
    let mut received = Vec::new();
    for round in 0..20_u8 {
        for (number, pair) in (0_u8..).zip(&pairs) {
            for (end, stream) in pair.iter().zip([&rig.stream, &other]) {
                let value = round * 8 + number * 2 + u8::try_from(end.rank()).unwrap();
                let send = device.allocate(24).unwrap();
                let receive = device.allocate(24).unwrap();
                stream.fill(&send, value).unwrap();
                let peer = 1 - end.rank();
                end.exchange(
                    &[Transfer::new(peer, &send)],
                    &[Transfer::new(peer, &receive)],
                    stream,
                )
                .unwrap();
                received.push((receive, value ^ 1));
            }
        }
    }
    rig.stream.wait(&mut patience()).unwrap();
    other.wait(&mut patience()).unwrap();
    for (memory, value) in &received {
        assert_eq!(bytes_of(memory), [*value; 24]);
    }
}

#[test]
fn dropping_everything_with_work_stuck_ends_all_threads() {
    let host = HostBackend::new(2);
    let id = open(&host, 0).communicator_id().unwrap();
    let ends = [0, 1].map(|rank| {
        let device = open(&host, rank);
        let options = CommunicatorOptions::default();
        device.communicator(&id, rank, 2, options).unwrap()
    });
    let stream = ends[0].device().stream(StreamPriority::Low).unwrap();
    ends[0].wait_ready(&mut patience()).unwrap();
    let memory = stream.device().allocate(100).unwrap();
    ends[0].exchange(&[], &[Transfer::new(1, &memory)], &stream).unwrap();
    drop((ends, stream, memory));
    assert_eq!(host.live_streams(), 0);
    assert_eq!(host.live_allocations(), 0);
}
