//! Work of one rank of a communicator that uses everything there is, and checks every byte.

use eplb_device::{Communicator, Result, Stream, Transfer};

use super::{Random, bytes_of, patience, with_bytes};

/// What rank `from` sends to rank `to` in a round; none for some pairs.
pub(crate) fn letter(round: u64, from: u32, to: u32) -> Option<Vec<u8>> {
    let mut random = Random(round << 32 | u64::from(from) << 16 | u64::from(to));
    if random.below(4) == 0 {
        return None;
    }
    let length = 1 + random.size(3_000);
    Some(random.bytes(length))
}

/// Bytes that only one rank has.
pub(crate) fn bytes_of_rank(rank: u32, bytes: usize) -> Vec<u8> {
    (0..bytes as u64)
        .map(|index| ((index * 7 + (index >> 8) + u64::from(rank)) % 251) as u8)
        .collect()
}

/// Rounds of many letters.
pub(crate) fn exchange_letters(end: &Communicator, stream: &Stream, rounds: u64) -> Result<()> {
    let (device, size, own) = (stream.device(), end.size(), end.rank());
    for round in 0..rounds {
        let sends: Vec<Transfer> = (0..size)
            .filter_map(|to| Some((to, letter(round, own, to)?)))
            .map(|(to, bytes)| Transfer::new(to, &with_bytes(device, &bytes)))
            .collect();
        let mut receives = Vec::new();
        for from in (0..size).rev() {
            if let Some(expected) = letter(round, from, own) {
                receives.push(Transfer::new(from, &device.allocate(expected.len())?));
            }
        }
        end.exchange(&sends, &receives, stream)?;
        stream.wait(&mut patience())?;
        for receive in receives {
            let expected = letter(round, receive.peer, own).unwrap();
            assert_eq!(bytes_of(&receive.memory), expected, "round {round} to rank {own}");
        }
    }
    Ok(())
}

/// One round in which every rank sends to the next one; longer than any buffer on the way.
pub(crate) fn exchange_in_a_ring(end: &Communicator, stream: &Stream, bytes: usize) -> Result<()> {
    let (device, size, own) = (stream.device(), end.size(), end.rank());
    let (next, before) = ((own + 1) % size, (own + size - 1) % size);
    let sent = with_bytes(device, &bytes_of_rank(own, bytes));
    let received = device.allocate(bytes)?;
    end.exchange(&[Transfer::new(next, &sent)], &[Transfer::new(before, &received)], stream)?;
    stream.wait(&mut patience())?;
    assert!(bytes_of(&received) == bytes_of_rank(before, bytes), "the ring at rank {own}");
    Ok(())
}

/// Every call of all ranks.
pub(crate) fn call_together(end: &Communicator, stream: &Stream) -> Result<()> {
    let (device, size, own) = (stream.device(), end.size(), end.rank());
    let part = 40_001;
    let shared = device.allocate(part * size as usize)?;
    let apart = device.allocate(part * size as usize)?;
    let mine = shared.slice(part * own as usize, part)?;
    let source = with_bytes(device, &bytes_of_rank(own, part));
    stream.copy(&[eplb_device::MemoryCopy::new(&mine, &source)])?;
    end.all_gather(&mine, &shared, stream)?;
    end.all_gather(&source, &apart, stream)?;
    stream.wait(&mut patience())?;
    let expected: Vec<u8> = (0..size).flat_map(|rank| bytes_of_rank(rank, part)).collect();
    assert!(bytes_of(&shared) == expected && bytes_of(&apart) == expected, "gathered at {own}");

    for root in 0..size {
        let memory = with_bytes(device, &bytes_of_rank(own, 100_003));
        end.broadcast(&memory, root, stream)?;
        end.barrier(stream)?;
        stream.wait(&mut patience())?;
        assert!(bytes_of(&memory) == bytes_of_rank(root, 100_003), "broadcast at {own}");
    }
    Ok(())
}

/// All of the above.
pub(crate) fn do_everything(end: &Communicator, stream: &Stream) -> Result<()> {
    exchange_letters(end, stream, 8)?;
    exchange_in_a_ring(end, stream, 12_000_007)?;
    call_together(end, stream)?;
    end.check()
}
