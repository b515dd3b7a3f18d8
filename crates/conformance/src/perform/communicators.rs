//! Steps about communicators.

use std::sync::Arc;

use eplb::device::{CommunicatorId, CommunicatorOptions, Transfer};

use super::memory::bytes_of;
use crate::board::Message;
use crate::number::Number;
use crate::pattern::{compare, pattern};
use crate::scope::{Object, Scope, Trouble};
use crate::step::Buffer;

/// The id that a communicator is created from.
#[derive(Clone, Copy, Debug)]
pub(super) enum WhichId<'a> {
    /// One made for it.
    New,
    /// That of another communicator of the scope.
    Of(&'a str),
    /// Bytes that no backend made.
    MadeUp,
}

/// All ranks of the case: the first one makes the id.
pub(super) fn connect(
    scope: &mut Scope,
    name: &str,
    buffer_bytes: Option<&Number>,
    device: Option<&String>,
) -> Result<(), Trouble> {
    let buffer_bytes = buffer_bytes.map(|bytes| scope.number(bytes)).transpose()?;
    let device = scope.device_or_own(device)?;
    let place = &scope.place;
    let posted = format!("{}id {name}", place.prefix);
    if place.rank == 0 {
        let bytes = device.communicator_id()?.as_bytes().to_vec();
        place.board.tell(Message::Post { rank: 0, name: posted.clone(), bytes });
    }
    let id = CommunicatorId::from(place.board.hear(0, &posted, place.until)?);
    let options = CommunicatorOptions { buffer_bytes };
    let end = device.communicator(&id, place.rank, place.ranks, options)?;
    end.wait_ready(&mut place.patience(None))?;
    if (end.rank(), end.size()) != (place.rank, place.ranks) {
        return Err(format!("it is rank {} of {}", end.rank(), end.size()).into());
    }
    scope.add(name, Object::Communicator(Arc::new(end), id));
    Ok(())
}

/// Any rank of any number, all in this process.
pub(super) fn create(
    scope: &mut Scope,
    name: &str,
    (rank, size): (&Number, &Number),
    id: &WhichId<'_>,
    device: Option<&String>,
) -> Result<(), Trouble> {
    let (rank, size) = (scope.number(rank)?, scope.number(size)?);
    let device = scope.device_or_own(device)?;
    let id = match id {
        WhichId::New => device.communicator_id()?,
        WhichId::Of(other) => scope.communicator(other)?.1.clone(),
        WhichId::MadeUp => CommunicatorId::from(b"nobody made this".to_vec()),
    };
    let end = device.communicator(&id, rank, size, CommunicatorOptions::default())?;
    scope.add(name, Object::Communicator(Arc::new(end), id));
    Ok(())
}

pub(super) fn is_ready(scope: &Scope, name: &str, is: bool) -> Result<(), Trouble> {
    let found = scope.communicator(name)?.0.is_ready()?;
    if found == is {
        return Ok(());
    }
    Err(format!("ready is {found} where {is} is right").into())
}

fn transfers(scope: &Scope, buffers: &[Buffer]) -> Result<Vec<Transfer>, Trouble> {
    buffers
        .iter()
        .map(|buffer| Ok(Transfer::new(scope.number(&buffer.peer)?, scope.memory(&buffer.what)?)))
        .collect()
}

pub(super) fn exchange(
    scope: &Scope,
    name: &str,
    on: &str,
    sends: &[Buffer],
    receives: &[Buffer],
) -> Result<(), Trouble> {
    let (sends, receives) = (transfers(scope, sends)?, transfers(scope, receives)?);
    Ok(scope.communicator(name)?.0.exchange(&sends, &receives, scope.stream(on)?)?)
}

/// What rank `from` sends to rank `to` in the round `seed`.
fn seed_of(seed: u64, from: u32, to: u32) -> u64 {
    seed << 32 | u64::from(from) << 16 | u64::from(to)
}

pub(super) fn exchange_all(
    scope: &mut Scope,
    name: &str,
    on: &str,
    bytes: &Number,
    seed: &Number,
) -> Result<(), Trouble> {
    let seed: u64 = scope.number(seed)?;
    let (own, ranks) = (scope.place.rank, scope.place.ranks);
    let (end, _) = scope.communicator(name)?;
    let stream = scope.stream(on)?;
    let device = end.device();
    let bytes_between = |from: u32, to: u32| -> Result<usize, Trouble> {
        let mut names = scope.place.names.clone();
        names.insert("from".to_owned(), from.into());
        names.insert("to".to_owned(), to.into());
        Ok(bytes.of(&names)?)
    };
    let (mut sends, mut receives, mut round) = (Vec::new(), Vec::new(), Vec::new());
    for peer in 0..ranks {
        let content = pattern(seed_of(seed, own, peer), bytes_between(own, peer)?);
        let send = device.allocate(content.len())?;
        stream.upload(&send, &device.pin(&content)?)?;
        sends.push(Transfer::new(peer, &send));
        let receive = device.allocate(bytes_between(peer, own)?)?;
        // In another order than the sends: the order of the lists means nothing.
        receives.insert(0, Transfer::new(peer, &receive));
        round.push((receive, seed_of(seed, peer, own)));
    }
    end.exchange(&sends, &receives, stream)?;
    scope.add(&format!("round of {name}"), Object::Round(round));
    Ok(())
}

pub(super) fn expect_round(scope: &Scope, name: &str) -> Result<(), Trouble> {
    let round = scope.round(&format!("round of {name}"))?;
    for (peer, (memory, seed)) in round.iter().enumerate() {
        let found = bytes_of(memory, &scope.place)?;
        let expected = pattern(*seed, memory.bytes());
        compare(&found, &expected).map_err(|text| format!("from rank {peer}: {text}"))?;
    }
    Ok(())
}

pub(super) fn expect_gathered(scope: &Scope, name: &str, seed: &Number) -> Result<(), Trouble> {
    let memory = scope.memory(name)?;
    let seed: u64 = scope.number(seed)?;
    let ranks = u64::from(scope.place.ranks);
    let part = memory.bytes() / scope.place.ranks as usize;
    let expected: Vec<u8> = (0..ranks).flat_map(|rank| pattern(seed + rank, part)).collect();
    Ok(compare(&bytes_of(memory, &scope.place)?, &expected)?)
}

pub(super) fn reserves_at_most(scope: &Scope, name: &str, what: &str) -> Result<(), Trouble> {
    let reserved = |name: &str| Ok::<_, Trouble>(scope.communicator(name)?.0.reserved_bytes());
    let (small, large) = (reserved(name)?, reserved(what)?);
    if small <= large {
        return Ok(());
    }
    Err(format!("{small} bytes are reserved, {large} with larger buffers").into())
}
