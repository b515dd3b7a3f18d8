//! Ranks as processes on emulated devices, one of which is killed in the middle of a transfer.
//!
//! A program of its own: it is the engine, and each rank as well.

#![allow(clippy::unwrap_used, reason = "a panic is how a check fails")]
#![allow(clippy::print_stdout, reason = "a test program reports on its output")]

mod engine;
mod messages;
mod rank;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use eplb::core::RankId;
use eplb::device::Backend;
use eplb::{Counters, Note};
use eplb_ascend::AscendBackend;
use eplb_cuda::CudaBackend;
use eplb_emulators::Emulated;

use engine::Engine;

/// The number of the rank that a process is.
const RANK: &str = "EPLB_TEST_RANK";
/// The backend of a process that is a rank.
const BACKEND: &str = "EPLB_TEST_BACKEND";

/// How long a change may take until all ranks must hold its weights.
const PREPARE: Duration = Duration::from_millis(1_500);

const CONFIG: &str = r#"
enable_eplb = true
ep_size = 4
eplb_update_interval = 0
redundant_experts_num = 1
[policy]
name = "xllm"
[manager]
window_samples = 1
windows_kept = 1
update_interval_steps = 4
prepare_timeout = 1.5
commit_timeout = 1.5
revert_timeout = 1.5
"#;

fn main() -> ExitCode {
    if let Ok(rank) = std::env::var(RANK) {
        let backend: Arc<dyn Backend> = match std::env::var(BACKEND).as_deref() {
            Ok("cuda") => Arc::new(CudaBackend::open(&Default::default()).unwrap()),
            Ok("ascend") => Arc::new(AscendBackend::open(&Default::default()).unwrap()),
            other => panic!("{other:?}"),
        };
        rank::serve(&backend, RankId(rank.parse().unwrap()));
        return ExitCode::SUCCESS;
    }
    for (name, emulated) in [("cuda", eplb_emulators::cuda()), ("ascend", eplb_emulators::ascend())]
    {
        let begun = Instant::now();
        a_killed_rank_leaves_the_old_epoch(name, &emulated);
        println!(
            "a rank killed in the middle of a transfer, emulated {name}: passed in {:.1} s",
            begun.elapsed().as_secs_f64()
        );
    }
    ExitCode::SUCCESS
}

/// The functions that queue copies between ranks.
fn copies(backend: &str) -> &'static [&'static str] {
    match backend {
        "cuda" => &["cudaMemcpyBatchAsync", "cudaMemcpyAsync"],
        _ => &["aclrtMemcpyBatchAsync", "aclrtMemcpyAsync"],
    }
}

fn a_killed_rank_leaves_the_old_epoch(name: &str, emulated: &Emulated) {
    let folder = tempfile::tempdir().unwrap();
    let (control, reports) = (folder.path().join("orders"), folder.path().join("reports"));
    std::fs::write(&control, "").unwrap();
    let mut environment = emulated.environment();
    environment.insert(BACKEND, name.into());
    environment.insert("EPLB_EMULATOR_CONTROL", control.clone());
    environment.insert("EPLB_EMULATOR_REPORT", reports.clone());
    let mut engine = Engine::start(CONFIG, &environment);

    // All is well at first: layers are switched over on all four ranks.
    let hot = |expert: usize| -> Vec<u64> {
        (0..8).map(|other| if other == expert { 900 } else { 100 }).collect()
    };
    run_until(&mut engine, &hot(1), |engine| engine.coordinator.counters().layers_committed >= 2);
    let settled = quiet_epochs(&mut engine, &hot(1));

    // Another load; its copies take longer than a change may.
    let orders = copies(name).iter().map(|function| format!("delay {function} 4000000\n"));
    std::fs::write(&control, orders.collect::<String>()).unwrap();
    let before = engine.coordinator.counters();
    engine.verify = false; // reading weights back is a copy, too
    engine.coordinator.take_notes();
    run_until(&mut engine, &hot(6), |engine| {
        let notes = engine.coordinator.take_notes();
        notes
            .iter()
            .any(|note| matches!(note, Note::RoundPlanned { moving, .. } if !moving.is_empty()))
    });
    // The next headers ask for the weights, and the copies are queued.
    for _ in 0..3 {
        engine.step(&hot(6));
        std::thread::sleep(Duration::from_millis(50));
    }
    let counters = engine.coordinator.counters();
    assert_eq!(counters.layers_prepared, before.layers_prepared, "the transfer is over already");
    assert_eq!(given_up(&counters), given_up(&before), "the transfer was given up already");
    engine.kill(3);

    // The others answer every step at once, in the old epoch, and the change is given up in time.
    let killed = Instant::now();
    let mut undone = None;
    while killed.elapsed() < PREPARE + Duration::from_secs(3) {
        let begun = Instant::now();
        let replies = engine.step(&hot(6));
        assert!(begun.elapsed() < Duration::from_secs(5), "a step hung");
        for (rank, stepped) in &replies {
            assert_eq!(stepped.refused, None, "rank {rank}");
            assert_eq!(stepped.epochs, settled, "rank {rank} left the old epoch");
        }
        if undone.is_none() && given_up(&engine.coordinator.counters()) > given_up(&before) {
            undone = Some(killed.elapsed());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let undone = undone.expect("the change was given up");
    assert!(undone < PREPARE + Duration::from_secs(1), "given up after {undone:?}");

    // Their weights are the old ones.
    std::fs::write(&control, "").unwrap();
    engine.verify = true;
    assert_eq!(engine.step(&hot(6))[&0].epochs, settled);

    // And they go on: a group without the dead rank balances again.
    engine.restart(&[3]);
    run_until(&mut engine, &hot(6), |engine| engine.coordinator.counters().layers_committed >= 2);
    engine.end();
    let reported = std::fs::read_to_string(&reports).unwrap_or_default();
    assert_eq!(reported, "", "violations");
}

fn given_up(counters: &Counters) -> u64 {
    counters.prepare_timeouts + counters.layers_refused
}

fn run_until(engine: &mut Engine, load: &[u64], is_over: impl Fn(&mut Engine) -> bool) {
    let begun = Instant::now();
    while !is_over(engine) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", engine.coordinator.counters());
        engine.step(load);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The epochs once nothing is in flight any more.
fn quiet_epochs(engine: &mut Engine, load: &[u64]) -> Vec<u64> {
    let mut last = Vec::new();
    let mut same = 0;
    while same < 12 {
        let replies = engine.step(load);
        let epochs = replies[&0].epochs.clone();
        same = if epochs == last { same + 1 } else { 0 };
        last = epochs;
        std::thread::sleep(Duration::from_millis(10));
    }
    last
}
