//! Steps about devices as a whole.

use eplb::device::Device;

use crate::number::Number;
use crate::scope::{Object, Scope, Trouble};

/// A device's least alignment, by the contract.
const LEAST_ALIGNMENT: usize = 64;

pub(super) fn open(
    scope: &mut Scope,
    name: &str,
    nth: Option<&Number>,
    ordinal: Option<&Number>,
) -> Result<(), Trouble> {
    let ordinal = match ordinal {
        Some(ordinal) => scope.number(ordinal)?,
        None => ordinal_of(scope, nth)?,
    };
    let device = Device::open(scope.place.backend(), ordinal)?;
    scope.add(name, Object::Device(device));
    Ok(())
}

/// The ordinal of the n-th device under test, or of the rank's own.
fn ordinal_of(scope: &Scope, nth: Option<&Number>) -> Result<u32, Trouble> {
    let Some(nth) = nth else {
        return Ok(scope.place.ordinal());
    };
    let nth: usize = scope.number(nth)?;
    let ordinal = scope.place.devices.get(nth).copied();
    Ok(ordinal.ok_or_else(|| format!("there is no device {nth} under test"))?)
}

pub(super) fn count(scope: &Scope, times: &Number) -> Result<(), Trouble> {
    let backend = scope.place.backend();
    let first = backend.devices()?;
    for _ in 1..scope.number::<u32>(times)? {
        let again = backend.devices()?;
        if again != first {
            return Err(format!("first {first} devices, then {again}").into());
        }
    }
    match scope.place.devices.iter().find(|ordinal| **ordinal >= first) {
        Some(beyond) => Err(format!("device {beyond} was opened, of {first} devices").into()),
        None => Ok(()),
    }
}

pub(super) fn check_info(scope: &Scope, name: &str, nth: Option<&Number>) -> Result<(), Trouble> {
    let device = scope.device(name)?;
    let ordinal = ordinal_of(scope, nth)?;
    let info = device.info();
    let backend = scope.place.backend().name();
    let memory = device.memory_info()?;
    let wrong = if info.backend != backend {
        format!("its backend is {:?}, the backend calls itself {backend:?}", info.backend)
    } else if info.ordinal != ordinal {
        format!("its ordinal is {}, it was opened as {ordinal}", info.ordinal)
    } else if info.name.trim().is_empty() {
        "it has no name".to_owned()
    } else if !info.alignment.is_power_of_two() || info.alignment < LEAST_ALIGNMENT {
        format!(
            "its alignment is {}; a power of two from {LEAST_ALIGNMENT} is right",
            info.alignment
        )
    } else if info.ranks_share_device && !info.communicators {
        "ranks share it, but it has no communicators".to_owned()
    } else if memory.total == 0 || memory.free > memory.total {
        format!("{} of {} bytes are free", memory.free, memory.total)
    } else {
        return Ok(());
    };
    Err(wrong.into())
}

fn free_now(scope: &Scope, device: Option<&String>) -> Result<u64, Trouble> {
    Ok(scope.device_or_own(device)?.memory_info()?.free)
}

pub(super) fn note_free(
    scope: &mut Scope,
    name: &str,
    device: Option<&String>,
) -> Result<(), Trouble> {
    let free = free_now(scope, device)?;
    scope.add(name, Object::Free(free));
    Ok(())
}

pub(super) fn free_again(
    scope: &Scope,
    name: &str,
    slack: &Number,
    device: Option<&String>,
) -> Result<(), Trouble> {
    let (before, now) = (scope.free_bytes(name)?, free_now(scope, device)?);
    let slack: u64 = scope.number(slack)?;
    if now.saturating_add(slack) >= before {
        return Ok(());
    }
    Err(format!("{now} bytes are free, {before} were before: memory has not come back").into())
}

pub(super) fn free_less(
    scope: &Scope,
    name: &str,
    bytes: &Number,
    slack: &Number,
    device: Option<&String>,
) -> Result<(), Trouble> {
    let (before, now) = (scope.free_bytes(name)?, free_now(scope, device)?);
    let (bytes, slack): (u64, u64) = (scope.number(bytes)?, scope.number(slack)?);
    if now.saturating_add(bytes) <= before.saturating_add(slack) {
        return Ok(());
    }
    Err(format!("{now} bytes are free, {before} were before {bytes} were allocated").into())
}

pub(super) fn drain(scope: &Scope, name: &str, within_ms: Option<&Number>) -> Result<(), Trouble> {
    let mut wait = scope.place.patience(scope.milliseconds(within_ms)?);
    Ok(scope.device(name)?.drain(&mut wait)?)
}

pub(super) fn take_errors(scope: &Scope, name: &str, of: &[String]) -> Result<(), Trouble> {
    let errors = scope.device(name)?.take_errors();
    let found: Vec<&str> = errors.iter().map(|error| error.operation()).collect();
    if found == of {
        return Ok(());
    }
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Err(format!("the errors are {texts:?}, of {of:?} there should be one each").into())
}
