//! Every call of a scenario fails once: the error names it, and nothing is left behind.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eplb_device::{
    Backend, CommunicatorOptions, Device, DeviceError, ErrorKind, Fault, FaultAt, FaultKind,
    FaultyBackend, MemoryCopy, Result, StreamPriority, Transfer, VendorCode,
};
use eplb_host::HostBackend;
use support::{Deadline, patience, with_bytes, within};

/// Uses everything there is, and gives the first error, also of what happens in drops.
fn scenario(
    backend: &Arc<dyn Backend>,
    devices: &Mutex<Vec<Device>>,
    patience: fn() -> Deadline,
) -> Result<Vec<u8>> {
    backend.devices()?;
    let exporter = Device::open(backend, 0)?;
    let device = Device::open(backend, 1)?;
    lock(devices).extend([exporter.clone(), device.clone()]);
    device.memory_info()?;
    let bytes = {
        let other = exporter.stream(StreamPriority::Normal)?;
        let source = exporter.allocate(4096)?;
        other.fill(&source, 3)?;
        other.wait(&mut patience())?;
        let peer = device.import(&exporter.export(&source)?)?;

        let stream = device.stream(StreamPriority::Low)?;
        let staging = device.allocate(8192)?;
        let live = device.allocate(8192)?;
        let pinned = device.pin(&[1; 4096])?;
        let low = staging.slice(0, 4096)?;
        let high = staging.slice(4096, 4096)?;
        stream.copy(&[MemoryCopy::upload(&low, &pinned), MemoryCopy::new(&high, peer.memory())])?;
        let event = device.event()?;
        stream.record(&event)?;
        let second = device.stream(StreamPriority::High)?;
        second.wait_for(&event)?;
        second.copy(&[MemoryCopy::new(&live, &staging)])?;
        event.wait(&mut patience())?;

        let id = device.communicator_id()?;
        let options = CommunicatorOptions::default();
        let end = device.communicator(&id, 0, 1, options)?;
        end.wait_ready(&mut patience())?;
        let target = device.allocate(4096)?;
        end.exchange(
            &[Transfer::new(0, &live.slice(4096, 4096)?)],
            &[Transfer::new(0, &target)],
            &second,
        )?;
        end.all_gather(&live.slice(0, 4096)?, &low, &second)?;
        end.broadcast(&low, 0, &second)?;
        end.barrier(&second)?;
        end.check()?;
        let back = device.allocate_pinned(4096)?;
        second.download(&back, &target)?;
        second.wait(&mut patience())?;
        end.abort()?;
        stream.abort()?;
        back.to_vec()?
    };
    for device in [&device, &exporter] {
        device.drain(&mut patience())?;
        if let Some(error) = device.take_errors().into_iter().next() {
            return Err(error);
        }
    }
    Ok(bytes)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// Runs the scenario with a fault, then without it until all is at rest, and checks the leftovers.
fn run(fault: Option<Fault>) -> (Result<Vec<u8>>, FaultyBackend) {
    let host = HostBackend::new(2);
    let faulty = FaultyBackend::new(host.clone());
    if let Some(fault) = fault.clone() {
        faulty.inject(fault);
    }
    let devices = Mutex::default();
    let result = scenario(faulty.backend(), &devices, patience);
    faulty.clear();
    let devices = devices.into_inner().unwrap();
    // The importer closes before the exporter withdraws.
    for device in devices.iter().rev() {
        device.drain(&mut patience()).unwrap();
    }
    drop(devices);
    assert!(faulty.live().is_zero(), "{fault:?}: {:?}", faulty.live());
    assert_eq!(host.live_allocations(), 0, "{fault:?}");
    assert_eq!(host.live_streams(), 0, "{fault:?}");
    (result, faulty)
}

#[test]
fn without_faults_the_scenario_works_and_calls_everything() {
    let (result, faulty) = run(None);
    assert_eq!(result.unwrap(), [3; 4096]);
    assert_eq!(faulty.fired(), 0);
    let calls = faulty.calls();
    assert_eq!(calls.len() as u64, faulty.call_count());
    let names: BTreeMap<&str, ()> = calls.iter().map(|name| (*name, ())).collect();
    let missing: Vec<&str> =
        ALL_CALLS.into_iter().filter(|name| !names.contains_key(name)).collect();
    // Borrowing has tests of its own.
    let borrowing = ["adopt", "borrow_communicator", "borrow_memory", "return_memory"];
    assert_eq!(missing, borrowing);
}

const ALL_CALLS: [&str; 34] = [
    "abort",
    "abort_stream",
    "adopt",
    "all_gather",
    "allocate",
    "allocate_pinned",
    "async_error",
    "barrier",
    "borrow_communicator",
    "borrow_memory",
    "broadcast",
    "close",
    "communicator",
    "communicator_id",
    "copy",
    "create_event",
    "create_stream",
    "destroy",
    "destroy_event",
    "destroy_stream",
    "devices",
    "exchange",
    "export",
    "fill",
    "free",
    "free_pinned",
    "import",
    "memory_info",
    "open",
    "progress",
    "query_event",
    "query_stream",
    "record_event",
    "return_memory",
];

/// Polls come as often as they come, and bookkeeping takes a failed one for "not yet".
fn is_poll(name: &str) -> bool {
    ["query_event", "query_stream"].contains(&name)
}

fn sweep(what: &FaultKind) {
    let (_, baseline) = run(None);
    // Events are destroyed when the last handle goes, and nobody is left to be told.
    let names = ALL_CALLS.into_iter().filter(|name| *name != "destroy_event");
    for name in names {
        let count = baseline.count_of(name);
        let count = if is_poll(name) { count.min(6) } else { count };
        for nth in 1..=count {
            let fault = Fault { at: FaultAt::NthOf(name, nth), what: what.clone() };
            let (result, faulty) = run(Some(fault));
            if is_poll(name) {
                continue; // leftovers are checked in `run`
            }
            // How many events there are at once depends on how fast the work before has ended.
            if name == "create_event" && nth > 1 && faulty.fired() == 0 {
                continue;
            }
            assert_eq!(faulty.fired(), 1, "{name} {nth}");
            let error: DeviceError = result.expect_err(name);
            assert_eq!(error.operation(), name, "{error}");
            assert!(error.text().starts_with("injected into call "), "{error}");
        }
    }
}

#[test]
fn each_call_refused_once_is_reported_and_leaves_nothing() {
    sweep(&FaultKind::Error(ErrorKind::Failed, Some(VendorCode(999))));
}

#[test]
fn each_call_made_and_reported_as_failed_leaves_nothing() {
    sweep(&FaultKind::LateError(ErrorKind::TimedOut, None));
}

#[test]
fn failures_to_destroy_events_leave_nothing() {
    let host = HostBackend::new(2);
    let faulty = FaultyBackend::new(host.clone());
    faulty.inject(Fault {
        at: FaultAt::EveryOf("destroy_event"),
        what: FaultKind::Error(ErrorKind::Failed, None),
    });
    scenario(faulty.backend(), &Mutex::default(), patience).unwrap();
    assert!(faulty.fired() > 0);
    assert!(faulty.live().is_zero(), "{:?}", faulty.live());
}

#[test]
fn a_device_that_dies_at_any_call_leaves_nothing_once_it_answers_again() {
    let (_, baseline) = run(None);
    for from in 1..=baseline.call_count().min(120) {
        let what = FaultKind::Error(ErrorKind::Failed, None);
        let at = FaultAt::From(from);
        let host = HostBackend::new(2);
        let faulty = FaultyBackend::new(host.clone());
        faulty.inject(Fault { at, what });
        let devices = Mutex::default();
        let result = scenario(faulty.backend(), &devices, || within(100));
        assert!(result.is_err() || faulty.fired() == 0);
        faulty.clear();
        drop(devices);
        assert!(faulty.live().is_zero(), "{from}: {:?}", faulty.live());
        assert_eq!(host.live_allocations(), 0, "{from}");
    }
}

#[test]
fn an_injected_code_stands_in_the_error() {
    let faulty = FaultyBackend::new(HostBackend::new(1));
    faulty.inject(Fault {
        at: FaultAt::EveryOf("allocate"),
        what: FaultKind::Error(ErrorKind::OutOfMemory, Some(VendorCode(2))),
    });
    let device = Device::open(faulty.backend(), 0).unwrap();
    for _ in 0..2 {
        let error = device.allocate(8).unwrap_err();
        assert_eq!(error.code(), Some(VendorCode(2)));
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        let text = error.to_string();
        assert!(text.starts_with("allocate on host device 0: out of memory"), "{text}");
    }
    assert_eq!(faulty.fired(), 2);
}

#[test]
fn faults_hit_the_call_with_their_number() {
    let faulty = FaultyBackend::new(HostBackend::new(1));
    faulty.inject(Fault::error(3, ErrorKind::Failed));
    faulty.inject(Fault::error_of("create_stream", 2, ErrorKind::Failed));
    let device = Device::open(faulty.backend(), 0).unwrap(); // call 1
    let _first = device.stream(StreamPriority::Normal).unwrap(); // call 2
    assert!(device.memory_info().is_err()); // call 3
    assert!(device.stream(StreamPriority::Normal).is_err());
    assert!(device.stream(StreamPriority::Normal).is_ok());
    assert_eq!(
        faulty.calls(),
        ["open", "create_stream", "memory_info", "create_stream", "create_stream"]
    );
    assert_eq!(faulty.live().streams, 2);
}

#[test]
fn delays_are_spent_by_the_caller_and_the_call_is_made() {
    let spent = Arc::new(AtomicU64::new(0));
    let delay = {
        let spent = Arc::clone(&spent);
        Arc::new(move |time: Duration| {
            spent.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
        })
    };
    let faulty = FaultyBackend::with_delay(HostBackend::new(1), delay);
    faulty.inject(Fault {
        at: FaultAt::EveryOf("allocate"),
        what: FaultKind::Delay(Duration::from_millis(30)),
    });
    let device = Device::open(faulty.backend(), 0).unwrap();
    let memory = with_bytes(&device, &[1; 8]);
    drop(memory);
    assert_eq!(spent.load(Ordering::SeqCst), 30);

    let without = FaultyBackend::new(HostBackend::new(1));
    without
        .inject(Fault { at: FaultAt::Call(1), what: FaultKind::Delay(Duration::from_millis(1)) });
    let error = Device::open(without.backend(), 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn live_counts_follow_what_is_held() {
    let faulty = FaultyBackend::new(HostBackend::new(1));
    let device = Device::open(faulty.backend(), 0).unwrap();
    let memory = device.allocate(8).unwrap();
    let pinned = device.allocate_pinned(8).unwrap();
    let stream = device.stream(StreamPriority::Normal).unwrap();
    let peer = device.import(&device.export(&memory).unwrap()).unwrap();
    let live = faulty.live();
    let counts = [live.memory, live.pinned, live.streams, live.imports, live.exports];
    assert_eq!(counts, [1; 5]);
    drop((peer, memory, pinned, stream));
    device.drain(&mut patience()).unwrap();
    assert_eq!(device.take_errors(), []);
    assert!(faulty.live().is_zero());
}
