//! Everything that a backend does, in pieces that do not need one another.

use std::sync::{Mutex, PoisonError};

use eplb_device::{
    Device, DeviceError, ErrorKind, Memory, MemoryCopy, PinnedMemory, Result, StreamPriority,
};

use crate::links;
use crate::scene::{
    Account, EXPORTED_BYTES, Outcome, Scene, Stage, bytes_of, patience, pattern, stream, with_bytes,
};
use crate::vendor::LENT_BYTES;

/// More than are kept for reuse.
const MANY_EVENTS: usize = 70;

/// Plays all of it, on a thread that no library knows yet.
pub(crate) fn run(
    stage: &Stage,
    all_is_well: bool,
    has_failed: &(dyn Fn() -> bool + Sync),
) -> Outcome {
    let account = Account { outcome: Mutex::default(), has_failed };
    std::thread::scope(|scope| {
        if scope.spawn(|| play(stage, &account, all_is_well)).join().is_err() {
            account.complain("it has panicked".to_owned());
        }
    });
    account.outcome.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn play(stage: &Stage, account: &Account<'_>, all_is_well: bool) {
    let Some(scene) = Scene::open(stage, account, all_is_well) else {
        account.complain("what failed once failed again".to_owned());
        return;
    };
    // First, so that the first questions about events and streams are the caller's own.
    scene.piece("events", events);
    scene.piece("streams", streams);
    scene.piece("memory_info", memory_info);
    scene.piece("many events", many_events);
    scene.piece("copies", copies);
    scene.piece("abort a stream", abort_a_stream);
    scene.piece("adopt", adopt);
    scene.piece("lent stream", lent_stream);
    scene.piece("lent memory", lent_memory);
    scene.piece("lent communicator", links::lent);
    scene.piece("memory of another device", share_between_devices);
    scene.piece("memory of another process", import);
    scene.piece("communicator of one", links::alone);
    scene.piece("aborted communicator", links::aborted);
    scene.piece("communicator of two", links::pair);
    scene.piece("communicator of two, the second way", links::pair_the_second_way);
    let Scene { device, other, .. } = scene;
    drop((device, other));
    account.end("close");
    diagnose(stage, account, all_is_well);
    account.end("diagnose");
}

fn memory_info(scene: &Scene<'_>) -> Result<()> {
    let info = scene.device.memory_info()?;
    if info.total == 0 || info.free > info.total {
        scene.problem(format!("memory_info: {info:?}"));
    }
    Ok(())
}

fn streams(scene: &Scene<'_>) -> Result<()> {
    let device = &scene.device;
    for (value, priority) in
        (1..).zip([StreamPriority::Low, StreamPriority::Normal, StreamPriority::High])
    {
        let stream = device.stream(priority)?;
        let memory = device.allocate(64)?;
        stream.fill(&memory, value)?;
        stream.is_complete()?;
        stream.wait(&mut patience())?;
        scene.expect("streams", &memory, &[value; 64])?;
    }
    Ok(())
}

fn events(scene: &Scene<'_>) -> Result<()> {
    let device = &scene.device;
    let (first, second) = (stream(device)?, stream(device)?);
    let memory = device.allocate(64)?;
    let target = device.allocate(64)?;
    let event = device.event()?;
    first.fill(&memory, 7)?;
    first.record(&event)?;
    second.wait_for(&event)?;
    second.copy(&[MemoryCopy::new(&target, &memory)])?;
    event.is_complete()?;
    event.wait(&mut patience())?;
    second.wait(&mut patience())?;
    first.wait(&mut patience())?;
    scene.expect("events", &target, &[7; 64])
}

/// Some of them are destroyed at once, and not kept for reuse.
fn many_events(scene: &Scene<'_>) -> Result<()> {
    let events: Result<Vec<_>> = (0..MANY_EVENTS).map(|_| scene.device.event()).collect();
    drop(events?);
    Ok(())
}

fn halves(memory: &Memory) -> Result<[Memory; 2]> {
    let half = memory.bytes() / 2;
    Ok([memory.slice(0, half)?, memory.slice(half, half)?])
}

fn pinned_halves(memory: &PinnedMemory) -> Result<[PinnedMemory; 2]> {
    let half = memory.bytes() / 2;
    Ok([memory.slice(0, half)?, memory.slice(half, half)?])
}

/// Both forms, one by one and as a batch, in all directions.
fn copies(scene: &Scene<'_>) -> Result<()> {
    let device = &scene.device;
    let bytes = pattern(3, 2000);
    let stream = stream(device)?;
    let source = device.pin(&bytes)?;
    let [memory, copy] = [device.allocate(2000)?, device.allocate(2000)?];
    let target = device.allocate_pinned(2000)?;
    let ([s0, s1], [m0, m1]) = (pinned_halves(&source)?, halves(&memory)?);
    let ([c0, c1], [t0, t1]) = (halves(&copy)?, pinned_halves(&target)?);
    stream.copy(&[MemoryCopy::upload(&m0, &s0), MemoryCopy::upload(&m1, &s1)])?;
    stream.copy(&[MemoryCopy::new(&c0, &m0), MemoryCopy::new(&c1, &m1)])?;
    stream.copy(&[MemoryCopy::download(&t0, &c0), MemoryCopy::download(&t1, &c1)])?;
    stream.wait(&mut patience())?;
    if target.to_vec()? != bytes {
        scene.problem("copies: without an error, a batch has put wrong bytes".to_owned());
    }
    let again = with_bytes(device, &bytes)?;
    stream.copy(&[MemoryCopy::new(&copy, &again)])?;
    stream.wait(&mut patience())?;
    scene.expect("copies", &copy, &bytes)
}

fn abort_a_stream(scene: &Scene<'_>) -> Result<()> {
    if !scene.device.info().stream_abort {
        return Ok(());
    }
    let stream = stream(&scene.device)?;
    let memory = scene.device.allocate(64)?;
    stream.fill(&memory, 1)?;
    stream.abort()?;
    match stream.wait(&mut patience()) {
        Err(error) if error.kind() == ErrorKind::Aborted => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            scene.problem("an aborted stream has succeeded".to_owned());
            Ok(())
        }
    }
}

