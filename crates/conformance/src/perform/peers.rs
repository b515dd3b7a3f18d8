//! Steps about memory of other ranks.

use eplb::device::{Device, PeerKey};

use crate::board::Message;
use crate::number::Number;
use crate::scope::{Object, Scope, Trouble};

/// Whose key, and of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct WhichKey<'a> {
    pub(super) of: &'a str,
    /// The exporting rank; without, the own one.
    pub(super) from: Option<&'a Number>,
}

/// What is done to a key on the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Harm<'a> {
    pub(super) damaged: Option<&'a Number>,
    pub(super) cut: Option<&'a Number>,
}

pub(super) fn meet(scope: &Scope, name: &str) -> Result<(), Trouble> {
    let place = &scope.place;
    let name = format!("{}{name}", place.prefix);
    Ok(place.board.meet(place.rank, place.ranks, &name, place.until)?)
}

pub(super) fn export(scope: &Scope, name: &str, device: Option<&String>) -> Result<(), Trouble> {
    let device: &Device = scope.device_or_own(device)?;
    let key = device.export(scope.memory(name)?)?;
    let name = format!("{}key {name}", scope.place.run);
    let bytes = key.as_bytes().to_vec();
    scope.place.board.tell(Message::Post { rank: scope.place.rank, name, bytes });
    Ok(())
}

pub(super) fn import(
    scope: &mut Scope,
    name: &str,
    key: &WhichKey<'_>,
    harm: &Harm<'_>,
    device: Option<&String>,
) -> Result<(), Trouble> {
    let place = &scope.place;
    let from = scope.number_or(key.from, place.rank)?;
    let posted = format!("{}key {}", place.run, key.of);
    let mut bytes = place.board.hear(from, &posted, place.until)?;
    if let Some(cut) = harm.cut {
        bytes.truncate(bytes.len().saturating_sub(scope.number(cut)?));
    }
    if let Some(damaged) = harm.damaged {
        let index = bytes.len().checked_sub(1 + scope.number::<usize>(damaged)?);
        let index = index.ok_or_else(|| "the key is shorter than that".to_owned())?;
        bytes[index] ^= 0x40;
    }
    let key = PeerKey::from_bytes(&bytes)?;
    let imported = scope.device_or_own(device)?.import(&key)?;
    let memory = imported.memory().clone();
    if memory.bytes() != key.bytes() {
        let found = memory.bytes();
        return Err(format!("{found} bytes were imported, {} exported", key.bytes()).into());
    }
    scope.add(name, Object::Memory(memory));
    Ok(())
}
