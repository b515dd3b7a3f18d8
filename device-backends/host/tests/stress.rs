//! Everything at once, on several ranks, for a few seconds.

mod support;

use std::time::{Duration, Instant};

use eplb_device::{Memory, MemoryCopy, StreamPriority, Transfer};
use support::{Random, bytes_of, on_ranks, patience};

const RANKS: u32 = 4;
const SLOT: usize = 2048;

#[test]
fn ranks_shuffle_slots_for_a_while_and_lose_none() {
    let begin = Instant::now();
    on_ranks(RANKS, |end, stream| {
        let device = stream.device();
        let copying = device.stream(StreamPriority::Normal).unwrap();
        let mut slot: Memory = device.allocate(SLOT).unwrap();
        // The slot of rank r starts with r in every byte; each round shifts them by some ranks.
        stream.fill(&slot, u8::try_from(end.rank()).unwrap()).unwrap();
        let mut content = end.rank();
        // The same numbers on all ranks: all have to queue the same rounds.
        let mut random = Random(42);
        let stop = device.allocate(1).unwrap();
        let told = device.allocate_pinned(1).unwrap();
        for round in 0.. {
            let shift = u32::try_from(random.below(u64::from(RANKS))).unwrap();
            let to = (end.rank() + shift) % RANKS;
            let from = (end.rank() + RANKS - shift) % RANKS;
            let staging = device.allocate(SLOT).unwrap();
            end.exchange(&[Transfer::new(to, &slot)], &[Transfer::new(from, &staging)], stream)
                .unwrap();
            // Through a second stream into fresh memory, ordered by events; drops all over.
            let arrived = device.event().unwrap();
            stream.record(&arrived).unwrap();
            copying.wait_for(&arrived).unwrap();
            let next = device.allocate(SLOT).unwrap();
            copying.copy(&[MemoryCopy::new(&next, &staging)]).unwrap();
            let copied = device.event().unwrap();
            copying.record(&copied).unwrap();
            stream.wait_for(&copied).unwrap();
            slot = next;
            content = (content + RANKS - shift) % RANKS;

            if round % 64 == 63 {
                stream.wait(&mut patience()).unwrap();
                let expected = u8::try_from(content).unwrap();
                assert_eq!(bytes_of(&slot), vec![expected; SLOT], "round {round}");
                // Rank 0 says when it is enough, so that all end in the same round.
                if end.rank() == 0 {
                    let enough = begin.elapsed() > Duration::from_secs(2);
                    let says = device.pin(&[u8::from(enough)]).unwrap();
                    stream.upload(&stop, &says).unwrap();
                }
                end.broadcast(&stop, 0, stream).unwrap();
                stream.download(&told, &stop).unwrap();
                stream.wait(&mut patience()).unwrap();
                assert_eq!(end.check(), Ok(()));
                if told.to_vec().unwrap() == [1] {
                    break;
                }
            }
        }
    });
}