fn adopt(scene: &Scene<'_>) -> Result<()> {
    let context = scene.stage.lent.context;
    // SAFETY: alive until the stage is cleared.
    let device = unsafe { Device::adopt(&scene.backend, 0, context)? };
    let works = || {
        device.memory_info()?;
        let memory = with_bytes(&device, b"lent")?;
        scene.expect("adopt", &memory, b"lent")
    };
    let worked = works();
    scene.settle("adopt", &device);
    worked
}

fn lent_stream(scene: &Scene<'_>) -> Result<()> {
    let device = &scene.device;
    let memory = device.allocate(64)?;
    let copy = device.allocate(64)?;
    // SAFETY: alive until the stage is cleared.
    let lent = unsafe { device.borrow_stream(scene.stage.lent.stream)? };
    lent.fill(&memory, 5)?;
    lent.is_complete()?;
    lent.wait(&mut patience())?;
    let ([m0, m1], [c0, c1]) = (halves(&memory)?, halves(&copy)?);
    // SAFETY: the null stream is always there.
    let null = unsafe { device.borrow_stream(eplb_device::StreamHandle(0))? };
    null.copy(&[MemoryCopy::new(&c0, &m0), MemoryCopy::new(&c1, &m1)])?;
    null.wait(&mut patience())?;
    scene.expect("lent stream", &copy, &[5; 64])
}

fn lent_memory(scene: &Scene<'_>) -> Result<()> {
    let (device, lent) = (&scene.device, &scene.stage.lent);
    let bytes = LENT_BYTES - 100;
    let inside = eplb_device::Address(lent.memory.0 + 100);
    // SAFETY: both are alive until the stage is cleared.
    let memory = unsafe { device.borrow_memory(inside, bytes)? };
    // SAFETY: as above.
    let pinned = unsafe { device.borrow_pinned(lent.pinned, bytes)? };
    let written = pattern(4, bytes);
    pinned.write(&written)?;
    let stream = stream(device)?;
    stream.upload(&memory, &pinned)?;
    stream.wait(&mut patience())?;
    scene.expect("lent memory", &memory, &written)?;
    // Shared with the allocation that it is a piece of.
    read_from(scene, &memory, &written)
}

fn share_between_devices(scene: &Scene<'_>) -> Result<()> {
    let bytes = pattern(5, 1500);
    let memory = with_bytes(&scene.device, &bytes)?;
    read_from(scene, &memory, &bytes)
}

/// The other device reads memory of the first one; importers close first.
fn read_from(scene: &Scene<'_>, memory: &Memory, bytes: &[u8]) -> Result<()> {
    let key = scene.device.export(memory)?;
    let read = || {
        let peer = scene.other.import(&key)?;
        let target = scene.other.allocate(bytes.len())?;
        let stream = stream(&scene.other)?;
        stream.copy(&[MemoryCopy::new(&target, peer.memory())])?;
        stream.wait(&mut patience())?;
        scene.expect("memory of another device", &target, bytes)
    };
    let found = read();
    scene.settle("memory of another device", &scene.other);
    found
}

fn import(scene: &Scene<'_>) -> Result<()> {
    let device = &scene.device;
    let peer = device.import(&scene.stage.key)?;
    let target = device.allocate(EXPORTED_BYTES)?;
    let stream = stream(device)?;
    let ([t0, t1], [p0, p1]) = (halves(&target)?, halves(peer.memory())?);
    stream.copy(&[MemoryCopy::new(&t0, &p0), MemoryCopy::new(&t1, &p1)])?;
    stream.wait(&mut patience())?;
    if bytes_of(&target)? != pattern(7, EXPORTED_BYTES) {
        scene.problem("import: without an error, the bytes are wrong".to_owned());
    }
    Ok(())
}

/// What is found is told as text; a number in it is the vendor's.
fn diagnose(stage: &Stage, account: &Account<'_>, all_is_well: bool) {
    let diagnosis = stage.vendor.diagnose();
    let problems: Vec<String> =
        diagnosis.devices.iter().filter_map(|device| device.problem.clone()).collect();
    let is_right = diagnosis.usable && problems.is_empty() && diagnosis.devices.len() == 4;
    if all_is_well && !is_right {
        account.complain(format!("diagnosis: {diagnosis:?}"));
    }
    let reason = (!diagnosis.usable).then_some(diagnosis.reason);
    for text in problems.into_iter().chain(reason) {
        account.tell("diagnose", DeviceError::new(ErrorKind::Failed, "diagnose", text));
    }
}
