//! Doing the steps of a case.

mod communicators;
mod devices;
mod faults;
mod memory;
mod peers;
mod streams;

use eplb::device::{DeviceError, ErrorKind};

use crate::lent;
use crate::number::Number;
use crate::scope::{Scope, Trouble};
use crate::step::{Action, Step};

/// Does the steps one after another, up to the first that does not do what it should; the text says
/// which.
pub(crate) fn perform(scope: &mut Scope, steps: &[Step]) -> Result<(), String> {
    for (index, step) in steps.iter().enumerate() {
        if !is_for_this_one(scope, step).map_err(|trouble| trouble.to_string())? {
            continue;
        }
        let done = act(scope, &step.action);
        judge(scope, step, done)
            .map_err(|text| format!("step {} ({}): {text}", index + 1, step.label))?;
    }
    Ok(())
}

fn is_for_this_one(scope: &Scope, step: &Step) -> Result<bool, Trouble> {
    let own = scope.place.rank;
    let only = match &step.rank {
        Some(rank) => scope.number::<u32>(rank)? == own,
        None => true,
    };
    let but = match &step.not_rank {
        Some(rank) => scope.number::<u32>(rank)? != own,
        None => true,
    };
    let thread = match &step.thread {
        Some(thread) => {
            scope.number::<i64>(thread)? == scope.number::<i64>(&Number::named("thread"))?
        }
        None => true,
    };
    Ok(only && but && thread)
}

/// Compares what a step did with what it should do.
fn judge(scope: &Scope, step: &Step, done: Result<(), Trouble>) -> Result<(), String> {
    let expected: Vec<ErrorKind> = step.fails.iter().copied().map(Into::into).collect();
    let kinds = || {
        let kinds: Vec<String> = expected.iter().map(ToString::to_string).collect();
        kinds.join(" or ")
    };
    match done {
        Ok(()) if expected.is_empty() => Ok(()),
        Ok(()) => Err(format!("it did not fail; {} was to be reported", kinds())),
        Err(Trouble::Device(error)) if expected.contains(&error.kind()) => {
            check_text(scope, &error, &step.says)
        }
        Err(Trouble::Device(error)) if !expected.is_empty() => {
            Err(format!("{error}; {} was to be reported", kinds()))
        }
        Err(trouble) => {
            // Of a rank that gives up because of another one, only the other one's text helps.
            let text = trouble.to_string();
            Err(scope
                .place
                .board
                .failure()
                .map_or(text.clone(), |other| format!("{text}; {other}")))
        }
    }
}

/// Every error is one line that says which call failed, where, and how.
fn check_text(scope: &Scope, error: &DeviceError, says: &[String]) -> Result<(), String> {
    let text = error.to_string();
    let backend = scope.place.backend().name();
    let complain = |what: &str| Err(format!("the error {text:?} {what}"));
    if text.contains('\n') {
        return complain("is not one line");
    }
    if error.operation().is_empty() {
        return complain("names no call");
    }
    if error.backend().is_some_and(|named| named != backend) {
        return complain("names another backend");
    }
    for part in says {
        let part = part.replace("$backend", backend);
        let part = part.replace("$device", &scope.place.ordinal().to_string());
        if !text.contains(&part) {
            return complain(&format!("does not say {part:?}"));
        }
    }
    Ok(())
}

