//! The pieces with communicators.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use eplb_device::{
    Communicator, CommunicatorId, CommunicatorOptions, ErrorKind, Memory, Result, Transfer, Wait,
};

use crate::scene::{Scene, bytes_of, patience, patience_unless, pattern, stream, with_bytes};

/// How long a rank may go on after the other one has failed, before both are aborted.
const GRACE: Duration = Duration::from_millis(50);
const BYTES: usize = 700;

/// Bytes that one rank sends to another.
fn sent(from: u32, to: u32) -> Vec<u8> {
    pattern(u64::from(10 * from + to), BYTES)
}

/// All that a rank does with a communicator that is ready.
fn work(scene: &Scene<'_>, end: &Communicator, wait: &mut dyn Wait) -> Result<()> {
    let (device, own, size) = (end.device(), end.rank(), end.size());
    let stream = stream(device)?;
    let ranks = || 0..size;
    let sources: Result<Vec<Memory>> =
        ranks().map(|to| with_bytes(device, &sent(own, to))).collect();
    let targets: Result<Vec<Memory>> = ranks().map(|_| device.allocate(BYTES)).collect();
    let (sources, targets) = (sources?, targets?);
    let transfers = |memories: &[Memory]| -> Vec<Transfer> {
        ranks().zip(memories).map(|(peer, memory)| Transfer::new(peer, memory)).collect()
    };
    end.exchange(&transfers(&sources), &transfers(&targets), &stream)?;
    let all = device.allocate(BYTES * size as usize)?;
    end.all_gather(&sources[0], &all, &stream)?;
    end.broadcast(&sources[0], size - 1, &stream)?;
    end.barrier(&stream)?;
    stream.wait(wait)?;
    end.check()?;
    let gathered: Vec<u8> = ranks().flat_map(|from| sent(from, 0)).collect();
    let received = ranks().zip(&targets).map(|(from, target)| (target, sent(from, own)));
    for (memory, bytes) in received.chain([(&all, gathered), (&sources[0], sent(size - 1, 0))]) {
        if bytes_of(memory)? != bytes {
            scene.problem(format!("rank {own} of {size}: without an error, bytes are wrong"));
        }
    }
    Ok(())
}

pub(crate) fn lent(scene: &Scene<'_>) -> Result<()> {
    let handle = scene.stage.lent.communicator;
    // SAFETY: alive until the stage is cleared.
    let end = unsafe { scene.device.borrow_communicator(handle, 0, 1)? };
    work(scene, &end, &mut patience())
}

fn create_alone(scene: &Scene<'_>) -> Result<Communicator> {
    let id = scene.device.communicator_id()?;
    let end = scene.device.communicator(&id, 0, 1, CommunicatorOptions::default())?;
    end.wait_ready(&mut patience())?;
    Ok(end)
}

pub(crate) fn alone(scene: &Scene<'_>) -> Result<()> {
    let end = create_alone(scene)?;
    work(scene, &end, &mut patience())
}

pub(crate) fn aborted(scene: &Scene<'_>) -> Result<()> {
    let end = create_alone(scene)?;
    let stream = stream(&scene.device)?;
    end.barrier(&stream)?;
    stream.wait(&mut patience())?;
    end.abort()?;
    match end.check() {
        Err(error) if error.kind() == ErrorKind::Aborted => Ok(()),
        other => {
            scene.problem("an aborted communicator is well".to_owned());
            other
        }
    }
}

pub(crate) fn pair(scene: &Scene<'_>) -> Result<()> {
    let id = scene.device.communicator_id()?;
    work_as_two(scene, "communicator of two", &id)
}

pub(crate) fn pair_the_second_way(scene: &Scene<'_>) -> Result<()> {
    let Some(id) = &scene.stage.second_way else {
        return Ok(());
    };
    work_as_two(scene, "communicator of two, the second way", id)
}

/// A rank on each device, with a thread of its own. When one fails, both are aborted, as ranks do that
/// tell each other.
fn work_as_two(scene: &Scene<'_>, piece: &'static str, id: &CommunicatorId) -> Result<()> {
    let create = |rank| {
        let device = if rank == 0 { &scene.device } else { &scene.other };
        device.communicator(id, rank, 2, CommunicatorOptions::default())
    };
    let ends = [create(0)?, create(1)?];
    let (failed, over) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for end in &ends {
            let (failed, over) = (&failed, &over);
            scope.spawn(move || {
                let mut worked = end.wait_ready(&mut patience_unless(failed));
                if worked.is_ok() {
                    worked = work(scene, end, &mut patience_unless(failed));
                }
                if worked.is_err() {
                    failed.store(true, Ordering::SeqCst);
                }
                scene.note(piece, worked);
                over.fetch_add(1, Ordering::SeqCst);
            });
        }
        let mut since = None;
        while over.load(Ordering::SeqCst) < 2 {
            if failed.load(Ordering::SeqCst) {
                let since: Instant = *since.get_or_insert_with(Instant::now);
                if since.elapsed() >= GRACE {
                    break;
                }
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        if failed.load(Ordering::SeqCst) {
            for end in &ends {
                scene.note(piece, end.abort());
            }
        }
    });
    Ok(())
}
