//! Steps about memory and its bytes.

use eplb::device::{Memory, StreamPriority};

use crate::number::Number;
use crate::pattern::{compare, pattern};
use crate::scope::{Object, Place, Scope, Trouble};

/// What bytes are to be: a pattern, one value, or nothing in particular.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content<'a> {
    pub(super) pattern: Option<&'a Number>,
    pub(super) value: Option<&'a Number>,
}

impl Content<'_> {
    fn bytes(&self, scope: &Scope, count: usize) -> Result<Option<Vec<u8>>, Trouble> {
        Ok(match (self.pattern, self.value) {
            (Some(seed), _) => Some(pattern(scope.number(seed)?, count)),
            (None, Some(value)) => Some(vec![scope.number(value)?; count]),
            (None, None) => None,
        })
    }

    /// Bytes that the case has to say.
    fn needed(&self, scope: &Scope, count: usize) -> Result<Vec<u8>, Trouble> {
        let bytes = self.bytes(scope, count)?;
        Ok(bytes.ok_or_else(|| "the case is wrong: neither pattern nor value".to_owned())?)
    }
}

pub(super) fn allocate(
    scope: &mut Scope,
    name: &str,
    bytes: &Number,
    device: Option<&String>,
) -> Result<(), Trouble> {
    let bytes = scope.number(bytes)?;
    let device = scope.device_or_own(device)?;
    let memory = device.allocate(bytes)?;
    check_start(&memory)?;
    scope.add(name, Object::Memory(memory));
    Ok(())
}

fn check_start(memory: &Memory) -> Result<(), Trouble> {
    let (start, alignment) = (memory.address().0, memory.device().info().alignment);
    if start.is_multiple_of(alignment) && start != 0 {
        return Ok(());
    }
    Err(format!("memory starts at {start:#x}, which is no multiple of {alignment}").into())
}

pub(super) fn put(
    scope: &mut Scope,
    name: &str,
    bytes: &Number,
    content: Content<'_>,
    device: Option<&String>,
) -> Result<(), Trouble> {
    let bytes = content.needed(scope, scope.number(bytes)?)?;
    let device = scope.device_or_own(device)?;
    let memory = device.allocate(bytes.len())?;
    check_start(&memory)?;
    let stream = device.stream(StreamPriority::Normal)?;
    stream.upload(&memory, &device.pin(&bytes)?)?;
    stream.wait(&mut scope.place.patience(None))?;
    scope.add(name, Object::Memory(memory));
    Ok(())
}

pub(super) fn pin(
    scope: &mut Scope,
    name: &str,
    bytes: &Number,
    content: Content<'_>,
    device: Option<&String>,
) -> Result<(), Trouble> {
    let count = scope.number(bytes)?;
    let content = content.bytes(scope, count)?;
    let device = scope.device_or_own(device)?;
    let pinned = device.allocate_pinned(count)?;
    compare(&pinned.to_vec()?, &vec![0; count])?;
    if let Some(content) = content {
        pinned.write(&content)?;
    }
    scope.add(name, Object::Pinned(pinned));
    Ok(())
}

pub(super) fn slice(
    scope: &mut Scope,
    name: &str,
    of: &str,
    at: &Number,
    bytes: &Number,
) -> Result<(), Trouble> {
    let (at, bytes) = (scope.number(at)?, scope.number(bytes)?);
    let part = match scope.find(of)? {
        Object::Pinned(pinned) => Object::Pinned(pinned.slice(at, bytes)?),
        _ => Object::Memory(scope.memory(of)?.slice(at, bytes)?),
    };
    scope.add(name, part);
    Ok(())
}

pub(super) fn write(scope: &Scope, name: &str, content: Content<'_>) -> Result<(), Trouble> {
    let pinned = scope.pinned(name)?;
    Ok(pinned.write(&content.needed(scope, pinned.bytes())?)?)
}

pub(super) fn expect(
    scope: &Scope,
    name: &str,
    content: Content<'_>,
    offset: Option<&Number>,
    reversed_by: Option<&Number>,
) -> Result<(), Trouble> {
    let found = match scope.find(name)? {
        Object::Pinned(pinned) => pinned.to_vec()?,
        _ => bytes_of(scope.memory(name)?, &scope.place)?,
    };
    let offset: usize = scope.number_or(offset, 0)?;
    let mut expected = content.needed(scope, offset + found.len())?.split_off(offset);
    if let Some(piece) = reversed_by {
        let piece: usize = scope.number(piece)?;
        expected = expected.chunks(piece.max(1)).rev().flatten().copied().collect();
    }
    Ok(compare(&found, &expected)?)
}

/// The bytes in device memory, read through a stream of their own.
pub(super) fn bytes_of(memory: &Memory, place: &Place) -> Result<Vec<u8>, Trouble> {
    let device = memory.device();
    let stream = device.stream(StreamPriority::Normal)?;
    let pinned = device.allocate_pinned(memory.bytes())?;
    stream.download(&pinned, memory)?;
    stream.wait(&mut place.patience(None))?;
    Ok(pinned.to_vec()?)
}

pub(super) fn apart(scope: &Scope, name: &str, from: &str) -> Result<(), Trouble> {
    let (first, second) = (scope.memory(name)?, scope.memory(from)?);
    if first.overlaps(second) {
        let places = [first, second].map(|memory| (memory.address().0, memory.bytes()));
        return Err(format!("both are alive and overlap: {places:x?}").into());
    }
    Ok(())
}