fn act(scope: &mut Scope, action: &Action) -> Result<(), Trouble> {
    match action {
        Action::Open { name, nth, ordinal } => {
            devices::open(scope, name, nth.as_ref(), ordinal.as_ref())
        }
        Action::CountDevices { times } => devices::count(scope, times),
        Action::CheckInfo { name, nth } => devices::check_info(scope, name, nth.as_ref()),
        Action::NoteFree { name, device } => devices::note_free(scope, name, device.as_ref()),
        Action::FreeAgain { name, slack, device } => {
            devices::free_again(scope, name, slack, device.as_ref())
        }
        Action::FreeLess { name, bytes, slack, device } => {
            devices::free_less(scope, name, bytes, slack, device.as_ref())
        }
        Action::Drain { name, within_ms } => devices::drain(scope, name, within_ms.as_ref()),
        Action::Collect { name } => {
            scope.device(name)?.collect();
            Ok(())
        }
        Action::TakeErrors { name, of } => devices::take_errors(scope, name, of),
        Action::Live { name, is } => faults::live(scope, *name, is),
        Action::Drop { name } => scope.remove(name),

        Action::Allocate { name, bytes, device } => {
            memory::allocate(scope, name, bytes, device.as_ref())
        }
        Action::Put { name, bytes, pattern, value, device } => {
            let content = memory::Content { pattern: pattern.as_ref(), value: value.as_ref() };
            memory::put(scope, name, bytes, content, device.as_ref())
        }
        Action::Pin { name, bytes, pattern, value, device } => {
            let content = memory::Content { pattern: pattern.as_ref(), value: value.as_ref() };
            memory::pin(scope, name, bytes, content, device.as_ref())
        }
        Action::Slice { name, of, at, bytes } => memory::slice(scope, name, of, at, bytes),
        Action::Write { name, pattern, value } => {
            let content = memory::Content { pattern: pattern.as_ref(), value: value.as_ref() };
            memory::write(scope, name, content)
        }
        Action::Read { name } => Ok(scope.pinned(name)?.to_vec().map(drop)?),
        Action::Expect { name, pattern, value, offset, reversed_by } => {
            let content = memory::Content { pattern: pattern.as_ref(), value: value.as_ref() };
            memory::expect(scope, name, content, offset.as_ref(), reversed_by.as_ref())
        }
        Action::Apart { name, from } => memory::apart(scope, name, from),

        Action::Copy { name, from, on } => streams::copy(scope, name, from, on),
        Action::Batch { name, copies } => streams::batch(scope, name, copies),
        Action::Scatter { name, from, pieces, on } => {
            streams::scatter(scope, name, from, pieces, on)
        }
        Action::Fill { name, value, on } => streams::fill(scope, name, value, on),
        Action::Stream { name, priority, device } => {
            streams::stream(scope, name, *priority, device.as_ref())
        }
        Action::Event { name, device } => streams::event(scope, name, device.as_ref()),
        Action::Record { name, on } => Ok(scope.stream(on)?.record(scope.event(name)?)?),
        Action::WaitFor { name, until } => Ok(scope.stream(name)?.wait_for(scope.event(until)?)?),
        Action::Wait { name, within_ms } => streams::wait(scope, name, within_ms.as_ref()),
        Action::Query { name, is } => streams::query(scope, name, *is),
        Action::Abort { name } => streams::abort(scope, name),
        Action::Busy { name, with, times } => streams::busy(scope, name, with, times),
        Action::RunsBehind { name, with } => streams::runs_behind(scope, name, with),
        Action::Hold { name, on } => streams::hold(scope, name, on),
        Action::Release { name } => scope.hold(name)?.release(),

        Action::Meet { name } => peers::meet(scope, name),
        Action::Export { name, device } => peers::export(scope, name, device.as_ref()),
        Action::Import { name, of, from, damaged, cut, device } => {
            let key = peers::WhichKey { of, from: from.as_ref() };
            let harm = peers::Harm { damaged: damaged.as_ref(), cut: cut.as_ref() };
            peers::import(scope, name, &key, &harm, device.as_ref())
        }
        Action::Connect { name, buffer_bytes, device } => {
            communicators::connect(scope, name, buffer_bytes.as_ref(), device.as_ref())
        }
        Action::Communicator { name, rank_of, size, with, made_up, device } => {
            let id = match (with, made_up) {
                (Some(with), _) => communicators::WhichId::Of(with),
                (None, Some(true)) => communicators::WhichId::MadeUp,
                (None, _) => communicators::WhichId::New,
            };
            communicators::create(scope, name, (rank_of, size), &id, device.as_ref())
        }
        Action::Ready { name, within_ms } => {
            let mut wait = scope.place.patience(scope.milliseconds(within_ms.as_ref())?);
            Ok(scope.communicator(name)?.0.wait_ready(&mut wait)?)
        }
        Action::IsReady { name, is } => communicators::is_ready(scope, name, *is),
        Action::Exchange { name, on, sends, receives } => {
            communicators::exchange(scope, name, on, sends, receives)
        }
        Action::ExchangeAll { name, on, bytes, seed } => {
            communicators::exchange_all(scope, name, on, bytes, seed)
        }
        Action::ExpectRound { name } => communicators::expect_round(scope, name),
        Action::AllGather { name, on, send, receive } => {
            let (end, _) = scope.communicator(name)?;
            Ok(end.all_gather(scope.memory(send)?, scope.memory(receive)?, scope.stream(on)?)?)
        }
        Action::ExpectGathered { name, seed } => communicators::expect_gathered(scope, name, seed),
        Action::Broadcast { name, on, what, root } => {
            let root = scope.number(root)?;
            let (end, _) = scope.communicator(name)?;
            Ok(end.broadcast(scope.memory(what)?, root, scope.stream(on)?)?)
        }
        Action::Barrier { name, on } => {
            Ok(scope.communicator(name)?.0.barrier(scope.stream(on)?)?)
        }
        Action::Check { name } => Ok(scope.communicator(name)?.0.check()?),
        Action::ReservesAtMost { name, what } => communicators::reserves_at_most(scope, name, what),

        Action::Lend { name, of, device } => {
            let lent = lent::lend(scope, of, device)?;
            scope.add(name, lent);
            Ok(())
        }

        Action::Fault { name, nth, kind, late } => {
            faults::fault(scope, name, nth.as_ref(), (*kind).into(), late.unwrap_or(false))
        }
        Action::FaultWasMet { name } => faults::was_met(scope, name),

        Action::Threads { count, steps } => threads(scope, count, steps),
        Action::Repeat { times, steps } => repeat(scope, times, steps),
    }
}

fn threads(scope: &mut Scope, count: &Number, steps: &[Step]) -> Result<(), Trouble> {
    let count: i64 = scope.number(count)?;
    let mut inner: Vec<Scope> = (0..count).map(|thread| scope.inner("thread", thread)).collect();
    let result = std::thread::scope(|threads| {
        let running: Vec<_> =
            inner.iter_mut().map(|inner| threads.spawn(|| perform(inner, steps))).collect();
        let mut result = Ok(());
        for (number, thread) in running.into_iter().enumerate() {
            let ended = thread.join().unwrap_or_else(|_| Err("it panicked".to_owned()));
            result = result.and(ended.map_err(|text| format!("thread {number}: {text}")));
        }
        result
    });
    for inner in inner {
        scope.join(inner);
    }
    Ok(result?)
}

fn repeat(scope: &mut Scope, times: &Number, steps: &[Step]) -> Result<(), Trouble> {
    for round in 0..scope.number(times)? {
        let mut inner = scope.inner("round", round);
        let result = perform(&mut inner, steps);
        scope.join(inner);
        result.map_err(|text| format!("round {round}: {text}"))?;
    }
    Ok(())
}
