//! Steps about streams, events and the work that they carry.

use std::sync::Arc;

use eplb::device::{Memory, MemoryCopy, StreamPriority};

use crate::hold::Hold;
use crate::number::Number;
use crate::scope::{Object, Scope, Trouble};
use crate::step::{Pair, Priority, State};

/// Fills that are queued, in ever larger portions, before a stream that is never seen at work counts
/// as one that does its work inside the call.
const MOST_FILLS: u32 = 128;

/// The copy between two objects, of the direction that their kinds say.
fn copy_of(scope: &Scope, to: &str, from: &str) -> Result<MemoryCopy, Trouble> {
    Ok(match (scope.find(to)?, scope.find(from)?) {
        (Object::Memory(to), Object::Pinned(from)) => MemoryCopy::upload(to, from),
        (Object::Pinned(to), Object::Memory(from)) => MemoryCopy::download(to, from),
        _ => MemoryCopy::new(scope.memory(to)?, scope.memory(from)?),
    })
}

pub(super) fn copy(scope: &Scope, to: &str, from: &str, on: &str) -> Result<(), Trouble> {
    Ok(scope.stream(on)?.copy(&[copy_of(scope, to, from)?])?)
}

pub(super) fn batch(scope: &Scope, on: &str, pairs: &[Pair]) -> Result<(), Trouble> {
    let copies: Result<Vec<MemoryCopy>, Trouble> =
        pairs.iter().map(|pair| copy_of(scope, &pair.to, &pair.from)).collect();
    Ok(scope.stream(on)?.copy(&copies?)?)
}

pub(super) fn scatter(
    scope: &Scope,
    to: &str,
    from: &str,
    pieces: &Number,
    on: &str,
) -> Result<(), Trouble> {
    let (to, from) = (scope.memory(to)?, scope.memory(from)?);
    let pieces: usize = scope.number(pieces)?;
    let bytes = from.bytes() / pieces.max(1);
    let part = |memory: &Memory, index: usize| memory.slice(index * bytes, bytes);
    let copies: Result<Vec<MemoryCopy>, Trouble> = (0..pieces)
        .map(|index| Ok(MemoryCopy::new(&part(to, pieces - 1 - index)?, &part(from, index)?)))
        .collect();
    Ok(scope.stream(on)?.copy(&copies?)?)
}

pub(super) fn fill(scope: &Scope, name: &str, value: &Number, on: &str) -> Result<(), Trouble> {
    let value = scope.number(value)?;
    Ok(scope.stream(on)?.fill(scope.memory(name)?, value)?)
}

pub(super) fn stream(
    scope: &mut Scope,
    name: &str,
    priority: Option<Priority>,
    device: Option<&String>,
) -> Result<(), Trouble> {
    let priority = priority.map_or(StreamPriority::Normal, StreamPriority::from);
    let stream = scope.device_or_own(device)?.stream(priority)?;
    scope.add(name, Object::Stream(Arc::new(stream)));
    Ok(())
}

pub(super) fn event(scope: &mut Scope, name: &str, device: Option<&String>) -> Result<(), Trouble> {
    let event = scope.device_or_own(device)?.event()?;
    scope.add(name, Object::Event(Arc::new(event)));
    Ok(())
}

pub(super) fn wait(scope: &Scope, name: &str, within_ms: Option<&Number>) -> Result<(), Trouble> {
    let mut wait = scope.place.patience(scope.milliseconds(within_ms)?);
    let waited = match scope.find(name)? {
        Object::Event(event) => event.wait(&mut wait),
        _ => scope.stream(name)?.wait(&mut wait),
    };
    Ok(waited?)
}

pub(super) fn query(scope: &Scope, name: &str, is: State) -> Result<(), Trouble> {
    let complete = match scope.find(name)? {
        Object::Event(event) => event.is_complete()?,
        _ => scope.stream(name)?.is_complete()?,
    };
    match (complete, is) {
        (true, State::Pending) => {
            Err("complete, though its work cannot have ended".to_owned().into())
        }
        (false, State::Complete) => Err("pending, though its work has ended".to_owned().into()),
        _ => Ok(()),
    }
}

pub(super) fn abort(scope: &Scope, name: &str) -> Result<(), Trouble> {
    let aborted = match scope.find(name)? {
        Object::Device(device) => device.abort(),
        Object::Communicator(end, _) => end.abort(),
        _ => scope.stream(name)?.abort(),
    };
    Ok(aborted?)
}

pub(super) fn busy(scope: &Scope, name: &str, with: &str, times: &Number) -> Result<(), Trouble> {
    let (stream, memory) = (scope.stream(name)?, scope.memory(with)?);
    for time in 0..scope.number::<u32>(times)? {
        stream.fill(memory, (time & 0xff) as u8)?;
    }
    Ok(())
}

pub(super) fn runs_behind(scope: &Scope, name: &str, with: &str) -> Result<(), Trouble> {
    let (stream, memory) = (scope.stream(name)?, scope.memory(with)?);
    let event = stream.device().event()?;
    let mut fills = 1;
    while fills <= MOST_FILLS {
        for _ in 0..fills {
            stream.fill(memory, 0)?;
        }
        stream.record(&event)?;
        // Where this call waits for its work, the event before it is complete when it returns.
        stream.fill(memory, 0)?;
        if !event.is_complete()? {
            return Ok(());
        }
        fills *= 2;
    }
    Err("whatever is queued has ended when the call returns: calls wait for their work"
        .to_owned()
        .into())
}

pub(super) fn hold(scope: &mut Scope, name: &str, on: &str) -> Result<(), Trouble> {
    let hold = Hold::new(scope.stream(on)?, &scope.place)?;
    scope.add(name, Object::Hold(Arc::new(hold)));
    Ok(())
}
